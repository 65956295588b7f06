/**
 * The tegrastats line as a pure token grammar (hardware.md §1.1): every field optional, any order, any subset, unknown
 * tokens kept. It never throws, and what a release prints as a plausible 0 without rights is unknown here, not zero.
 */
export interface TegrastatsLine {
  readonly date: string | null
  /** Instantaneous watts by rail; the averages tegrastats keeps are polluted by its start and are not used. */
  readonly railWatts: Readonly<Record<string, number>>
  /** Per thermal zone; null for one that is powered down (-256 °C). */
  readonly zoneCelsius: Readonly<Record<string, number | null>>
  readonly memory: Readonly<Record<string, Memory>>
  /** Per core; null for a core that is off. */
  readonly cpus: readonly (Engine | null)[]
  readonly gpu: Engine | null
  readonly emc: Engine | null
  /** Every other engine; null when it is off. */
  readonly engines: Readonly<Record<string, Engine | null>>
  readonly unknown: readonly string[]
}

export interface Memory {
  readonly usedBytes: number
  readonly totalBytes: number
  /** Size and number of the largest free blocks (`lfb`); null when the line does not say. */
  readonly largestBlockBytes: number | null
  readonly largestBlocks: number | null
}

export interface Engine {
  /** 0..1, or null when the line does not say or cannot know. */
  readonly load: number | null
  /** One clock per GPC or engine; empty when not given. */
  readonly hz: readonly number[]
}

type Draft = { -readonly [key in keyof TegrastatsLine]: TegrastatsLine[key] } & {
  railWatts: Record<string, number>
  zoneCelsius: Record<string, number | null>
  memory: Record<string, Memory>
  engines: Record<string, Engine | null>
  unknown: string[]
}

interface Token {
  readonly pattern: RegExp
  readonly take: (draft: Draft, match: RegExpExecArray) => void
}

const unitBytes: Readonly<Record<string, number>> = { kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }

/**
 * Tried in order at each position. Every pattern is sticky, ends at white space or the end, and has bounded numbers and
 * names, so that a line of any content takes linear time and no number overflows; what is longer is an unknown word.
 */
const tokens: readonly Token[] = [
  { pattern: /(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)(?!\S)/y, take: takeDate },
  {
    pattern: /RAM (\d{1,9})\/(\d{1,9})([kMG]B)(?: \(lfb (\d{1,9})x(\d{1,9})([kMG]B)\))?(?!\S)/y,
    take: takeMemory('RAM'),
  },
  { pattern: /SWAP (\d{1,9})\/(\d{1,9})([kMG]B)(?: \(cached \d{1,9}[kMG]B\))?(?!\S)/y, take: takeMemory('SWAP') },
  { pattern: /IRAM (\d{1,9})\/(\d{1,9})([kMG]B)(?:\(lfb \d{1,9}[kMG]B\))?(?!\S)/y, take: takeMemory('IRAM') },
  { pattern: /CPU \[([\d%@,of]{1,2000})\](?:@(\d{1,6}))?(?!\S)/y, take: takeCpus },
  { pattern: /MTS fg (\d{1,3})% bg (\d{1,3})%(?!\S)/y, take: takeMts },
  { pattern: /([A-Za-z]\w{0,39})@(-?\d{1,4}(?:\.\d{1,6})?)C(?:\/-?\d{1,4}(?:\.\d{1,6})?C)?(?!\S)/y, take: takeZone },
  { pattern: /([A-Za-z]\w{0,39}) +(\d{1,7})(?:mW)?\/\d{1,7}(?:mW)?(?:\/\d{1,7}(?:mW)?)?(?!\S)/y, take: takeRail },
  { pattern: /([A-Za-z]\w{0,39}) +off(?!\S)/y, take: takeOff },
  {
    pattern: /([A-Za-z]\w{0,39}) +(?:(\d{1,3})%)?@(?:(\d{1,6})|\[([\d,]{1,200})\])(?!\S)/y,
    take: (draft, [, name, load, clock, clocks]) =>
      takeEngine(draft, name, { load: load === undefined ? null : percent(load), hz: megahertz(clock ?? clocks) }),
  },
  {
    pattern: /([A-Za-z]\w{0,39}) +(\d{1,3})%(?!\S)/y,
    take: (draft, [, name, load]) => takeEngine(draft, name, { load: percent(load), hz: [] }),
  },
  {
    pattern: /([A-Za-z]\w{0,39}) +(\d{1,6})(?!\S)/y,
    take: (draft, [, name, clock]) => takeEngine(draft, name, { load: null, hz: megahertz(clock) }),
  },
]

export function parseTegrastats(line: string): TegrastatsLine {
  const draft: Draft = {
    date: null,
    railWatts: {},
    zoneCelsius: {},
    memory: {},
    cpus: [],
    gpu: null,
    emc: null,
    engines: {},
    unknown: [],
  }
  const gap = /\s*/y
  for (let at = 0; at < line.length; ) {
    gap.lastIndex = at
    gap.exec(line)
    at = gap.lastIndex < line.length ? takeToken(draft, line, gap.lastIndex) : line.length
  }
  return withoutFakeZeros(draft)
}

function takeToken(draft: Draft, line: string, at: number): number {
  for (const { pattern, take } of tokens) {
    pattern.lastIndex = at
    const match = pattern.exec(line)
    if (match !== null) {
      take(draft, match)
      return pattern.lastIndex
    }
  }
  const word = /\S+/y
  word.lastIndex = at
  draft.unknown.push(word.exec(line)?.[0] ?? line.slice(at))
  return word.lastIndex || line.length
}

/**
 * Without root R32 and R35 print `EMC_FREQ 0%` and `GR3D_FREQ 0%` without a clock whatever the load is (§1.4). Releases from
 * R36, which write zones in lower case, measure GR3D without root; EMC without a clock is unknown on every release.
 */
function withoutFakeZeros(draft: Draft): TegrastatsLine {
  const measured =
    draft.gpu?.load !== 0 || Object.keys(draft.zoneCelsius).some((zone) => /^(cpu|gpu|soc\d+)$/.test(zone))
  const gpu = draft.gpu !== null && draft.gpu.hz.length === 0 && !measured ? { load: null, hz: [] } : draft.gpu
  const emc = draft.emc !== null && draft.emc.hz.length === 0 ? { load: null, hz: [] } : draft.emc
  return { ...draft, gpu, emc }
}

function takeDate(draft: Draft, [, date]: RegExpExecArray): void {
  draft.date = date
}

function takeZone(draft: Draft, [, zone, celsius]: RegExpExecArray): void {
  draft.zoneCelsius[zone] = Number(celsius) < -200 ? null : Number(celsius)
}

/** NC is a channel that is not connected; it occurs twice in one line on AGX R35. */
function takeRail(draft: Draft, [, rail, milli]: RegExpExecArray): void {
  if (rail !== 'NC') draft.railWatts[rail] = Number(milli) / 1000
}

function takeOff(draft: Draft, [, name]: RegExpExecArray): void {
  draft.engines[name] = null
}

function takeEngine(draft: Draft, name: string, engine: Engine): void {
  if (name === 'GR3D_FREQ') draft.gpu = engine
  else if (name === 'EMC_FREQ') draft.emc = engine
  else draft.engines[name] = engine
}

function takeMemory(name: string): Token['take'] {
  return (draft, [, used, total, unit, blocks, blockSize, blockUnit]) => {
    draft.memory[name] = {
      usedBytes: Number(used) * unitBytes[unit],
      totalBytes: Number(total) * unitBytes[unit],
      largestBlockBytes: blocks === undefined ? null : Number(blockSize) * unitBytes[blockUnit],
      largestBlocks: blocks === undefined ? null : Number(blocks),
    }
  }
}

function takeCpus(draft: Draft, [whole, list, shared]: RegExpExecArray): void {
  const cores = list.split(',').map((text) => /^(?:(\d+)%(?:@(\d+))?|off)$/.exec(text))
  if (cores.some((core) => core === null)) {
    draft.unknown.push(whole)
    return
  }
  draft.cpus = cores.map((core) =>
    core?.[1] === undefined ? null : { load: percent(core[1]), hz: megahertz(core[2] ?? shared) },
  )
}

function takeMts(draft: Draft, [, foreground, background]: RegExpExecArray): void {
  draft.engines.MTS_fg = { load: percent(foreground), hz: [] }
  draft.engines.MTS_bg = { load: percent(background), hz: [] }
}

const percent = (text: string): number => Number(text) / 100
const megahertz = (text: string | undefined): number[] =>
  (text ?? '')
    .split(',')
    .filter((clock) => clock !== '')
    .map((clock) => Number(clock) * 1e6)
