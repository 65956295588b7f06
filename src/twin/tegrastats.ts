import { type Dialect, dialects, type Engine } from './tegrastats-dialects.ts'

/** What a board would tell tegrastats at one moment. */
export interface TegrastatsState {
  /** Local time as `MM-DD-YYYY HH:MM:SS`. */
  readonly date: string
  readonly ram: {
    readonly usedBytes: number
    readonly totalBytes: number
    readonly largestBlocks: number
    readonly largestBlockBytes: number
  }
  /** Null when swap is off. */
  readonly swap: { readonly usedBytes: number; readonly totalBytes: number; readonly cachedBytes: number } | null
  /** Null for a core that is off. */
  readonly cores: readonly (Busy | null)[]
  /** One clock per GPC; 0 when it is railgated. */
  readonly gpu: { readonly load: number; readonly hz: readonly number[] }
  readonly emc: Busy
  /** By the dialect's token; one that is absent or null is off. */
  readonly engines: Readonly<Record<string, { readonly load: number | null; readonly hz: number } | null>>
  /**
   * °C by zone, lower case; null for one that is powered down, absent where the board has no such zone. What only old boards
   * call by another name (`thermal`, `BCPU`) follows from `tj`, `cpu` and `soc0`.
   */
  readonly zones: Readonly<Record<string, number | null>>
  /** In the order of the line; `NC` may occur several times. */
  readonly rails: readonly TegrastatsRail[]
}

export interface TegrastatsRail {
  readonly label: string
  readonly watts: number
  /** Mean and highest since that tegrastats process was started. */
  readonly meanWatts: number
  readonly maxWatts: number
}

interface Busy {
  /** 0..1 */
  readonly load: number
  readonly hz: number
}

/** Zones of old boards and of Thor by what stands for them when the state does not name them. */
const standIns: Readonly<Record<string, string>> = {
  thermal: 'tj',
  mcpu: 'cpu',
  bcpu: 'cpu',
  ao: 'soc0',
  aux: 'soc0',
  pll: 'soc0',
  soc012: 'soc0',
  soc345: 'soc1',
}
/** The power management chip has no sensor on R32: the kernel makes a value up. */
const pmicCelsius = 100

/** One line without its end. Pure: the same state gives the same line. Throws for a dialect that is not in the table. */
export function emit(dialect: string | Dialect, state: TegrastatsState): string {
  const how = typeof dialect === 'string' ? dialects.find(({ id }) => id === dialect) : dialect
  if (how === undefined) throw new Error(`no tegrastats dialect "${dialect}"`)
  const tokens = [
    how.date ? state.date : null,
    ramOf(state),
    state.swap &&
      `SWAP ${mb(state.swap.usedBytes)}/${mb(state.swap.totalBytes)}MB (cached ${mb(state.swap.cachedBytes)}MB)`,
    how.iram ? 'IRAM 0/252kB(lfb 252kB)' : null,
    `CPU [${state.cores.map((core) => (core === null ? 'off' : busy(core))).join(',')}]`,
    { clock: `EMC_FREQ ${busy(state.emc)}`, fake: 'EMC_FREQ 0%', omitted: null }[how.emc],
    gpuOf(how, state.gpu),
    how.gpu2 ? `GR3D2_FREQ ${how.id.startsWith('jp50') ? busy({ load: 0, hz: state.gpu.hz[0] }) : '0%@0'}` : null,
    ...how.engines.map((engine) => engineOf(engine, state.engines[engine[0]] ?? null)),
    how.mts ? 'MTS fg 0% bg 0%' : null,
    ...how.zones.map((zone) => zoneOf(how, zone, state.zones)),
    ...(how.rails === 'omitted' ? [] : state.rails.map((rail) => railOf(how.rails, rail))),
  ].filter((token) => token !== null)
  return how.padded ? padded(tokens) : tokens.join(' ')
}

function ramOf({ ram }: TegrastatsState): string {
  const block =
    ram.largestBlockBytes < 1024 ** 2 ? `${ram.largestBlockBytes / 1024}kB` : `${mb(ram.largestBlockBytes)}MB`
  return `RAM ${mb(ram.usedBytes)}/${mb(ram.totalBytes)}MB (lfb ${ram.largestBlocks}x${block})`
}

function gpuOf({ gpu: form }: Dialect, { load, hz }: TegrastatsState['gpu']): string | null {
  const clocks = `@[${hz.map(mhz).join(',')}]`
  const tokens: Readonly<Record<Dialect['gpu'], string | null>> = {
    clock: `GR3D_FREQ ${percent(load)}@${mhz(hz[0] ?? 0)}`,
    clocks: `GR3D_FREQ ${percent(load)}${clocks}`,
    load: `GR3D_FREQ ${percent(load)}`,
    fake: 'GR3D_FREQ 0%',
    'clocks only': `GR3D_FREQ ${clocks}`,
    omitted: null,
  }
  return tokens[form]
}

function engineOf([token, form]: Engine, engine: TegrastatsState['engines'][string]): string | null {
  if (engine === null) return form === '?' ? null : form === '#' ? `${token} 0` : `${token} off`
  if (form === '#') return `${token} ${mhz(engine.hz)}`
  if (form === '%')
    return engine.load === null
      ? `${token} ${mhz(engine.hz)}`
      : `${token} ${busy({ load: engine.load, hz: engine.hz })}`
  return `${token} @${mhz(engine.hz)}`
}

function zoneOf(how: Dialect, zone: string, zones: TegrastatsState['zones']): string | null {
  const name = zone.toLowerCase()
  const told = zones[name] === undefined ? zones[standIns[name] ?? name] : zones[name]
  const celsius = told === undefined && name === 'pmic' ? pmicCelsius : told
  if (celsius === undefined) return null
  if (celsius === null) return how.offZones === 'printed' ? `${zone}@-256C` : null
  const text = `${Number(celsius.toFixed(3))}C`
  return how.zoneMax ? `${zone}@${text}/${text}` : `${zone}@${text}`
}

function railOf(form: Dialect['rails'], { label, watts, meanWatts, maxWatts }: TegrastatsRail): string {
  const unit = form === 'bare' ? '' : 'mW'
  const values = form === 'mW max' ? [watts, meanWatts, maxWatts] : [watts, meanWatts]
  return `${label} ${values.map((value) => `${Math.round(value * 1000)}${unit}`).join('/')}`
}

/** As R36 on some images does it: columns as wide as their longest value. */
function padded(tokens: readonly string[]): string {
  return tokens
    .map((token) =>
      token.replace(/^(\w+) (off|\d+)$/, (_, name: string, value: string) => `${name.padEnd(10)} ${value.padEnd(4)}`),
    )
    .join('  ')
}

const percent = (load: number): string => `${Math.round(load * 100)}%`
const mhz = (hz: number): number => Math.floor(hz / 1e6)
const mb = (bytes: number): number => Math.floor(bytes / 1024 ** 2)
const busy = ({ load, hz }: Busy): string => `${percent(load)}@${mhz(hz)}`
