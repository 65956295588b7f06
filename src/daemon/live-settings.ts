import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { type SettingName, Settings } from '../config/schema.ts'
import type { Configurable } from '../telemetry/configure.ts'

/** Settings that take effect at the next tick and that a fleet may change: none of them touches budget or safety. */
const live = ['mqtt_interval_s', 'latency_target_ms', 'first_token_target_s'] as const
type Live = Pick<Settings, (typeof live)[number]>

export interface LiveSettings extends Configurable {
  readonly current: () => Readonly<Live>
}

/** Begins with what the operator configured, and goes back to it for whatever a fleet leaves out. Nothing is written. */
export function createLiveSettings(settings: Settings): LiveSettings {
  const configured = Object.fromEntries(live.map((name) => [name, settings[name]])) as unknown as Live
  let now = configured
  return {
    current: () => now,
    apply(wanted) {
      const problems = Object.entries(wanted).map(([name, value]) => [name, problemOf(name, value)] as const)
      const errors = problems.filter((row): row is [string, string] => row[1] !== null)
      const good = Object.entries(wanted).filter(([name]) =>
        problems.some(([of, text]) => of === name && text === null),
      )
      now = { ...configured, ...Object.fromEntries(good) }
      return Object.fromEntries(errors)
    },
  }
}

function problemOf(name: string, value: unknown): string | null {
  if (!Object.hasOwn(Settings.properties, name)) return 'there is no such setting'
  if (!live.some((known) => known === name)) return 'it takes effect only at a start, from file, environment or flag'
  const schema: TSchema = Settings.properties[name as SettingName]
  if (Value.Check(schema, value)) return null
  const [first] = Value.Errors(schema, value)
  return `${first.message}; as configured`
}
