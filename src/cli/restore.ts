import { join } from 'node:path'
import { Command } from 'commander'
import { restore } from '../clocks/restore.ts'
import { stateFolder } from '../config/load.ts'
import { print, printJson } from './output.ts'

/** `deapd restore`: puts journalled clocks back; nothing to do is success. Used by systemd after every end. */
export const restoreCommand = (): Command =>
  new Command('restore')
    .description('put the clocks back that a daemon left changed')
    .option('--state <dir>', 'state folder of that daemon')
    .option('--json', 'print {files, detail}')
    .action(({ state, json }: { state?: string; json?: boolean }) => {
      const folder = stateFolder(state ?? process.env.DEAPD_STATE_DIR ?? '', process.env)
      const { files, detail } = restore(join(folder, 'clocks.json'))
      if (json) return printJson({ files, detail })
      print(detail)
      for (const { path, value } of files) print(`  ${path} = ${value}`)
    })
