import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { realpathSync } from 'node:fs'
import { createServer } from 'node:net'
import { DeapdError } from '../errors.ts'

/**
 * Takes the clocks under a root for this process: two daemons with state folders of their own would journal each other's
 * caps as originals, and the last to end would leave them. The lock is a name in Linux's abstract socket namespace: it
 * needs no folder that all users can write, and it is gone with its process, kill -9 included. Throws `clocks_busy`.
 */
export async function lockClocks(root: string): Promise<() => void> {
  // Elsewhere there is neither such a namespace nor a clock to write.
  if (process.platform !== 'linux') return () => undefined
  const server = createServer((visitor) => visitor.destroy())
  // A name has 107 bytes and is cut without a word: paths may be longer.
  const name = createHash('sha256').update(realName(root)).digest('hex')
  server.listen(`\0deapd-clocks:${name}`)
  try {
    await once(server, 'listening')
  } catch (thrown) {
    throw new DeapdError('clocks_busy', { root }, thrown)
  }
  server.unref()
  return () => void server.close()
}

function realName(root: string): string {
  try {
    return realpathSync(root)
  } catch {
    return root
  }
}
