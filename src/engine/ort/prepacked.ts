import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { detailOf } from '../../errors.ts'
import { hashFile } from '../../models/package.ts'

/** What prepacked weights depend on: any change makes them anew. */
export interface PrepackKey {
  /** sha256 of the graph and of the weights. */
  readonly model: string
  readonly runtime: string
  /** The kernels' choice of layout: processor and its features. */
  readonly cpu: string
}

export interface PrepackOptions {
  /** The package's folder; the cache lies in it where it can be written. */
  readonly dir: string
  readonly key: PrepackKey
  /** Bytes of the weight file: a cache needs about twice as much while it is made. */
  readonly weightBytes: number
  /** Where the cache goes for packages that may not be written. */
  readonly fallback?: string
  /** Writes what a start needs into a folder: a graph, and prepacked weights in files named `*.prepacked`. */
  readonly make: (folder: string) => void
}

/** What to load, and how it came about; `home` null: load the package's own graph. */
export interface Prepacked {
  readonly home: string | null
  readonly state: 'used' | 'made' | 'unavailable'
  readonly detail: string
}

const inPackage = '.prepacked'
const sealName = 'seal.json'
const weightsEnd = '.prepacked'

/** Goes up when the same inputs would give another cache. */
const revision = 4

/**
 * The prepacked form of a package for this machine: found, or made now and sealed last, so that a half-made one is never
 * used. Whatever goes wrong (disk full, folder read-only, damage) the package's own graph serves, and the detail says why.
 */
export function prepacked(options: PrepackOptions): Prepacked {
  const name = createHash('sha256')
    .update(JSON.stringify([revision, options.key]))
    .digest('hex')
    .slice(0, 16)
  const homes = cacheRoots(options).map((root) => ({ root, home: join(root, name) }))
  const found = homes.find(({ home }) => intact(home))
  if (found) return { home: found.home, state: 'used', detail: found.home }
  const failures: string[] = []
  for (const { root, home } of homes) {
    try {
      make(root, home, options)
      return { home, state: 'made', detail: home }
    } catch (error) {
      failures.push(detailOf(error))
    }
  }
  return { home: null, state: 'unavailable', detail: failures.join('; ') }
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`

function make(root: string, home: string, { weightBytes, make: write }: PrepackOptions): void {
  // Not `recursive` into the package: in a folder that takes no entries that would try for ever.
  if (!existsSync(root)) mkdirSync(root, { recursive: basename(root) !== inPackage })
  const partial = join(root, `.${basename(home)}.${process.pid}.part`)
  // Caches of another processor, library or state of the package, and what a killed maker left, are of no more use.
  for (const old of readdirSync(root)) rmSync(join(root, old), { recursive: true, force: true })
  const room = statfsSync(root)
  const free = room.bavail * room.bsize
  const needed = 2.2 * weightBytes
  if (free < needed) throw new Error(`${root} has ${megabytes(free)} free and needs ${megabytes(needed)}`)
  mkdirSync(partial)
  try {
    write(partial)
    writeFileSync(join(partial, sealName), JSON.stringify(seal(partial)), { flush: true })
    renameSync(partial, home)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

/** Where a package's cache may lie: inside it, or under the fallback in a folder of its own. */
function cacheRoots({ dir, fallback = defaultCache(process.env) }: PrepackOptions): readonly string[] {
  const id = createHash('sha256').update(realpathSync(dir)).digest('hex').slice(0, 12)
  return [join(dir, inPackage), join(fallback, `${basename(dir)}-${id}`)]
}

/** systemd's cache folder, or the user's. */
const defaultCache = (env: NodeJS.ProcessEnv): string =>
  join(env.CACHE_DIRECTORY || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'deapd'), 'prepacked')

/** Per file its size and a hash: of samples spread over weights, for reading gigabytes would cost more than prepacking them. */
type Seal = Readonly<Record<string, ReturnType<typeof hashFile>>>

const samples = 64
const sampleBytes = 4096

function seal(home: string): Seal {
  const files = readdirSync(home).filter((name) => name !== sealName)
  return Object.fromEntries(
    files.sort().map((name) => {
      const path = join(home, name)
      return [name, name.endsWith(weightsEnd) ? hashSamples(path) : hashFile(path)]
    }),
  )
}

function hashSamples(path: string): ReturnType<typeof hashFile> {
  const hash = createHash('sha256')
  const piece = Buffer.alloc(sampleBytes)
  const bytes = statSync(path).size
  const fd = openSync(path, 'r')
  try {
    for (let i = 0; i < samples; i++) {
      const at = Math.floor(((bytes - sampleBytes) * i) / (samples - 1))
      hash.update(piece.subarray(0, readSync(fd, piece, 0, sampleBytes, Math.max(0, at))))
    }
    return { sha256: hash.digest('hex'), bytes }
  } finally {
    closeSync(fd)
  }
}

function intact(home: string): boolean {
  if (!existsSync(join(home, sealName))) return false
  try {
    return readFileSync(join(home, sealName), 'utf8') === JSON.stringify(seal(home))
  } catch {
    // A file of it is gone: as good as damaged, and made again.
    return false
  }
}

/** The processor as far as kernels choose by it. */
export function cpuIdentity(cpuinfo = readText('/proc/cpuinfo')): string {
  const lines = cpuinfo
    .split('\n')
    .filter((line) => /^(model name|flags|Features|CPU (implementer|part))\s*:/.test(line))
  return createHash('sha256')
    .update([...new Set(lines)].join('\n'))
    .digest('hex')
}

const readText = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : process.arch)
