import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BlackBoxReport } from '../api/ports.ts'
import { detailOf } from '../errors.ts'
import { beginRing, type Ring, readRing } from '../store/ring.ts'
import type { Snapshot } from '../telemetry/snapshot.ts'
import type { Log } from './log.ts'

/** What was seen and decided in the last minute, on the disk: the next start shows it after a kill or a power cut. */
export interface BlackBox {
  record(snapshot: Snapshot): void
  /** The run before this one, when it did not end by itself; null otherwise. */
  previous(): BlackBoxReport | null
  /** This run so far. */
  current(): BlackBoxReport | null
  /** Marks the clean end. */
  close(): void
}

const fileName = 'blackbox.ring'
/** Reports of unclean ends that are kept as files of their own; the oldest goes first. */
const reportsFolder = 'blackbox'
const reportsKept = 5
const shownMs = 60_000
/** Ten records a second at most; on the disk every second under load, every ten at rest: flash wears out by writing. */
const recordEveryMs = 95
const syncEveryMs = { load: 1000, rest: 10_000 }

type Row = BlackBoxReport['rows'][number]

/** The columns of a record in the file, in this order, without names: it has 256 bytes. */
const columns = [
  'ts',
  'monoMs',
  'totalWatts',
  'budgetWatts',
  'tjCelsius',
  'gpuHz',
  'gpuCapHz',
  'gpuCapAppliedHz',
  'cpuHz',
  'level',
  'reason',
  'requests',
] as const satisfies readonly (keyof Row)[]

/**
 * Reads what the last run left and begins a new one. A disk that cannot be written costs the black box, never the daemon:
 * then nothing is recorded, and the log says so.
 */
export function openBlackBox(
  stateDir: string,
  about: { version: string; board: string; rails: readonly string[] },
  log: Log,
): BlackBox {
  const path = join(stateDir, fileName)
  const last = reportOf(path)
  const previous = last?.clean === false && last.rows.length > 0 ? last : null
  let ring: Ring | null = null
  let recordedMs = Number.NEGATIVE_INFINITY
  let syncedMs = Number.NEGATIVE_INFINITY

  const attempt = (what: string, act: () => void): void => {
    try {
      act()
    } catch (thrown) {
      ring = null
      log.error({ err: thrown }, `the black box could not be ${what}: ${detailOf(thrown)}. Nothing is recorded.`)
    }
  }
  attempt('begun', () => {
    if (previous !== null) keepReport(join(stateDir, reportsFolder), previous)
    ring = beginRing(path, JSON.stringify({ ...about, startedAt: new Date().toISOString() }))
  })
  if (previous !== null) log.warn({ ended_at: previous.endedAt }, describeEnd(previous))

  return {
    record(snapshot) {
      if (ring === null || snapshot.monoMs - recordedMs < recordEveryMs) return
      const open = ring
      recordedMs = snapshot.monoMs
      const row = rowOf(snapshot)
      const values = columns.map((column) => row[column])
      const rails = about.rails.map((label) => rounded(snapshot.power.railWatts[label] ?? null))
      attempt('written', () => open.append(JSON.stringify([...values, rails])))
      const everyMs = row.requests > 0 ? syncEveryMs.load : syncEveryMs.rest
      if (snapshot.monoMs - syncedMs < everyMs) return
      syncedMs = snapshot.monoMs
      open.sync().catch((error) =>
        attempt('synced', () => {
          throw error
        }),
      )
    },
    previous: () => previous,
    current: () => (ring === null ? null : (reportOf(path) ?? null)),
    close() {
      const open = ring
      ring = null
      if (open !== null) attempt('closed', () => open.close())
    },
  }
}

/** The last unclean end that a state folder remembers, for commands without a daemon. */
export function lastUncleanEnd(stateDir: string): BlackBoxReport | null {
  const folder = join(stateDir, reportsFolder)
  const newest = reportFiles(folder).at(-1)
  if (newest === undefined) return null
  try {
    return JSON.parse(readFileSync(join(folder, newest), 'utf8'))
  } catch {
    return null
  }
}

/** One sentence with the last figures, for the log, `status` and `doctor`. */
export function describeEnd({ endedAt, rows }: BlackBoxReport): string {
  const { totalWatts, budgetWatts, tjCelsius, gpuHz, reason, requests } = rows[rows.length - 1]
  const watts = totalWatts === null ? 'power unknown' : `${totalWatts.toFixed(1)} W`
  const heat = tjCelsius === null ? 'temperature unknown' : `${tjCelsius.toFixed(0)} °C`
  const clock = gpuHz === null ? 'GPU clock unknown' : `GPU at ${(gpuHz / 1e6).toFixed(0)} MHz`
  return `the run before ended at ${endedAt} without a stop (a kill or a power cut), last seen: ${watts} of ${budgetWatts} W, ${heat}, ${clock}, ${requests} requests, ${reason}`
}

function rowOf({ ts, monoMs, power, thermal, clocks, governor, engine }: Snapshot): Omit<Row, 'railWatts'> {
  return {
    ts,
    monoMs: Math.round(monoMs),
    totalWatts: rounded(power.totalWatts),
    budgetWatts: power.budgetWatts,
    tjCelsius: thermal.tjCelsius,
    gpuHz: clocks.gpuHz,
    gpuCapHz: clocks.gpuCapHz,
    gpuCapAppliedHz: clocks.gpuCapAppliedHz,
    cpuHz: clocks.cpuHz,
    level: governor.level,
    reason: governor.reason,
    requests: engine.activeRequests + engine.queuedRequests,
  }
}

function reportOf(path: string): BlackBoxReport | undefined {
  const content = readRing(path)
  if (content === undefined) return undefined
  const { rails, version, board, startedAt } = JSON.parse(content.head)
  const all = content.records.map((text) => {
    const values = JSON.parse(text)
    const watts: (number | null)[] = values[columns.length]
    const named = Object.fromEntries(columns.map((column, index) => [column, values[index]])) as Omit<Row, 'railWatts'>
    return {
      ...named,
      railWatts: Object.fromEntries(rails.map((label: string, index: number) => [label, watts[index]])),
    }
  })
  const last = all.at(-1)
  const rows = all.filter(({ monoMs }) => last !== undefined && monoMs > last.monoMs - shownMs)
  return { version, board, startedAt, endedAt: last?.ts ?? startedAt, clean: content.clean, rows }
}

function keepReport(folder: string, report: BlackBoxReport): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${report.endedAt.replaceAll(':', '-')}.json`), JSON.stringify(report), { mode: 0o600 })
  for (const old of reportFiles(folder).slice(0, -reportsKept)) rmSync(join(folder, old), { force: true })
}

function reportFiles(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort()
  } catch {
    return []
  }
}

const rounded = (watts: number | null): number | null => (watts === null ? null : Math.round(watts * 1000) / 1000)
