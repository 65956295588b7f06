/**
 * Preloaded into a child: it counts every call that changes a file and kills the process with SIGKILL before call number
 * DIE_AT, or after half of its bytes when DIE_HALF is set and the call is a write. Without DIE_AT it prints the calls.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const dieAt = Number(process.env.DIE_AT ?? Number.POSITIVE_INFINITY)
const calls = []
const changing = [
  'mkdirSync',
  'openSync',
  'writeSync',
  'ftruncateSync',
  'fsyncSync',
  'closeSync',
  'renameSync',
  'rmSync',
]

const die = () => process.kill(process.pid, 'SIGKILL')

for (const name of changing) {
  const real = fs[name]
  fs[name] = (...args) => {
    // Opening changes something only where it makes or empties a file.
    if (name === 'openSync' && !String(args[1]).startsWith('w')) return real(...args)
    calls.push(name)
    if (calls.length - 1 !== dieAt) return real(...args)
    if (process.env.DIE_HALF && name === 'writeSync') {
      const [descriptor, content, , , position] = args
      const bytes = Buffer.from(content)
      real(descriptor, bytes, 0, Math.floor(bytes.length / 2), position ?? null)
    }
    die()
  }
}
syncBuiltinESMExports()
process.on('exit', () => process.stdout.write(JSON.stringify(calls)))
