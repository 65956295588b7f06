import { closeSync, existsSync, mkdirSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findPolicies } from '../clocks/cpufreq.ts'
import { findGpu } from '../clocks/devfreq.ts'
import { readHz } from '../clocks/sysfs.ts'
import { monotonicMs } from '../engine/protocol.ts'
import { DeapdError } from '../errors.ts'
import { keepLineChild } from '../power/line-child.ts'
import type { TraceHead, TraceRow } from '../power/trace.ts'
import { version } from '../version.ts'
import { describeRelease, readRelease } from './board-release.ts'
import { type Copied, copyFixture } from './fixture.ts'
import { openSensors, type SensorSettings } from './hardware.ts'
import type { Platform } from './platform.ts'

export interface Recorded extends Copied {
  readonly readings: number
  /** Readings whose total was unknown, and the last reason. */
  readonly unknown: number
  readonly unknownReason: string | null
  readonly seconds: number
}

/**
 * Makes a fixture of a board: `root/`, a copy of the files that deapd reads; `trace.jsonl`, readings of power, heat and
 * clocks; `tegrastats.txt`, the lines of a tegrastats command when one is given; PROVENANCE.md. Nothing on the board is
 * changed. Throws `output_exists`.
 */
export async function record(
  platform: Platform,
  options: {
    readonly out: string
    readonly seconds: number
    readonly intervalMs: number
    readonly settings: SensorSettings
    /** Ends the recording early; what was recorded so far is kept. */
    readonly signal?: AbortSignal
    readonly onProgress?: (seconds: number) => void
  },
): Promise<Recorded> {
  const { board, root } = platform
  const { out, seconds, intervalMs, settings, signal, onProgress } = options
  if (existsSync(out) && readdirSync(out).length > 0) throw new DeapdError('output_exists', { path: out })
  mkdirSync(out, { recursive: true })
  const copied = copyFixture(root, join(out, 'root'))
  const lines = settings.tegrastats === '' ? null : keepLog(settings.tegrastats, join(out, 'tegrastats.txt'))
  const source = openSensors(platform, settings)
  const trace = openSync(join(out, 'trace.jsonl'), 'w')
  const startedAtMs = monotonicMs()
  let [readings, unknown, unknownReason, lastAtMs] = [0, 0, null as string | null, Number.NEGATIVE_INFINITY]
  try {
    const head: TraceHead = { schema: 'deapd-trace/1', board: board.id, interval_ms: intervalMs }
    writeSync(trace, `${JSON.stringify(head)}\n`)
    for (let tick = 0; tick * intervalMs < seconds * 1000 && !signal?.aborted; tick += 1) {
      const dueMs = startedAtMs + tick * intervalMs
      await sleep(Math.max(0, dueMs - monotonicMs()), undefined, { signal }).catch(() => undefined)
      const reading = await source.read(monotonicMs())
      if (reading.totalWatts === null) {
        unknown += 1
        unknownReason = reading.totalWattsReason
      }
      // A slow instrument gives the same reading for several ticks.
      if (reading.atMs <= lastAtMs) continue
      lastAtMs = reading.atMs
      const row: TraceRow = {
        at_ms: Math.round(reading.atMs - startedAtMs),
        source: reading.source,
        rail_watts: reading.railWatts,
        total_watts: reading.totalWatts,
        zone_celsius: reading.zoneCelsius,
        over_current_events: reading.overCurrentEvents,
        throttling: reading.throttling,
        ...clocksOf(platform),
      }
      writeSync(trace, `${JSON.stringify(row)}\n`)
      readings += 1
      onProgress?.((monotonicMs() - startedAtMs) / 1000)
    }
  } finally {
    closeSync(trace)
    await source.close()
    await lines?.close()
  }
  const result = { ...copied, readings, unknown, unknownReason, seconds: (monotonicMs() - startedAtMs) / 1000 }
  writeFileSync(join(out, 'PROVENANCE.md'), provenance(platform, result, source.name))
  return result
}

function clocksOf({ board, root }: Platform): Pick<TraceRow, 'gpu_hz' | 'cpu_hz'> {
  const gpu = findGpu(root, board)
  return {
    gpu_hz: (gpu === undefined ? undefined : readHz(join(root, gpu, 'cur_freq'))) ?? null,
    cpu_hz: findPolicies(root).flatMap((policy) => {
      const khz = readHz(join(root, policy, 'scaling_cur_freq'))
      return khz === undefined ? [] : [khz * 1000]
    }),
  }
}

/** The lines themselves: what a parser of another day will want to see. */
function keepLog(command: string, path: string) {
  const log = openSync(path, 'w')
  const child = keepLineChild({
    command,
    now: monotonicMs,
    hungAfterMs: () => 10_000,
    onLine: (text) => void writeSync(log, `${text}\n`),
  })
  return {
    async close() {
      await child.close()
      closeSync(log)
    },
  }
}

function provenance({ board, root, why }: Platform, recorded: Recorded, source: string): string {
  const release = readRelease(root)
  const list = (title: string, paths: readonly string[]): string[] =>
    paths.length === 0 ? [] : [`${title}:`, '', ...paths.map((path) => `- ${path}`), '']
  return [
    `# Fixture of a ${board.name}`,
    '',
    `- board: ${board.id} (${why})`,
    `- release: ${release ? describeRelease(release) : 'unknown'}`,
    `- recorded: ${new Date().toISOString().slice(0, 10)} by deapd ${version}, ${recorded.seconds.toFixed(1)} s`,
    `- power by: ${source}, ${recorded.readings} readings, ${recorded.unknown} of them without a total`,
    `- tree: ${recorded.files.length} files below root/, copied by an allow-list without serial numbers or addresses`,
    '',
    ...list('Could not be read', recorded.unreadable),
    ...list('Left out because they looked identifying', recorded.withheld),
    'Replay: `deapd serve --sysfs-root root --sensor replay:trace.jsonl` in this folder (clock files below root/ are then',
    'written and put back).',
    '',
  ].join('\n')
}
