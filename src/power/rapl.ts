import { join } from 'node:path'
import { unknownPower } from '../board/reading.ts'
import { listFolder, readLine, readNumber, type ValueFiles } from './files.ts'
import type { Instrument, InstrumentReading } from './source.ts'

/** One energy counter of the processor: microjoules that wrap around at `rangeMicrojoules`. */
interface Domain {
  readonly label: string
  readonly energy: string
  readonly rangeMicrojoules: number | null
}

const folder = 'sys/class/powercap'
/** Shorter intervals would be as long as the counter's own steps. */
const leastIntervalMs = 20
/** A counter that wrapped more than once in between cannot be told from one that did so once. */
const longestIntervalMs = 10_000

/** Packages and the memory beside them; what lies inside a package (core, uncore) is left out. */
export function findDomains(root: string): readonly Domain[] {
  return listFolder(join(root, folder))
    .filter((name) => /^intel-rapl:\d+(:\d+)?$/.test(name))
    .flatMap((name) => {
      const path = join(root, folder, name)
      const label = readLine(join(path, 'name')) ?? ''
      const isPackage = /^package-\d+/.test(label)
      if (!isPackage && label !== 'dram') return []
      const owner = name.split(':')[1]
      return [
        {
          label: isPackage ? label : `dram-${owner}`,
          energy: join(path, 'energy_uj'),
          rangeMicrojoules: readNumber(join(path, 'max_energy_range_uj')) ?? null,
        },
      ]
    })
}

/** Microjoules between two values of a counter that wraps around; null when it went back and nobody knows how far it goes. */
export function counted(before: number, after: number, range: number | null): number | null {
  if (after >= before) return after - before
  return range === null || before > range ? null : range - before + after
}

/**
 * Mean processor power since the last reading, from its energy counters (RAPL, through powercap). The kernel lets only root
 * read them, because they leak what runs; without the right the reason says so.
 */
export function createRapl(root: string, files: ValueFiles): Instrument {
  let domains: readonly Domain[] = []
  let before: { readonly atMs: number; readonly values: readonly (number | undefined)[] } | null = null
  let latest: InstrumentReading | null = null
  const rule = (): { total: { name: string; rails: string[] } } => ({
    total: {
      name: domains.some(({ label }) => label.startsWith('dram')) ? 'rapl_package_dram' : 'rapl_package',
      rails: domains.map(({ label }) => label),
    },
  })
  const unknown = (atMs: number, reason: string): InstrumentReading => {
    latest = null
    return unknownPower(rule(), atMs, 'rapl', reason)
  }

  return {
    name: 'rapl',
    staleAfterMs: 500,
    async read(atMs) {
      if (before !== null && latest !== null && atMs - before.atMs < leastIntervalMs) return latest
      if (domains.length === 0 || before?.values.some((value) => value === undefined)) domains = findDomains(root)
      if (domains.length === 0) return unknown(atMs, `no RAPL counter under ${join(root, folder)}`)
      const values = await files.numbers(domains.map(({ energy }) => energy))
      const earlier = before
      before = { atMs, values }
      const silent = domains.filter((_, index) => values[index] === undefined).map(({ energy }) => energy)
      if (silent.length > 0) return unknown(atMs, `${silent[0]} cannot be read: the kernel allows it to root only`)
      const seconds = (atMs - (earlier?.atMs ?? atMs)) / 1000
      if (earlier === null || earlier.values.length !== values.length || seconds <= 0) {
        return unknown(atMs, 'a second reading is needed for a mean')
      }
      if (seconds * 1000 > longestIntervalMs) return unknown(atMs, 'the reading before is too old for a mean')
      const railWatts: Record<string, number> = {}
      for (const [index, { label, rangeMicrojoules }] of domains.entries()) {
        const microjoules = counted(
          Number(earlier.values[index] ?? Number.NaN),
          Number(values[index]),
          rangeMicrojoules,
        )
        if (microjoules === null || Number.isNaN(microjoules))
          return unknown(atMs, `the counter of ${label} began again`)
        railWatts[label] = microjoules / 1e6 / seconds
      }
      const totalWatts = Object.values(railWatts).reduce((sum, watts) => sum + watts, 0)
      latest = { atMs, source: 'rapl', railWatts, totalWatts, totalWattsReason: null, totalRule: rule().total.name }
      return latest
    },
    async close() {},
  }
}
