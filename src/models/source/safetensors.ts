import { closeSync, existsSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DeapdError, detailOf } from '../../errors.ts'
import { floatDtypes } from './dtypes.ts'
import { readFully, type TensorEntry, type TensorTable } from './tensors.ts'

const indexFile = 'model.safetensors.index.json'

/**
 * Finds every tensor of a Hugging Face folder, over all its shards: those its index names, else every *.safetensors. Throws
 * `import_damaged` when a shard is missing, cut short or malformed.
 */
export function readSafetensors(folder: string): TensorTable {
  const table: Record<string, TensorEntry> = {}
  for (const file of shards(folder)) {
    const path = join(folder, file)
    for (const [name, entry] of readShard(path)) {
      if (name in table) throw new DeapdError('import_damaged', { path, detail: `${name} is in another shard too` })
      table[name] = entry
    }
  }
  return table
}

function shards(folder: string): readonly string[] {
  const present = readdirSync(folder).filter((name) => name.endsWith('.safetensors'))
  const index = readJson(folder, indexFile)
  const wanted = index
    ? [...new Set(Object.values((index.weight_map ?? {}) as Record<string, string>))]
    : numbered(present)
  const missing = wanted.filter((name) => !present.includes(name))
  if (missing.length > 0) {
    throw new DeapdError('import_damaged', { path: folder, detail: `it lacks ${missing.join(', ')}` })
  }
  if (wanted.length > 0) return wanted.sort()
  // One whole file beats whatever lies beside it, such as another program's copy of the same weights.
  return present.includes('model.safetensors') ? ['model.safetensors'] : present.sort()
}

/** All names of a series `model-00001-of-00003.safetensors`, of which some may be missing. */
function numbered(present: readonly string[]): string[] {
  const match = present.map((name) => /^(.*-)\d{5}-of-(\d{5})\.safetensors$/.exec(name)).find((m) => m !== null)
  if (!match) return []
  const [, stem, count] = match
  return Array.from(
    { length: Number(count) },
    (_, i) => `${stem}${String(i + 1).padStart(5, '0')}-of-${count}.safetensors`,
  )
}

function readShard(path: string): [string, TensorEntry][] {
  const fd = openSync(path, 'r')
  try {
    return readHeader(fd, path, statSync(path).size)
  } catch (error) {
    if (error instanceof DeapdError) throw error
    throw new DeapdError('import_damaged', { path, detail: detailOf(error) }, error)
  } finally {
    closeSync(fd)
  }
}

function readHeader(fd: number, path: string, fileBytes: number): [string, TensorEntry][] {
  if (fileBytes < 8) throw new Error('the file is too short to hold a header')
  const length = Buffer.alloc(8)
  readFully(fd, length, 0)
  const headerBytes = Number(length.readBigUInt64LE())
  if (headerBytes > Math.min(fileBytes - 8, 100_000_000)) throw new Error('the header is longer than the file')
  const text = Buffer.alloc(headerBytes)
  readFully(fd, text, 8)
  const header: unknown = JSON.parse(text.toString('utf8'))
  if (typeof header !== 'object' || header === null) throw new Error('the header is not an object')
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, described]) => {
      const { dtype, shape, from, to } = checked(name, described)
      const format = Object.hasOwn(floatDtypes, dtype) ? floatDtypes[dtype] : undefined
      if (!format)
        throw new DeapdError('import_unsupported', {
          path,
          detail: `${name} is stored as ${dtype}; deapd reads ${Object.keys(floatDtypes).join(', ')}`,
        })
      if (shape.reduce((a, b) => a * b, 1) * format.blockBytes !== to - from) {
        throw new Error(`tensor ${name} has the wrong length`)
      }
      if (8 + headerBytes + to > fileBytes) throw new Error(`tensor ${name} lies beyond the end of the file`)
      return [name, { path, dtype, shape, start: 8 + headerBytes + from }]
    })
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function checked(name: string, described: unknown): { dtype: string; shape: number[]; from: number; to: number } {
  const { dtype, shape, data_offsets: offsets } = (described ?? {}) as Record<string, unknown>
  const good =
    typeof dtype === 'string' &&
    Array.isArray(shape) &&
    shape.every(isCount) &&
    Array.isArray(offsets) &&
    offsets.length === 2 &&
    offsets.every(isCount) &&
    offsets[0] <= offsets[1]
  if (!good) throw new Error(`the header does not describe tensor ${name}`)
  return { dtype, shape, from: offsets[0], to: offsets[1] }
}

/** Reads and parses a JSON file of the folder; undefined when it is not there. */
export function readJson(folder: string, file: string): Record<string, unknown> | undefined {
  const path = join(folder, file)
  if (!existsSync(path)) return undefined
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof parsed !== 'object' || parsed === null) throw new Error('it is not a JSON object')
    return parsed as Record<string, unknown>
  } catch (error) {
    throw new DeapdError('import_damaged', { path, detail: detailOf(error) }, error)
  }
}
