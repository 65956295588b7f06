/** How one release prints tegrastats lines on one kind of board, as data (hardware.md §1.1, and lines of real boards). */
export interface Dialect {
  readonly id: string
  /** Releases from R34 begin with the local time. */
  readonly date: boolean
  readonly iram: boolean
  readonly mts: boolean
  /** With its clock, as a made-up `0%`, or not at all. */
  readonly emc: 'clock' | 'fake' | 'omitted'
  /** `7%@305`, `7%@[305,305]`, `7%`, a made-up `0%`, `@[305,305,305]`, or not at all. */
  readonly gpu: 'clock' | 'clocks' | 'load' | 'fake' | 'clocks only' | 'omitted'
  /** The second GPU token of early R35: always idle. */
  readonly gpu2: boolean
  readonly engines: readonly Engine[]
  /** Zone names in their order, as printed. */
  readonly zones: readonly string[]
  /** `cpu@50C/52C`: a second value, the highest so far. */
  readonly zoneMax: boolean
  /** A zone that is powered down is printed as -256 °C or left out. */
  readonly offZones: 'printed' | 'omitted'
  /** `5/5`, `5mW/5mW`, `5mW/5mW/5mW` (with the highest so far), or no rails. */
  readonly rails: 'bare' | 'mW' | 'mW max' | 'omitted'
  /** Several spaces between and inside tokens. */
  readonly padded: boolean
}

/**
 * An engine token and its form: `%` prints `79%@166` or `off`, `#` a bare clock, `@` prints `@314` or `off`, and `?` is
 * like `@` but says nothing while the engine is off.
 */
export type Engine = readonly [token: string, form: '%' | '#' | '@' | '?']

const ape: Engine = ['APE', '#']

const r36: Omit<Dialect, 'id'> = {
  date: true,
  iram: false,
  mts: false,
  emc: 'omitted',
  gpu: 'load',
  gpu2: false,
  engines: [],
  zones: ['cv0', 'cpu', 'soc2', 'soc0', 'cv1', 'gpu', 'tj', 'soc1', 'cv2'],
  zoneMax: false,
  offZones: 'omitted',
  rails: 'mW',
  padded: false,
}

const orinNanoEngines: readonly Engine[] = [
  ['NVDEC', '%'],
  ['NVJPG', '%'],
  ['NVJPG1', '%'],
  ['VIC', '%'],
  ['OFA', '%'],
  ape,
]

const r36Root: Omit<Dialect, 'id'> = {
  ...r36,
  emc: 'clock',
  gpu: 'clocks',
  engines: [
    ['NVENC', '%'],
    ['NVDEC', '%'],
    ['NVJPG', '%'],
    ['NVJPG1', '%'],
    ['VIC', '%'],
    ['OFA', '%'],
    ['NVDLA0', '%'],
    ['NVDLA1', '%'],
    ['PVA0_FREQ', '%'],
    ape,
  ],
}

const r35Root: Omit<Dialect, 'id'> = {
  ...r36,
  emc: 'clock',
  gpu: 'clocks',
  engines: [['VIC_FREQ', '#'], ['NVDLA0_FREQ', '?'], ape],
  zones: ['CV0', 'CPU', 'Tboard', 'SOC2', 'Tdiode', 'SOC0', 'CV1', 'GPU', 'tj', 'SOC1', 'CV2'],
  offZones: 'printed',
}

const r35User: Omit<Dialect, 'id'> = { ...r35Root, emc: 'fake', gpu: 'fake', engines: [], rails: 'omitted' }

const thor: Omit<Dialect, 'id'> = {
  ...r36,
  gpu: 'omitted',
  zones: ['cpu', 'tj', 'soc012', 'gpu', 'soc345'],
}

const r32: Omit<Dialect, 'id'> = {
  ...r36,
  date: false,
  emc: 'clock',
  gpu: 'clock',
  engines: [ape],
  offZones: 'printed',
  rails: 'bare',
}

const r32User: Omit<Dialect, 'id'> = { ...r32, emc: 'fake', gpu: 'fake', engines: [] }
const xavierZones = ['AO', 'GPU', 'Tdiode', 'PMIC', 'AUX', 'CPU', 'thermal', 'Tboard']
const tx2Zones = ['PLL', 'MCPU', 'PMIC', 'Tboard', 'GPU', 'BCPU', 'thermal', 'Tdiode']
const nanoZones = ['PLL', 'CPU', 'PMIC', 'GPU', 'AO', 'thermal']

/** Every dialect seen on a real board; `-user` is without root. */
export const dialects: readonly Dialect[] = [
  { ...r32, id: 'r32-xavier', mts: true, zones: xavierZones },
  {
    ...r32User,
    id: 'r32-xavier-user',
    zones: ['AO', 'GPU', 'Tboard', 'Tdiode', 'AUX', 'CPU', 'thermal', 'PMIC'],
  },
  { ...r32, id: 'r32-nano', iram: true, zones: nanoZones },
  { ...r32User, id: 'r32-nano-user', zones: nanoZones },
  {
    ...r32,
    id: 'r32-tx1',
    iram: true,
    zones: ['AO', 'CPU', 'GPU', 'PLL', 'Tdiode', 'PMIC', 'Tboard', 'thermal'],
  },
  { ...r32, id: 'r32-tx2', zones: tx2Zones },
  { ...r32, id: 'r32-tx2-mts', mts: true, zones: tx2Zones },
  // The one old release that measures the GPU without root.
  { ...r32User, id: 'r32-tx2-user', gpu: 'load', zones: tx2Zones },
  { ...r32User, id: 'r32-tx2-nx-user', zones: tx2Zones, rails: 'omitted' },
  {
    ...r35Root,
    id: 'jp50-orin',
    gpu: 'clock',
    gpu2: true,
    engines: [['NVJPG1', '#'], ['VIC_FREQ', '#'], ape],
    zones: ['CV0', 'CPU', 'Tdiode', 'SOC2', 'SOC0', 'CV1', 'GPU', 'SOC1', 'CV2'],
  },
  { ...r35Root, id: 'r35-orin' },
  { ...r35Root, id: 'r35-orin-early', gpu: 'clock', gpu2: true },
  { ...r35Root, id: 'r35-orin-nx', gpu: 'clock' },
  { ...r35User, id: 'r35-orin-user' },
  { ...r35User, id: 'r35-orin-nx-user', gpu2: true },
  { ...r35Root, id: 'r35-xavier-nx', zones: ['AUX', 'CPU', 'AO', 'GPU', 'PMIC'] },
  { ...r36Root, id: 'r36-agx-orin' },
  { ...r36Root, id: 'r36-agx-orin-padded', padded: true },
  { ...r36Root, id: 'r36-orin-nano', engines: orinNanoEngines },
  { ...r36, id: 'r36-orin-user' },
  {
    ...thor,
    id: 'r38-thor',
    emc: 'clock',
    gpu: 'clocks only',
    engines: [
      ['NVENC0_FREQ', '@'],
      ['NVENC1_FREQ', '@'],
      ['NVDEC0_FREQ', '@'],
      ['NVDEC1_FREQ', '@'],
      ['NVJPG0_FREQ', '@'],
      ['VIC', '@'],
      ['OFA_FREQ', '@'],
      ['PVA0_FREQ', '@'],
      ape,
    ],
  },
  { ...thor, id: 'r38-thor-user' },
  {
    ...r36Root,
    id: 'r39-orin',
    engines: [
      ['NVENC0', '%'],
      ['NVDEC0', '%'],
      ['NVJPG0', '%'],
      ['NVJPG1', '%'],
      ['VIC', '%'],
      ['OFA', '%'],
      ['NVDLA0', '%'],
      ['NVDLA1', '%'],
      ['PVA0_FREQ', '%'],
      ape,
    ],
    zoneMax: true,
    rails: 'mW max',
  },
  { ...thor, id: 'r39-thor-user', rails: 'mW max' },
]
