import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { DeapdError, detailOf } from '../errors.ts'

/**
 * Takes the state folder for this process, so that two daemons never steer the same clocks. A lock whose process is gone
 * (SIGKILL, power cut) is taken over. Throws `state_busy` or `state_unwritable`.
 */
export function lockState(folder: string): () => void {
  const path = join(folder, 'deapd.lock')
  try {
    makeFolder(folder)
    const holder = holderOf(path)
    if (holder !== undefined) throw new DeapdError('state_busy', { pid: holder, path: folder })
    rmSync(path, { force: true })
    writeFileSync(path, JSON.stringify({ pid: process.pid, started: startTime(process.pid) }), { flag: 'wx' })
  } catch (error) {
    if (error instanceof DeapdError) throw error
    throw new DeapdError('state_unwritable', { path: folder, detail: detailOf(error) }, error)
  }
  return () => rmSync(path, { force: true })
}

/** Like a recursive mkdir, which in Node tries for ever under a folder that takes none, such as /proc. */
function makeFolder(path: string): void {
  if (existsSync(path)) return
  const parent = dirname(resolve(path))
  if (parent !== resolve(path)) makeFolder(parent)
  mkdirSync(path)
}

/** The living process that holds the lock. Numbers are reused: only the same number with the same start time counts. */
function holderOf(path: string): number | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(path, 'utf8'))
    return started !== null && startTime(pid) === started ? pid : undefined
  } catch {
    // No lock, or one torn by a power cut: nobody holds it.
    return undefined
  }
}

/** Field 22 of /proc/PID/stat: start of the process in clock ticks since boot; null when it does not run. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return null
  }
}
