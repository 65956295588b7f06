import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Board } from '../board/types.ts'
import { lossInForce } from './fault-file.ts'
import { emit, type TegrastatsRail, type TegrastatsState } from './tegrastats.ts'
import type { Dialect } from './tegrastats-dialects.ts'
import { channelsOf, gpuFolder, memoryOf, zoneFiles } from './tree-files.ts'

/** A tegrastats process on the tree of a simulated board: what it prints next, or that it has died or hangs. */
export type TegrastatsTurn = { readonly line: string } | 'died' | 'hangs'

/**
 * Reads the files of a twin's tree as tegrastats reads a board's. Its first rail value is the sensor's last sample and the
 * second the mean of all it has printed since it started, idle time included: as polluted as the real one's (hardware.md §1.1).
 */
export function openTegrastats(
  board: Board,
  root: string,
  dialect: string | Dialect,
): (atMs: number) => TegrastatsTurn {
  const channels = channelsOf(board)
  const seen = new Map<string, { readonly sum: number; readonly count: number; readonly most: number }>()

  const railOf = (label: string): TegrastatsRail | null => {
    const channel = channels.get(label)
    const volts = channel && readNumber(join(root, `${channel.folder}/in${channel.number}_input`))
    const amperes = channel && readNumber(join(root, `${channel.folder}/curr${channel.number}_input`))
    if (volts == null || amperes == null) return null
    const watts = (volts * amperes) / 1e6
    const before = seen.get(label) ?? { sum: 0, count: 0, most: 0 }
    const now = { sum: before.sum + watts, count: before.count + 1, most: Math.max(before.most, watts) }
    seen.set(label, now)
    return { label, watts, meanWatts: now.sum / now.count, maxWatts: now.most }
  }

  return (atMs) => {
    const loss = lossInForce(root, atMs)
    if (loss !== null) return loss
    const gpuHz = readNumber(join(root, gpuFolder, 'cur_freq')) ?? 0
    const load = (readNumber(join(root, gpuFolder, 'device/load')) ?? 0) / 1000
    const cpuHz = (readNumber(join(root, 'sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq')) ?? 0) * 1000
    const isOn = (core: number): boolean =>
      core === 0 || readNumber(join(root, `sys/devices/system/cpu/cpu${core}/online`)) !== 0
    const state: TegrastatsState = {
      date: localTime(new Date()),
      ram: memoryOf(board),
      swap: null,
      // One core launches kernels and waits for them; the others are idle.
      cores: Array.from({ length: board.cpu.cores }, (_, core) =>
        isOn(core) ? { load: core === 0 ? load : 0, hz: cpuHz } : null,
      ),
      gpu: { load, hz: [gpuHz, gpuHz] },
      emc: { load: 0.8 * load, hz: 3_199_000_000 },
      engines: {},
      zones: Object.fromEntries(
        Object.entries(zoneFiles()).map(([type, path]) => {
          const milli = readNumber(join(root, path))
          return [type.replace('-thermal', ''), milli === null ? null : milli / 1000]
        }),
      ),
      rails: board.rails
        .filter(({ label }) => !label.startsWith('VDDQ'))
        .map(({ label }) => railOf(label))
        .filter((rail) => rail !== null),
    }
    return { line: emit(dialect, state) }
  }
}

function readNumber(path: string): number | null {
  try {
    const text = readFileSync(path, 'utf8').trim()
    return /^-?\d+$/.test(text) ? Number(text) : null
  } catch {
    return null
  }
}

function localTime(now: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${two(now.getMonth() + 1)}-${two(now.getDate())}-${now.getFullYear()}`
  return `${day} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`
}
