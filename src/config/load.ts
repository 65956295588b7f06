import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { DeapdError, detailOf } from '../errors.ts'
import { type SettingName, Settings, settingRows } from './schema.ts'

export interface LoadedSettings {
  readonly settings: Settings
  /** Where each setting that is not a default came from. */
  readonly sources: Readonly<Partial<Record<SettingName, string>>>
  /** Things the operator should know, such as unknown keys in the file. */
  readonly warnings: readonly string[]
}

/** Where the service keeps its configuration when no file is named. */
export const defaultConfigFile = '/etc/deapd/config.json'

/**
 * Settings from file, environment and flags, the later winning. The file is read only: the daemon never writes what the
 * operator wrote. Throws `setting_invalid` or `file_unreadable`.
 */
export function loadSettings(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  configFile?: string,
): LoadedSettings {
  const file = configFile ?? (existsSync(defaultConfigFile) ? defaultConfigFile : undefined)
  const fromFile = file ? readFile(file) : {}
  const values: Record<string, unknown> = {}
  const sources: Partial<Record<SettingName, string>> = {}
  for (const { name, flag, env: variable, default: fallback } of settingRows) {
    const layers: readonly [unknown, string][] = [
      [flags[name], flag],
      [env[variable], `the environment variable ${variable}`],
      [fromFile[name], String(file)],
    ]
    const [value, source] = layers.find(([candidate]) => candidate !== undefined) ?? [fallback, 'the defaults']
    if (source !== 'the defaults') sources[name] = source
    values[name] = convert(name, value, source)
  }
  const known = new Set<string>(settingRows.map(({ name }) => name))
  const warnings = Object.keys(fromFile)
    .filter((key) => !known.has(key))
    .map((key) => `${file}: there is no setting "${key}"; it was ignored`)
  return { settings: values as Settings, sources, warnings }
}

/** Environment and flags are text: a number is read where the schema wants one. */
function convert(name: SettingName, value: unknown, source: string): unknown {
  const schema: TSchema = Settings.properties[name]
  const candidates = typeof value === 'string' && /^\s*-?\d+(\.\d+)?\s*$/.test(value) ? [value, Number(value)] : [value]
  const fitting = candidates.find((candidate) => Value.Check(schema, candidate))
  if (fitting !== undefined) return fitting
  if (value === null && Value.Check(schema, null)) return null
  const [first] = Value.Errors(schema, candidates[candidates.length - 1])
  throw new DeapdError('setting_invalid', { name, value: String(value), detail: first.message, source })
}

function readFile(path: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed))
      throw new Error('it is not a JSON object')
    return parsed as Record<string, unknown>
  } catch (error) {
    throw new DeapdError('file_unreadable', { path, detail: detailOf(error) }, error)
  }
}

/** The state folder: the one asked for, the service's, or the user's. */
export function stateFolder(setting: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  if (setting) return setting
  if (env.STATE_DIRECTORY) return env.STATE_DIRECTORY
  return join(env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'deapd')
}

/** Splits `HOST:PORT`, `[v6]:PORT` or `PORT`; throws `setting_invalid`. */
export function parseAddress(name: SettingName, value: string): { host: string; port: number } {
  const match = /^(?:(\[[^\]]+\]|[^:]*):)?(\d{1,5})$/.exec(value)
  const port = Number(match?.[2])
  if (!match || port > 65_535) {
    throw new DeapdError('setting_invalid', { name, value, detail: 'it must be HOST:PORT', source: `--${name}` })
  }
  return { host: (match[1] || '127.0.0.1').replace(/^\[|\]$/g, ''), port }
}
