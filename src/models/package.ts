import { createHash } from 'node:crypto'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { Value } from 'typebox/value'
import { DeapdError, detailOf } from '../errors.ts'
import { Manifest, manifestFile } from './manifest.ts'

export interface ModelPackage {
  /** The folder's name, which is the model id on every interface. */
  readonly id: string
  readonly dir: string
  readonly manifest: Manifest
  /** sha256 of the manifest, which itself holds the hashes of all files. */
  readonly digest: string
  readonly bytes: number
  readonly modifiedAt: Date
}

/**
 * Reads a package's manifest and checks that every file is there in full length; the hashes are left to `verifyPackage`,
 * because reading gigabytes would delay every start. Throws `package_missing`, `package_invalid` or `package_damaged`.
 */
export function openPackage(dir: string): ModelPackage {
  const path = resolve(dir)
  const file = join(path, manifestFile)
  if (!existsSync(file)) throw new DeapdError('package_missing', { path })
  const raw = readFileSync(file)
  const manifest = parse(path, raw)
  for (const [name, { bytes }] of Object.entries(manifest.files)) {
    const actual = existsSync(join(path, name)) ? statSync(join(path, name)).size : undefined
    if (actual === undefined) throw new DeapdError('package_damaged', { path, file: name, detail: 'it is missing' })
    if (actual !== bytes) {
      throw new DeapdError('package_damaged', {
        path,
        file: name,
        detail: `it has ${actual} bytes instead of ${bytes}`,
      })
    }
  }
  return {
    id: basename(path),
    dir: path,
    manifest,
    digest: createHash('sha256').update(raw).digest('hex'),
    bytes: Object.values(manifest.files).reduce((sum, { bytes }) => sum + bytes, 0),
    modifiedAt: statSync(file).mtime,
  }
}

function parse(path: string, raw: Buffer): Manifest {
  let manifest: unknown
  try {
    manifest = JSON.parse(raw.toString('utf8'))
  } catch (error) {
    throw new DeapdError('package_invalid', { path, detail: `${manifestFile} is not JSON (${detailOf(error)})` }, error)
  }
  if (!Value.Check(Manifest, manifest)) {
    const [first] = Value.Errors(Manifest, manifest)
    throw new DeapdError('package_invalid', {
      path,
      detail: `${manifestFile}: ${first.instancePath || '/'} ${first.message}`,
    })
  }
  const outside = Object.keys(manifest.files).find((name) => basename(name) !== name)
  if (outside !== undefined)
    throw new DeapdError('package_invalid', { path, detail: `file name "${outside}" is not plain` })
  const shares = manifest.levels.map((level) => level.share)
  if (shares.some((share, i) => i > 0 && share <= shares[i - 1]) || shares[shares.length - 1] !== 1) {
    throw new DeapdError('package_invalid', { path, detail: 'level shares must rise to 1' })
  }
  return manifest
}

/** Opens a package and compares every file with its hash. */
export function verifyPackage(dir: string): ModelPackage {
  const found = openPackage(dir)
  for (const [name, { sha256 }] of Object.entries(found.manifest.files)) {
    const actual = hashFile(join(found.dir, name)).sha256
    if (actual !== sha256) {
      throw new DeapdError('package_damaged', {
        path: found.dir,
        file: name,
        detail: 'its content does not match its hash',
      })
    }
  }
  return found
}

/** The packages in `folder`; folders that are no package are passed over, damaged ones come back as errors. */
export function listPackages(folder: string): (ModelPackage | { readonly id: string; readonly error: DeapdError })[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter(
      (entry) =>
        entry.isDirectory() && !entry.name.startsWith('.') && existsSync(join(folder, entry.name, manifestFile)),
    )
    .map(({ name: id }) => {
      try {
        return openPackage(join(folder, id))
      } catch (error) {
        if (error instanceof DeapdError) return { id, error }
        throw error
      }
    })
}

/** sha256 and length of a file, read in pieces. */
export function hashFile(path: string): { sha256: string; bytes: number } {
  const hash = createHash('sha256')
  const piece = Buffer.alloc(1 << 20)
  const fd = openSync(path, 'r')
  try {
    let bytes = 0
    for (let count = readSync(fd, piece); count > 0; count = readSync(fd, piece)) {
      hash.update(piece.subarray(0, count))
      bytes += count
    }
    return { sha256: hash.digest('hex'), bytes }
  } finally {
    closeSync(fd)
  }
}
