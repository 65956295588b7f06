import { arch, cpus, platform, release, totalmem } from 'node:os'
import type { Board } from '../board/types.ts'
import { gridOf } from '../energy/carbon.ts'
import { type CarbonRow, codecarbonCsv } from '../energy/codecarbon.ts'
import type { Accountant } from './accountant.ts'

/** The run so far and every energy window in it, as CodeCarbon's emissions.csv. */
export function energyCsv(run: {
  readonly id: string
  readonly startedAt: Date
  readonly board: Board
  readonly accountant: Accountant
  readonly grid: string
  readonly gramsPerKwh: number
}): string {
  const now = new Date()
  const known = gridOf(run.grid)
  const rowOf = (experiment: string, from: Date, to: Date, joules: number): CarbonRow => ({
    timestamp: to.toISOString(),
    runId: run.id,
    experiment,
    seconds: (to.getTime() - from.getTime()) / 1000,
    joules,
    gramsPerKwh: run.gramsPerKwh,
    country: known && known.code !== 'world' ? { name: known.row.name, code: known.code } : null,
    machine: {
      os: `${platform()}-${release()}-${arch()}`,
      cpuCount: cpus().length,
      cpuModel: cpus()[0]?.model ?? '',
      gpuModel: run.accountant.method === 'simulated' ? `${run.board.name} (simulated)` : run.board.name,
      ramBytes: totalmem(),
    },
  })
  return codecarbonCsv([
    rowOf('', run.startedAt, now, run.accountant.provisional().meterJoules),
    ...run.accountant.windows
      .list()
      .map(({ name, startedAt, endedAt, joules }) =>
        rowOf(name, new Date(startedAt), endedAt === null ? now : new Date(endedAt), joules),
      ),
  ])
}
