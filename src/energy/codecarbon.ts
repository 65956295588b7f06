/**
 * Export in the columns of CodeCarbon's emissions.csv (3.3), in their order, so that tools made for it read ours. Energies
 * in kWh, powers in watts, emissions in kg of CO2-equivalent. What we do not know stays empty; `codecarbonColumns` says why.
 */
export interface CarbonRow {
  /** ISO 8601, of the end. */
  readonly timestamp: string
  readonly runId: string
  /** Name of the energy window; empty for the whole run. */
  readonly experiment: string
  readonly seconds: number
  readonly joules: number
  readonly gramsPerKwh: number
  /** Of the table; null when the intensity was given as a number. */
  readonly country: { readonly name: string; readonly code: string } | null
  readonly machine: {
    readonly os: string
    readonly cpuCount: number
    readonly cpuModel: string
    readonly gpuModel: string
    readonly ramBytes: number
  }
}

const joulesPerKwh = 3.6e6
/** The rail total does not tell CPU, GPU and memory apart as CodeCarbon does. */
const rails = 'module power is metered as a whole: a Jetson’s rails are not CPU, GPU and RAM'
const water = 'not modelled'
const cloud = 'the board is no cloud machine'
const place = 'deapd does not know where the board is'
const use = 'not kept over the run'

type Column = readonly [name: string, value: (row: CarbonRow) => string | number, emptyBecause?: string]

const kilograms = ({ joules, gramsPerKwh }: CarbonRow): number => ((joules / joulesPerKwh) * gramsPerKwh) / 1000
const none = (): string => ''

/** Name, value and, where the value is always empty, why. */
export const codecarbonColumns: readonly Column[] = [
  ['timestamp', (row) => row.timestamp],
  ['project_name', () => 'deapd'],
  ['run_id', (row) => row.runId],
  ['experiment_id', (row) => row.experiment],
  ['duration', (row) => row.seconds],
  ['emissions', kilograms],
  ['emissions_rate', (row) => (row.seconds > 0 ? kilograms(row) / row.seconds : '')],
  ['cpu_power', none, rails],
  ['gpu_power', none, rails],
  ['ram_power', none, rails],
  ['cpu_energy', none, rails],
  ['gpu_energy', none, rails],
  ['ram_energy', none, rails],
  ['energy_consumed', (row) => row.joules / joulesPerKwh],
  ['water_consumed', none, water],
  ['country_name', (row) => row.country?.name ?? ''],
  ['country_iso_code', (row) => row.country?.code ?? ''],
  ['region', none, place],
  ['cloud_provider', none, cloud],
  ['cloud_region', none, cloud],
  ['os', (row) => row.machine.os],
  ['python_version', none, 'there is no Python'],
  ['codecarbon_version', none, 'CodeCarbon did not write this'],
  ['cpu_count', (row) => row.machine.cpuCount],
  ['cpu_model', (row) => row.machine.cpuModel],
  ['gpu_count', () => 1],
  ['gpu_model', (row) => row.machine.gpuModel],
  ['longitude', none, place],
  ['latitude', none, place],
  ['ram_total_size', (row) => row.machine.ramBytes / 1e9],
  ['tracking_mode', () => 'machine'],
  ['cpu_utilization_percent', none, use],
  ['gpu_utilization_percent', none, use],
  ['ram_utilization_percent', none, use],
  ['ram_used_gb', none, use],
  ['on_cloud', () => 'N'],
  ['pue', () => 1],
  ['wue', none, water],
]

export function codecarbonCsv(rows: readonly CarbonRow[]): string {
  const lines = rows.map((row) => codecarbonColumns.map(([, value]) => cell(value(row))).join(','))
  return `${[codecarbonColumns.map(([name]) => name).join(','), ...lines].join('\n')}\n`
}

/** A text that begins like a formula would be one in a spreadsheet: window names come from whoever opened them. */
function cell(value: string | number): string {
  if (typeof value === 'number') return String(value)
  const plain = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}
