import Type, { type Static } from 'typebox'

/**
 * Every setting of the daemon, once: type, default, help, the placeholder of its flag and, where it is not
 * `DEAPD_<NAME>`, its environment variable. File, flags, environment, validation and the README table come from here.
 */
export const Settings = Type.Object({
  listen: Type.String({
    default: '127.0.0.1:8717',
    argument: 'HOST:PORT',
    description: 'address of the HTTP API and the page; port 0 takes any free port',
  }),
  mqtt: Type.String({
    default: 'auto',
    argument: 'embedded[:PORT]|URL|none',
    description: 'MQTT broker; auto is an embedded one on 127.0.0.1:1883 on a simulated board and none on a Jetson',
  }),
  state: Type.String({
    default: '',
    argument: 'DIR',
    env: 'DEAPD_STATE_DIR',
    description: 'machine state; default /var/lib/deapd as a service, else the XDG state folder',
  }),
  model: Type.String({ default: '', argument: 'DIR', description: 'model package; default the bundled support-s' }),
  budget: Type.Union([Type.Number({ exclusiveMinimum: 0 }), Type.Null()], {
    default: null,
    argument: 'W',
    description: 'watt budget of the module; default the board’s own',
  }),
  twin: Type.String({
    default: '',
    argument: 'BOARD',
    description: 'simulate this board; default on anything that is not a Jetson: agx-orin-64gb',
  }),
  as_if: Type.Union([Type.Literal('llama-2-7b'), Type.Literal('none')], {
    default: 'llama-2-7b',
    argument: 'llama-2-7b|none',
    description: 'on a simulated board: which model’s time and energy the bundled one is charged with',
  }),
  sysfs_root: Type.String({
    default: '',
    argument: 'DIR',
    description: 'folder that stands for / when looking for sensors and clocks of a board',
  }),
  tegrastats: Type.String({
    default: '',
    argument: 'CMD',
    description:
      'command that prints tegrastats lines, used while no INA3221 answers; a Jetson’s own is found by itself',
  }),
  sensor: Type.String({
    default: 'auto',
    argument: 'NAME',
    description:
      'auto takes the board’s own sensors first; else one of hwmon, iio, tegrastats, meter, nvidia-smi, rapl or replay:FILE[@SPEED]. The sensors of a PC (nvidia-smi, rapl, meter) also let deapd run measured on a machine that is no Jetson',
  }),
  meter: Type.String({
    default: '',
    argument: 'URL',
    description:
      'external power meter over MQTT: mqtt://broker/topic, with #path.to.watts for a JSON message; used while the board’s own sensors are blind',
  }),
  site: Type.String({
    default: 'local',
    argument: 'NAME',
    pattern: '^[^/+#\\s]+$',
    description: 'site in the MQTT topics',
  }),
  device: Type.String({
    default: '',
    argument: 'NAME',
    pattern: '^[^/+#\\s]*$',
    description: 'device in the MQTT topics; default an id kept in the state folder',
  }),
  threads: Type.Integer({ default: 2, minimum: 1, maximum: 64, argument: 'N', description: 'threads of the engine' }),
  provider: Type.Union([Type.Literal('auto'), Type.Literal('cpu'), Type.Literal('cuda'), Type.Literal('webgpu')], {
    default: 'auto',
    argument: 'auto|cpu|cuda|webgpu',
    description: 'who runs the graph; auto is CUDA for a float16 package where the library has it, else the CPU',
  }),
  max_sequences: Type.Integer({
    default: 4,
    minimum: 1,
    maximum: 16,
    argument: 'N',
    description: 'answers made at the same time',
  }),
  max_queued: Type.Integer({
    default: 32,
    minimum: 0,
    maximum: 1024,
    argument: 'N',
    description: 'requests that may wait; more are refused with 503',
  }),
  latency_target_ms: Type.Number({
    default: 50,
    minimum: 0,
    maximum: 10_000,
    argument: 'MS',
    description:
      'milliseconds an answer may wait for its next token: the governor takes the least joules that keep it (50: three times as fast as people read); 0 is as fast as the budget allows',
  }),
  first_token_target_s: Type.Number({
    default: 2,
    minimum: 0,
    maximum: 600,
    argument: 'S',
    description: 'seconds in which the prompts that wait should be read',
  }),
  grid: Type.String({
    default: 'world',
    argument: 'CODE|G_PER_KWH',
    description: 'carbon intensity of the electricity: a country code of the built-in table or grams per kWh',
  }),
  battery_wh: Type.Union([Type.Number({ exclusiveMinimum: 0 }), Type.Null()], {
    default: null,
    argument: 'WH',
    description: 'capacity of the battery the board runs on, for the hours and tokens it has left',
  }),
  allowed_hosts: Type.String({
    default: '',
    argument: 'LIST',
    description: 'further Host names that may be used in requests, with commas',
  }),
  allowed_origins: Type.String({
    default: '',
    argument: 'LIST',
    description: 'web origins that may use the API, with commas',
  }),
  mqtt_interval_s: Type.Number({
    default: 10,
    minimum: 1,
    maximum: 3600,
    argument: 'S',
    description: 'seconds between two telemetry messages without an event',
  }),
  log_level: Type.Union(
    ['silent', 'error', 'warn', 'info', 'debug'].map((level) => Type.Literal(level)),
    { default: 'info', argument: 'LEVEL', description: 'silent, error, warn, info or debug' },
  ),
})
export type Settings = Static<typeof Settings>
export type SettingName = keyof Settings

interface Row {
  readonly name: SettingName
  readonly flag: string
  readonly env: string
  readonly argument: string
  readonly description: string
  readonly default: unknown
}

/** The settings as rows, for the command line, the environment and the docs. */
export const settingRows: readonly Row[] = Object.entries(Settings.properties).map(([name, schema]) => {
  const {
    argument,
    env,
    description,
    default: value,
  } = schema as typeof schema & { argument: string; env?: string; description: string; default: unknown }
  return {
    name: name as SettingName,
    flag: `--${name.replaceAll('_', '-')}`,
    env: env ?? `DEAPD_${name.toUpperCase()}`,
    argument,
    description,
    default: value,
  }
})
