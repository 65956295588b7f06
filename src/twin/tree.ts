import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Board } from '../board/types.ts'
import type { RailSample } from './sensors.ts'
import { sampleZones } from './sensors.ts'

/** The folder tree of a simulated board, laid out as on a Jetson with R36, for the real adapters to read and write. */
export interface TwinTree {
  readonly root: string
  writeRails(samples: readonly RailSample[]): void
  writeZones(zones: Readonly<Record<string, number>>): void
  writeGpuHz(hz: number): void
  /** The cap that stands in `max_freq`, or null when somebody has damaged the file. */
  gpuCapHz(): number | null
  close(): void
}

const gpuFolder = 'sys/class/devfreq/17000000.gpu'
const cpuFolder = 'sys/devices/system/cpu/cpufreq'
const thermalFolder = 'sys/class/thermal'
const unusedLabel = 'NC'

/**
 * Makes the tree, or opens the one a former process left. Clock files that exist are left as they are: their caps outlive
 * the process that set them, as a kernel's do, so that `restore` after a SIGKILL has something to put back.
 */
export function openTree(board: Board, root: string): TwinTree {
  const put = (path: string, content: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  const keep = (path: string, content: string): void => {
    // An empty one is left of a process that was killed while it made the tree.
    if ((statSync(join(root, path), { throwIfNoEntry: false })?.size ?? 0) === 0) put(path, content)
  }
  for (const [path, content] of Object.entries(identity(board))) put(path, content)
  for (const [path, content] of Object.entries(sensorsOf(board))) put(path, content)
  for (const [path, content] of Object.entries(clocksOf(board))) keep(path, content)

  // Sensor files stay open and are overwritten in place: a reader never finds one empty, as `writeFile` would leave it.
  const files = new Map<string, { readonly descriptor: number; length: number }>()
  const refresh = (path: string, value: number): void => {
    let file = files.get(path)
    if (file === undefined) {
      file = { descriptor: openSync(join(root, path), 'r+'), length: Number.POSITIVE_INFINITY }
      files.set(path, file)
    }
    const text = `${value}\n`
    writeSync(file.descriptor, text, 0)
    if (text.length < file.length) ftruncateSync(file.descriptor, text.length)
    file.length = text.length
  }
  const channels = channelsOf(board)
  const zones = Object.keys(sampleZones(0))

  return {
    root,
    writeRails(samples) {
      for (const { label, millivolts, milliamperes } of samples) {
        const channel = channels.get(label)
        if (channel === undefined) continue
        refresh(`${channel.folder}/in${channel.number}_input`, millivolts)
        refresh(`${channel.folder}/curr${channel.number}_input`, milliamperes)
      }
    },
    writeZones(celsius) {
      for (const [index, type] of zones.entries()) {
        refresh(`${thermalFolder}/thermal_zone${index}/temp`, Math.round((celsius[type] ?? 0) * 1000))
      }
    },
    writeGpuHz(hz) {
      refresh(`${gpuFolder}/cur_freq`, hz)
    },
    gpuCapHz() {
      try {
        const text = readFileSync(join(root, gpuFolder, 'max_freq'), 'utf8').trim()
        return /^\d+$/.test(text) ? Number(text) : null
      } catch {
        return null
      }
    },
    close() {
      for (const { descriptor } of files.values()) closeSync(descriptor)
      files.clear()
    },
  }
}

function identity(board: Board): Record<string, string> {
  const part = board.partNumbers[0]
  return {
    'proc/device-tree/compatible': `nvidia,p3737-0000+${part}\0nvidia,${part}\0nvidia,tegra234\0`,
    'proc/device-tree/model': `NVIDIA ${board.name} (simulated)\0`,
    'etc/nv_tegra_release': '# R36 (release), REVISION: 4.4, GCID: 0, BOARD: generic, EABI: aarch64\n',
  }
}

/** hwmon numbers begin at 1: 0 is taken by another driver, so that nobody may rely on the number. */
function channelsOf(board: Board): Map<string, { readonly folder: string; readonly number: number }> {
  const devices = [...new Set(board.rails.map((rail) => rail.device))]
  return new Map(
    board.rails.map((rail) => [
      rail.label,
      { folder: `sys/class/hwmon/hwmon${devices.indexOf(rail.device) + 1}`, number: rail.channel },
    ]),
  )
}

function sensorsOf(board: Board): Record<string, string> {
  const files: Record<string, string> = { 'sys/class/hwmon/hwmon0/name': 'soctherm_oc\n' }
  for (const number of [1, 2, 3]) {
    files[`sys/class/hwmon/hwmon0/oc${number}_event_cnt`] = '0\n'
  }
  for (const { folder } of channelsOf(board).values()) {
    files[`${folder}/name`] = 'ina3221\n'
    for (const number of [1, 2, 3]) files[`${folder}/in${number}_label`] = `${unusedLabel}\n`
    files[`${folder}/in7_label`] = 'sum of shunt voltages\n'
  }
  for (const [label, { folder, number }] of channelsOf(board)) {
    const rail = board.rails.find((row) => row.label === label)
    files[`${folder}/in${number}_label`] = `${label}\n`
    files[`${folder}/in${number}_input`] = `${Math.round((rail?.volts ?? 0) * 1000)}\n`
    files[`${folder}/curr${number}_input`] = `${Math.round(((rail?.idleWatts ?? 0) / (rail?.volts ?? 1)) * 1000)}\n`
  }
  for (const [index, type] of Object.keys(sampleZones(0)).entries()) {
    const zone = `${thermalFolder}/thermal_zone${index}`
    files[`${zone}/type`] = `${type}\n`
    files[`${zone}/temp`] = '25000\n'
    files[`${zone}/trip_point_0_type`] = 'passive\n'
    files[`${zone}/trip_point_0_temp`] = `${board.trips.throttleCelsius * 1000}\n`
    files[`${zone}/trip_point_1_type`] = 'critical\n'
    files[`${zone}/trip_point_1_temp`] = `${board.trips.shutdownCelsius * 1000}\n`
  }
  return files
}

function clocksOf(board: Board): Record<string, string> {
  const points = board.gpu.pointsHz
  const top = points[points.length - 1]
  const files: Record<string, string> = {
    [`${gpuFolder}/available_frequencies`]: `${points.join(' ')}\n`,
    [`${gpuFolder}/min_freq`]: `${points[0]}\n`,
    [`${gpuFolder}/max_freq`]: `${top}\n`,
    [`${gpuFolder}/cur_freq`]: `${points[0]}\n`,
    [`${gpuFolder}/device/of_node/name`]: 'gpu\0',
  }
  for (const policy of board.cpu.policies) {
    const folder = `${cpuFolder}/policy${policy}`
    files[`${folder}/scaling_min_freq`] = `${board.cpu.minHz / 1000}\n`
    files[`${folder}/scaling_max_freq`] = `${board.cpu.maxHz / 1000}\n`
    files[`${folder}/scaling_cur_freq`] = `${board.cpu.minHz / 1000}\n`
  }
  return files
}
