/** Settings that a fleet may change while the daemon runs; names and values as in the configuration file. */
export interface Configurable {
  readonly current: () => Readonly<Record<string, unknown>>
  /** Takes the whole document: what is not in it is again as the operator configured it. Returns a sentence for each key it refuses. */
  readonly apply: (wanted: Readonly<Record<string, unknown>>) => Readonly<Record<string, string>>
}

/** `config/reported`: the settings in force, the version they are of (null: the operator's own), and what was refused. */
export interface Reported {
  readonly version: unknown
  readonly errors: Readonly<Record<string, string>>
  readonly [setting: string]: unknown
}

export const reportedAtFirst = ({ current }: Configurable): Reported => ({ ...current(), version: null, errors: {} })

/** What `config/desired` said, carried out as far as it can be. A document that cannot be read changes nothing. */
export function configure(payload: string, config: Configurable, before: Reported | null): Reported {
  const refused = (text: string): Reported => ({
    ...config.current(),
    version: before?.version ?? null,
    errors: { document: text },
  })
  if (payload === '') {
    config.apply({})
    return reportedAtFirst(config)
  }
  const document = parse(payload)
  if (document === null) return refused('it is not a JSON object; nothing was changed')
  const { version, ...wanted } = document
  if (typeof version !== 'number' && typeof version !== 'string') {
    return refused('it needs a version, a number or a text; nothing was changed')
  }
  const errors = config.apply(Object.fromEntries(Object.entries(wanted).filter(([key]) => !envelope.has(key))))
  return { ...config.current(), version, errors }
}

/** Keys that every message may carry. */
const envelope = new Set(['schema', 'ts', 'mono_ms', 'boot_id', 'seq', 'replayed', 'errors', 'issued_by'])

function parse(payload: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(payload)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null
  } catch {
    return null
  }
}
