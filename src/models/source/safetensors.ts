import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DeapdError, detailOf } from '../../errors.ts'

/** The tensors of a Hugging Face folder, over all its shards, read one at a time. */
export interface TensorSource {
  has(name: string): boolean
  shape(name: string): readonly number[]
  /** The values as float32, in row-major order. */
  read(name: string): Float32Array
  close(): void
}

interface Entry {
  readonly fd: number
  readonly dtype: string
  readonly shape: readonly number[]
  readonly start: number
  readonly bytes: number
}

/** Bytes per value and conversion to float32 for each dtype we import. */
const dtypes: Readonly<Record<string, { bytes: number; decode: (raw: Buffer) => Float32Array }>> = {
  F32: { bytes: 4, decode: (raw) => new Float32Array(raw.buffer, raw.byteOffset, raw.byteLength / 4) },
  F16: { bytes: 2, decode: (raw) => Float32Array.from(halves(raw), halfToFloat) },
  BF16: { bytes: 2, decode: (raw) => new Float32Array(Uint32Array.from(halves(raw), (h) => h << 16).buffer) },
}

const halves = (raw: Buffer): Uint16Array => new Uint16Array(raw.buffer, raw.byteOffset, raw.byteLength / 2)

/** IEEE 754 half precision to single. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** Opens every *.safetensors file of `folder`; throws `import_damaged` when one is cut short or malformed. */
export function openSafetensors(folder: string): TensorSource {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.safetensors'))
    .sort()
  const entries = new Map<string, Entry>()
  const fds: number[] = []
  for (const file of files) {
    const path = join(folder, file)
    const fd = openSync(path, 'r')
    fds.push(fd)
    try {
      for (const [name, entry] of readHeader(fd, statSync(path).size)) entries.set(name, entry)
    } catch (error) {
      for (const open of fds) closeSync(open)
      throw new DeapdError('import_damaged', { path, detail: detailOf(error) }, error)
    }
  }
  const find = (name: string): Entry => {
    const entry = entries.get(name)
    if (!entry) throw new DeapdError('import_damaged', { path: folder, detail: `tensor ${name} is missing` })
    return entry
  }
  return {
    has: (name) => entries.has(name),
    shape: (name) => find(name).shape,
    read(name) {
      const { fd, dtype, start, bytes } = find(name)
      const decoder = dtypes[dtype]
      if (!decoder) throw new DeapdError('import_unsupported', { path: folder, detail: `${name} has dtype ${dtype}` })
      const raw = Buffer.from(new ArrayBuffer(bytes))
      readFully(fd, raw, start)
      return decoder.decode(raw)
    },
    close: () => {
      for (const fd of fds) closeSync(fd)
    },
  }
}

function readFully(fd: number, into: Buffer, position: number): void {
  // One read call returns at most 2 GiB.
  for (let done = 0; done < into.byteLength; ) {
    const count = readSync(fd, into, done, Math.min(into.byteLength - done, 1 << 30), position + done)
    if (count === 0) throw new Error('the file ends too early')
    done += count
  }
}

function readHeader(fd: number, fileBytes: number): [string, Entry][] {
  if (fileBytes < 8) throw new Error('the file is too short to hold a header')
  const length = Buffer.alloc(8)
  readFully(fd, length, 0)
  const headerBytes = Number(length.readBigUInt64LE())
  if (headerBytes > Math.min(fileBytes - 8, 100_000_000)) throw new Error('the header is longer than the file')
  const text = Buffer.alloc(headerBytes)
  readFully(fd, text, 8)
  const header = JSON.parse(text.toString('utf8')) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const bytes = to - from
        const expected = shape.reduce((a, b) => a * b, 1) * (dtypes[dtype]?.bytes ?? Number.NaN)
        if (Number.isFinite(expected) && expected !== bytes) throw new Error(`tensor ${name} has the wrong length`)
        if (8 + headerBytes + to > fileBytes) throw new Error(`tensor ${name} lies beyond the end of the file`)
        return [name, { fd, dtype, shape, start: 8 + headerBytes + from, bytes }]
      },
    )
}

/** Reads and parses a JSON file of the folder; undefined when it is not there. */
export function readJson(folder: string, file: string): Record<string, unknown> | undefined {
  const path = join(folder, file)
  if (!existsSync(path)) return undefined
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new DeapdError('import_damaged', { path, detail: detailOf(error) }, error)
  }
}
