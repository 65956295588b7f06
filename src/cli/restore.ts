import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { restore } from '../clocks/restore.ts'
import { stateFolder } from '../config/load.ts'
import { lockState } from '../daemon/state-lock.ts'
import { DeapdError } from '../errors.ts'
import { print, printJson } from './output.ts'

/** `deapd restore`: puts journalled clocks back; nothing to do is success. Used by systemd after every end. */
export const restoreCommand = (): Command =>
  new Command('restore')
    .description('put the clocks back that a daemon left changed')
    .option('--state <dir>', 'state folder of that daemon')
    .option('--json', 'print {files, detail}')
    .action(({ state, json }: { state?: string; json?: boolean }) => {
      const folder = stateFolder(state ?? process.env.DEAPD_STATE_DIR ?? '', process.env)
      const unlock = lockOrWithout(folder)
      const { files, detail } = restore(join(folder, 'clocks.json'))
      unlock()
      if (json) return printJson({ files, detail })
      print(detail)
      for (const { path, value } of files) print(`  ${path} = ${value}`)
    })

/**
 * A running daemon would only write its clocks again: then `state_busy` is thrown. A folder that cannot be written (a full
 * or read-only disk) holds no living daemon, and its journal can still be followed.
 */
function lockOrWithout(folder: string): () => void {
  if (!existsSync(folder)) return () => undefined
  try {
    return lockState(folder)
  } catch (thrown) {
    if (thrown instanceof DeapdError && thrown.code === 'state_unwritable') return () => undefined
    throw thrown
  }
}
