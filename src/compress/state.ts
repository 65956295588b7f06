import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What of a pruning is finished, as files of its workspace: a kill costs the step that was running. */
export interface State {
  /** Folder for whatever the steps keep on disk. */
  readonly folder: string
  /** The result of an earlier run, or the result of doing it now, which is kept. Results are plain JSON. */
  once<T>(name: string, make: () => T): T
  /** What an earlier run kept under this name. */
  find<T>(name: string): T | undefined
  keep(name: string, result: unknown): void
  discard(): void
}

/** Opens the state of the pruning that `key` identifies; that of another one is thrown away. */
export function openState(workspace: string, key: string): State {
  const folder = join(workspace, 'prune')
  const keyFile = join(folder, 'key')
  if (!existsSync(keyFile) || readFileSync(keyFile, 'utf8') !== key) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    writeFileSync(keyFile, key)
  }
  const path = (name: string): string => join(folder, `${name}.json`)
  const find = <T>(name: string): T | undefined =>
    existsSync(path(name)) ? (JSON.parse(readFileSync(path(name), 'utf8'), revive) as T) : undefined
  const keep = (name: string, result: unknown): void => {
    writeFileSync(`${path(name)}.new`, JSON.stringify(result, pack), { flush: true })
    renameSync(`${path(name)}.new`, path(name))
  }
  return {
    folder,
    find,
    keep,
    once(name, make) {
      const found = find<ReturnType<typeof make>>(name)
      if (found !== undefined) return found
      const made = make()
      keep(name, made)
      return made
    },
    discard: () => rmSync(folder, { recursive: true, force: true }),
  }
}

const arrays = { Float32Array, Float64Array, Int32Array, Uint8Array } as const

/** Typed arrays travel as base64, exactly. */
function pack(_: string, value: unknown): unknown {
  if (!ArrayBuffer.isView(value)) return value
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return { array: value.constructor.name, base64: bytes.toString('base64') }
}

function revive(_: string, value: unknown): unknown {
  const { array, base64 } = (value ?? {}) as { array?: keyof typeof arrays; base64?: string }
  if (array === undefined || base64 === undefined) return value
  const bytes = new Uint8Array(Buffer.from(base64, 'base64'))
  return new arrays[array](bytes.buffer)
}
