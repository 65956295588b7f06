import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import type { Reading } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { findPolicies } from '../clocks/cpufreq.ts'
import { findGpu } from '../clocks/devfreq.ts'
import { isThere, listFolder, readList, readTextFile } from '../clocks/sysfs.ts'
import { monotonicMs } from '../engine/protocol.ts'
import { DeapdError, detailOf } from '../errors.ts'
import { readText } from '../power/files.ts'
import { describeRelease, readRelease } from './board-release.ts'
import { type CheckContext, check, type Finding, warning } from './check.ts'
import { openSensors } from './hardware.ts'
import { choosePlatform, type Platform } from './platform.ts'

const grantHint = 'Run scripts/grant-clocks.sh as root, as deapd.service does; systemd/README.md says why.'
/** A board with this little room between it and throttling is warm for a board at rest. */
const narrowKelvin = 10
/** Free blocks smaller than this cannot hold what CUDA asks for at once. */
const smallBlockBytes = 1024 ** 2

const platformOf = ({ settings, stateDir }: CheckContext): Platform => choosePlatform(settings, stateDir)

/** A look at a real board; a simulated one needs none. */
const onBoard =
  (look: (platform: Platform, context: CheckContext) => Promise<Finding> | Finding) =>
  (context: CheckContext): Promise<Finding> | Finding => {
    const platform = platformOf(context)
    return platform.simulated ? 'the simulated board brings its own' : look(platform, context)
  }

/** The same with a reading. Sensors that work by means need two, a child needs a moment for its first line. */
const withReading = (look: (reading: Reading, platform: Platform) => Finding) =>
  onBoard(async (platform, { settings }) => {
    const source = openSensors(platform, settings)
    try {
      const untilMs = monotonicMs() + 2500
      let reading = await source.read(monotonicMs())
      while (reading.totalWatts === null && source.name !== 'hwmon' && monotonicMs() < untilMs) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        reading = await source.read(monotonicMs())
      }
      return look(reading, platform)
    } finally {
      await source.close()
    }
  })

/** What `deapd doctor` looks at on the board itself, in order. Nothing is changed, and nothing is run but the sensors. */
export const boardChecks = [
  check('board', (context) => {
    const { board, simulated, certain, why } = platformOf(context)
    const found = `${board.name}${simulated ? ', simulated' : ''}: ${why}`
    if (certain) return found
    return warning('board_guessed', found, 'Check the rails and clocks below; please report the part number.')
  }),
  check(
    'release',
    onBoard(({ board, root }) => {
      if (board.chip === 'none') return 'not a Jetson'
      const release = readRelease(root)
      if (release === null) {
        const hint = 'In a container mount the host’s file; nothing else depends on it.'
        return warning('release_unknown', `${join(root, 'etc/nv_tegra_release')} does not tell the L4T release`, hint)
      }
      const found = describeRelease(release)
      if (release.text !== 'R36.4.7' || !/-8gb/.test(board.id)) return found
      const detail = `${found}: GPU buffers of 4 GiB and more fail on 8 GB boards with this release`
      return warning('release_regression', detail, 'Upgrade to R36.5, or use a model that needs less.')
    }),
  ),
  check(
    'sensors',
    withReading(({ source, totalWatts, totalWattsReason, totalRule, railWatts }, { root }) => {
      if (totalWatts === null) throw new DeapdError('sensor_missing', { root, detail: totalWattsReason ?? 'unknown' })
      return `${source}: ${totalWatts.toFixed(1)} W by rule ${totalRule}, of ${Object.keys(railWatts).join(', ')}`
    }),
  ),
  check(
    'heat',
    withReading(({ tjCelsius, tjCelsiusReason, trips, throttleMarginKelvin, throttling }) => {
      const from = trips.from === 'read' ? 'read from the board' : 'assumed from its row'
      const limits = `throttles at ${trips.throttleCelsius} °C, off at ${trips.shutdownCelsius} °C, ${from}`
      if (tjCelsius === null)
        return warning('heat_unknown', `${tjCelsiusReason}; ${limits}`, 'The governor goes by power alone.')
      const now = `${tjCelsius.toFixed(1)} °C; ${limits}`
      if (throttling !== null && throttling.length > 0) {
        return warning('throttling', `${now}; throttling now: ${throttling.join(', ')}`, 'Check fan and heat sink.')
      }
      if ((throttleMarginKelvin ?? 0) < narrowKelvin) return warning('hot', now, 'Check fan and heat sink.')
      return trips.from === 'read' ? now : warning('trips_assumed', now, 'Readable trip points would be used instead.')
    }),
  ),
  check(
    'current',
    withReading(({ overCurrentEvents, overCurrentEventsReason }) => {
      if (overCurrentEvents === null) return `not watched: ${overCurrentEventsReason}`
      const counts = Object.entries(overCurrentEvents)
        .map(([alarm, count]) => `${alarm} ${count}`)
        .join(', ')
      const any = Object.values(overCurrentEvents).some((count) => count > 0)
      if (!any) return `no over-current event since boot (${counts})`
      const hint = 'oc1: supply too weak; oc2, oc3: clocks too high for the supply. A lower budget prevents them.'
      return warning('over_current', `over-current events since boot: ${counts}`, hint)
    }),
  ),
  check(
    'points',
    onBoard(({ board, root }) => {
      const folder = findGpu(root, board)
      if (folder === undefined) return 'no GPU clock to compare'
      return comparePoints(board, readList(join(root, folder, 'available_frequencies')))
    }),
  ),
  check(
    'clocks',
    onBoard(({ board, root }) => {
      if (board.chip === 'none') return 'the clocks of this computer are left alone: levels and pauses hold the budget'
      const folder = findGpu(root, board)
      if (folder === undefined) throw new Error(`no GPU clock (${board.gpu.nodeNames.join(', ')}) under ${root}`)
      const path = join(root, folder, 'max_freq')
      const refusal = refused(path)
      if (refusal !== null) throw new DeapdError('clock_refused', { path, detail: refusal, kept: 'what it is' })
      return `${path} can be written`
    }),
  ),
  check(
    'rights',
    onBoard(({ board, root }) => {
      if (board.chip === 'none') return 'none needed'
      const files = clockFiles(board, root)
      const closed = files.filter((path) => refused(join(root, path)) !== null)
      if (closed.length === 0) return `all ${files.length} clock files can be written`
      const detail = `${closed.length} of ${files.length} clock files cannot be written: ${closed.slice(0, 3).join(', ')}`
      return warning('rights_missing', closed.length > 3 ? `${detail}, …` : detail, grantHint)
    }),
  ),
  check(
    'mode',
    onBoard(({ board, root }) => {
      if (board.chip === 'none') return 'not a Jetson'
      const current = /pmode:(\d+)/.exec(readTextFile(join(root, 'var/lib/nvpmodel/status')) ?? '')?.[1]
      const modes = modesOf(root)
      if (current === undefined || modes.size === 0) return 'the nvpmodel files do not tell the power mode'
      const name = modes.get(Number(current)) ?? `mode ${Number(current)}`
      return `${name} of ${[...modes.values()].join(', ')}; deapd works below its clocks and never changes it`
    }),
  ),
  check(
    'blocks',
    withReading(({ memory, memoryReason }) => {
      if (memory === null || memory.largestBlockBytes === null)
        return `not told: ${memoryReason ?? 'no list of free blocks'}`
      const { largestBlockBytes, largestBlocks, availableBytes } = memory
      const found = `${(availableBytes / 1e9).toFixed(1)} GB can be had, largest free blocks ${largestBlocks} × ${largestBlockBytes / 1024} KiB`
      if (largestBlockBytes >= smallBlockBytes) return found
      return warning(
        'memory_fragmented',
        found,
        'Large GPU buffers may fail: drop the page cache or reboot before loading.',
      )
    }),
  ),
] as const

/** The board's own list of GPU points wins over ours; a difference is worth knowing. */
export function comparePoints(board: Board, listed: readonly number[]): Finding {
  const mhz = (hz: number): string => String(hz / 1e6)
  const shown = (points: readonly number[]): string =>
    `${points.length} GPU points, ${mhz(points[0])} to ${mhz(points[points.length - 1])} MHz`
  const expected = board.gpu.pointsHz
  if (listed.length === 0) {
    return warning(
      'points_unlisted',
      `the board lists no GPU points; taken as ${shown(expected)}`,
      'Check the GPU driver.',
    )
  }
  const extra = listed.filter((hz) => !expected.includes(hz))
  const missing = expected.filter((hz) => !listed.includes(hz))
  if (extra.length + missing.length === 0) return `${shown(listed)}, as expected of ${board.name}`
  const detail = `${shown(listed)}; our table of ${board.name} has ${shown(expected)}`
  return warning(
    'points_differ',
    detail,
    'The board’s own list is used. A release or firmware of another kind has other points.',
  )
}

/** Every file the daemon may write on this board, relative to the root. */
function clockFiles(board: Board, root: string): readonly string[] {
  const gpu = findGpu(root, board)
  const cores = listFolder(join(root, 'sys/devices/system/cpu')).filter((name) => /^cpu[1-9]\d*$/.test(name))
  return [
    ...(gpu === undefined ? [] : [join(gpu, 'min_freq'), join(gpu, 'max_freq')]),
    ...findPolicies(root).flatMap((policy) => [join(policy, 'scaling_min_freq'), join(policy, 'scaling_max_freq')]),
    ...cores.map((core) => join('sys/devices/system/cpu', core, 'online')),
  ].filter((path) => isThere(root, path))
}

/** Names of the power modes by their number, from NVIDIA's own file: nvpmodel itself is not run (hardware.md §3.5). */
function modesOf(root: string): ReadonlyMap<number, string> {
  const text = readText(join(root, 'etc/nvpmodel.conf')) ?? ''
  return new Map(
    [...text.matchAll(/<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>/g)].map(([, id, name]) => [Number(id), name]),
  )
}

/** Why a file cannot be written; null when it can. */
function refused(path: string): string | null {
  try {
    accessSync(path, constants.W_OK)
    return null
  } catch (error) {
    return detailOf(error)
  }
}
