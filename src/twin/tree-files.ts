import type { Board } from '../board/types.ts'
import { sampleZones } from './sensors.ts'

/** The files of a simulated board's tree and what is in them at the start; paths are relative to its root. */

export const gpuFolder = 'sys/class/devfreq/17000000.gpu'
export const cpuFolder = 'sys/devices/system/cpu/cpufreq'
const thermalFolder = 'sys/class/thermal'
const hwmonFolder = 'sys/class/hwmon'
const unusedLabel = 'NC'

/**
 * What the board says of its memory: nothing of the host's is shown, it stands for a board with a 7B loaded. The kernel keeps
 * about a twenty-fifth of what is soldered on.
 */
export function memoryOf(board: Board) {
  const totalBytes = Math.round(0.96 * Number(/(\d+)gb/.exec(board.id)?.[1] ?? 64)) * 1024 ** 3
  const usedBytes = Math.min(9.2e9, 0.7 * totalBytes)
  return { usedBytes, totalBytes, largestBlocks: 8, largestBlockBytes: 4 * 1024 ** 2 }
}

export function identity(board: Board): Record<string, string> {
  const part = board.partNumbers[0]
  const { totalBytes, usedBytes, largestBlocks } = memoryOf(board)
  const kilobytes = (bytes: number): string => `${Math.round(bytes / 1024)} kB`
  return {
    'proc/meminfo': `MemTotal: ${kilobytes(totalBytes)}\nMemAvailable: ${kilobytes(totalBytes - usedBytes)}\n`,
    // Free blocks of 1, 2, 4, … pages; the largest are 4 MiB.
    'proc/buddyinfo': `Node 0, zone   Normal ${'0 '.repeat(10)}${largestBlocks}\n`,
    'proc/device-tree/compatible': `nvidia,p3737-0000+${part}\0nvidia,${part}\0nvidia,${board.chip}\0`,
    'proc/device-tree/model': `NVIDIA ${board.name} (simulated)\0`,
    'etc/nv_tegra_release': `# R${board.l4tMajor} (release), REVISION: 4.0, GCID: 0, BOARD: generic, EABI: aarch64\n`,
  }
}

/** hwmon numbers begin at 1: 0 is taken by another driver, so that nobody may rely on the number. */
export function channelsOf(
  board: Board,
): Map<string, { readonly folder: string; readonly number: number; readonly chip: string }> {
  const devices = [...new Set(board.rails.map((rail) => rail.device))]
  return new Map(
    board.rails.map((rail) => [
      rail.label,
      {
        folder: `${hwmonFolder}/hwmon${devices.indexOf(rail.device) + 1}`,
        number: rail.channel,
        chip: rail.chip ?? 'ina3221',
      },
    ]),
  )
}

/** The temperature file of each zone type. */
export function zoneFiles(): Readonly<Record<string, string>> {
  const types = Object.keys(sampleZones(0))
  return Object.fromEntries(types.map((type, index) => [type, `${thermalFolder}/thermal_zone${index}/temp`]))
}

export function sensorsOf(board: Board): Record<string, string> {
  const files: Record<string, string> = {
    [`${hwmonFolder}/hwmon0/name`]: 'soctherm_oc\n',
    [`${thermalFolder}/cooling_device0/type`]: 'gpu-throttle-alert\n',
    [`${thermalFolder}/cooling_device0/cur_state`]: '0\n',
    [`${thermalFolder}/cooling_device0/max_state`]: '1\n',
  }
  for (const number of [1, 2, 3]) {
    files[`${hwmonFolder}/hwmon0/oc${number}_event_cnt`] = '0\n'
    files[`${hwmonFolder}/hwmon0/oc${number}_throt_en`] = '1\n'
  }
  for (const { folder, chip } of channelsOf(board).values()) {
    files[`${folder}/name`] = `${chip}\n`
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

export function clocksOf(board: Board): Record<string, string> {
  const points = board.gpu.pointsHz
  const top = points[points.length - 1]
  const files: Record<string, string> = {
    [`${gpuFolder}/available_frequencies`]: `${points.join(' ')}\n`,
    [`${gpuFolder}/min_freq`]: `${points[0]}\n`,
    [`${gpuFolder}/max_freq`]: `${top}\n`,
    [`${gpuFolder}/cur_freq`]: `${points[0]}\n`,
    [`${gpuFolder}/device/load`]: '0\n',
    [`${gpuFolder}/device/of_node/name`]: `${board.gpu.nodeNames[0]}\0`,
  }
  for (const policy of board.cpu.policies) {
    const folder = `${cpuFolder}/policy${policy}`
    files[`${folder}/scaling_min_freq`] = `${board.cpu.minHz / 1000}\n`
    files[`${folder}/scaling_max_freq`] = `${board.cpu.maxHz / 1000}\n`
    files[`${folder}/scaling_cur_freq`] = `${board.cpu.minHz / 1000}\n`
  }
  // cpu0 has no switch: it cannot be taken offline.
  for (let core = 1; core < board.cpu.cores; core += 1) files[`sys/devices/system/cpu/cpu${core}/online`] = '1\n'
  return files
}

/** The clock files that deapd writes. */
export function capFiles(board: Board): readonly string[] {
  return Object.keys(clocksOf(board)).filter((path) => /(min|max)_freq$/.test(path))
}
