import { chmodSync, copyFileSync, existsSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'

const readOnly = 0o444
const writable = 0o644

/**
 * Returns what makes writes to these files fail, or succeed again. Permissions do it for an ordinary user. Root writes
 * whatever the permissions say; for it the file becomes a link that leads out of the root, which the clock adapter may
 * read and must not follow for writing.
 */
export function refusal(root: string, paths: readonly string[]): (refuse: boolean) => void {
  const isRoot = process.getuid?.() === 0
  const aside = `${root}-refused`
  let refused: boolean | null = null

  const lock = (path: string, index: number): void => {
    if (!isRoot) {
      chmodSync(path, readOnly)
      return
    }
    mkdirSync(aside, { recursive: true })
    const target = join(aside, `${index}-${basename(path)}`)
    copyFileSync(path, target)
    rmSync(path)
    symlinkSync(target, path)
  }
  const unlock = (path: string, index: number): void => {
    if (!isRoot) {
      chmodSync(path, writable)
      return
    }
    if (!lstatSync(path).isSymbolicLink()) return
    renameSync(join(aside, `${index}-${basename(path)}`), path)
  }

  return (refuse) => {
    if (refuse === refused) return
    refused = refuse
    for (const [index, name] of paths.entries()) {
      const path = join(root, name)
      if (!existsSync(path)) continue
      if (refuse) lock(path, index)
      else unlock(path, index)
    }
    if (!refuse) rmSync(aside, { recursive: true, force: true })
  }
}
