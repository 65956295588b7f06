import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Board } from '../board/types.ts'
import type { Fault } from './faults.ts'
import { refusal } from './refusal.ts'
import type { RailSample } from './sensors.ts'
import { capFiles, channelsOf, clocksOf, cpuFolder, gpuFolder, identity, sensorsOf, zoneFiles } from './tree-files.ts'

/** The folder tree of a simulated board, laid out as on a Jetson with R36, for the real adapters to read and write. */
export interface TwinTree {
  readonly root: string
  writeRails(samples: readonly RailSample[]): void
  writeZones(zones: Readonly<Record<string, number>>): void
  writeClocks(clocks: { readonly gpuHz: number; readonly cpuHz: number; readonly gpuLoad: number }): void
  writeProtection(overCurrentEvents: number, throttling: boolean): void
  /** The caps that stand in the tree, or null when somebody has damaged the file. */
  gpuCapHz(): number | null
  cpuCapHz(): number | null
  /** Takes the sensor files away as the fault says, or brings them back (null). Cheap when nothing changes. */
  loseSensors(loss: Fault | null): void
  /** Makes writes to the clock files fail while reads go on, or lets them succeed again. */
  refuseClocks(refuse: boolean): void
  close(): void
}

/** A loss in which the files are there and cannot be read; see `faultKinds`. */
const unreadableLoss = 1

/**
 * Makes the tree, or opens the one a former process left. Clock files that exist are left as they are: their caps outlive
 * the process that set them, as a kernel's do, so that `restore` after a SIGKILL has something to put back.
 */
export function openTree(board: Board, root: string): TwinTree {
  const put = (path: string, content: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    // A killed process may have left a folder where an unreadable sensor was.
    if (statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory())
      rmSync(join(root, path), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  const keep = (path: string, content: string): void => {
    // An empty one is left of a process that was killed while it made the tree.
    if ((statSync(join(root, path), { throwIfNoEntry: false })?.size ?? 0) === 0) put(path, content)
  }
  for (const [path, content] of Object.entries(identity(board))) put(path, content)
  for (const [path, content] of Object.entries(sensorsOf(board))) put(path, content)
  const refused = refusal(root, capFiles(board))
  // A killed process may have left the clock files locked.
  refused(false)
  for (const [path, content] of Object.entries(clocksOf(board))) keep(path, content)

  // Sensor files stay open and are overwritten in place: a reader never finds one empty, as `writeFile` would leave it.
  const files = new Map<string, { readonly descriptor: number; text: string | null }>()
  const refresh = (path: string, value: number): void => {
    let file = files.get(path)
    if (file === undefined) {
      file = { descriptor: openSync(join(root, path), 'r+'), text: null }
      files.set(path, file)
    }
    const text = `${value}\n`
    if (text === file.text) return
    writeSync(file.descriptor, text, 0)
    if (file.text === null || text.length < file.text.length) ftruncateSync(file.descriptor, text.length)
    file.text = text
  }
  const channels = channelsOf(board)
  const zones = zoneFiles()
  const measured = [
    ...[...channels.values()].flatMap(({ folder, number }) => [
      `${folder}/in${number}_input`,
      `${folder}/curr${number}_input`,
    ]),
    ...Object.values(zones),
  ]
  let lost = false

  const capHz = (path: string): number | null => {
    try {
      const text = readFileSync(join(root, path), 'utf8').trim()
      return /^\d+$/.test(text) ? Number(text) : null
    } catch {
      return null
    }
  }

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
      for (const [type, path] of Object.entries(zones)) refresh(path, Math.round((celsius[type] ?? 0) * 1000))
    },
    writeClocks({ gpuHz, cpuHz, gpuLoad }) {
      refresh(`${gpuFolder}/cur_freq`, gpuHz)
      refresh(`${gpuFolder}/device/load`, Math.round(gpuLoad * 1000))
      for (const policy of board.cpu.policies) refresh(`${cpuFolder}/policy${policy}/scaling_cur_freq`, cpuHz / 1000)
    },
    writeProtection(overCurrentEvents, throttling) {
      refresh('sys/class/hwmon/hwmon0/oc3_event_cnt', overCurrentEvents)
      refresh('sys/class/thermal/cooling_device0/cur_state', throttling ? 1 : 0)
    },
    gpuCapHz: () => capHz(`${gpuFolder}/max_freq`),
    cpuCapHz() {
      const caps = board.cpu.policies.map((policy) => capHz(`${cpuFolder}/policy${policy}/scaling_max_freq`))
      const known = caps.filter((cap) => cap !== null)
      return known.length === 0 ? null : Math.max(...known) * 1000
    },
    loseSensors(loss) {
      if ((loss !== null) === lost) return
      lost = loss !== null
      for (const path of measured) {
        const file = files.get(path)
        if (file !== undefined) {
          // Who holds the file open reads nothing from now on, as from a driver that is unbound.
          ftruncateSync(file.descriptor, 0)
          closeSync(file.descriptor)
          files.delete(path)
        }
        rmSync(join(root, path), { recursive: true, force: true })
        // A folder cannot be read as a file, whoever tries (EISDIR): it stands for the EIO of a sensor that hangs.
        if (loss?.amount === unreadableLoss) mkdirSync(join(root, path))
        if (loss === null) writeFileSync(join(root, path), '')
      }
    },
    refuseClocks: refused,
    close() {
      for (const { descriptor } of files.values()) closeSync(descriptor)
      files.clear()
    },
  }
}
