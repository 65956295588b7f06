import { accessSync, constants, existsSync } from 'node:fs'
import { freemem } from 'node:os'
import { dirname, join } from 'node:path'
import { findGpu } from '../clocks/devfreq.ts'
import { readJournal } from '../clocks/journal.ts'
import type { Settings } from '../config/schema.ts'
import { loadOrt } from '../engine/ort/api.ts'
import { monotonicMs } from '../engine/protocol.ts'
import { DeapdError, detailOf } from '../errors.ts'
import { bundledModelDir } from '../models/bundled.ts'
import { verifyPackage } from '../models/package.ts'
import { describeEnd, lastUncleanEnd } from './black-box.ts'
import { openSensors } from './hardware.ts'
import { choosePlatform } from './platform.ts'

export interface Check {
  readonly name: string
  readonly result: 'pass' | 'warn' | 'fail'
  readonly detail: string
  readonly hint: string
}

interface Context {
  readonly settings: Settings
  readonly stateDir: string
}

const oldestNode = [20, 19] as const

/** A check that says what it saw, or throws; what it throws becomes a failure with the hint of the error table. */
const check =
  (name: string, look: (context: Context) => Promise<string> | string, severity: 'fail' | 'warn' = 'fail') =>
  async (context: Context): Promise<Check> => {
    try {
      return { name, result: 'pass', detail: await look(context), hint: '' }
    } catch (error) {
      const hint = error instanceof DeapdError ? error.hint : ''
      return { name, result: severity, detail: detailOf(error), hint }
    }
  }

/** Everything `deapd doctor` looks at, in order. Nothing is changed by any of them. */
export const checks: readonly ((context: Context) => Promise<Check>)[] = [
  check('node', () => {
    const [major, minor] = process.versions.node.split('.').map(Number)
    if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
      throw new Error(`Node ${process.version} is too old; deapd needs ${oldestNode.join('.')} or newer`)
    }
    return `Node ${process.version} on ${process.arch}`
  }),
  check('engine', () => {
    const { version, path } = loadOrt()
    return `ONNX Runtime ${version} from ${path}, CPU provider`
  }),
  check('model', ({ settings }) => {
    const { id, manifest, bytes } = verifyPackage(settings.model || bundledModelDir)
    return `${id}: ${manifest.levels.length} levels, ${(bytes / 1e6).toFixed(1)} MB, every file matches its hash`
  }),
  check('memory', ({ settings }) => {
    const { bytes } = verifyPackage(settings.model || bundledModelDir)
    const free = freemem()
    if (free < 1.5 * bytes)
      throw new Error(`${(free / 1e6).toFixed(0)} MB are free, the model needs ${((1.5 * bytes) / 1e6).toFixed(0)} MB`)
    return `${(free / 1e9).toFixed(1)} GB free`
  }),
  check('state', ({ stateDir }) => {
    let folder = stateDir
    while (!existsSync(folder)) folder = dirname(folder)
    accessSync(folder, constants.W_OK)
    return `${stateDir} can be written`
  }),
  check('board', ({ settings, stateDir }) => {
    const { board, simulated, why } = choosePlatform(settings, stateDir)
    return `${board.name}${simulated ? ', simulated' : ''}: ${why}`
  }),
  check('sensors', async ({ settings, stateDir }) => {
    const { board, simulated, root } = choosePlatform(settings, stateDir)
    if (simulated) return 'the simulated board brings its own'
    const source = openSensors({ board, root }, settings)
    try {
      const { totalWatts, totalWattsReason, totalRule } = await source.read(monotonicMs())
      if (totalWatts === null) throw new DeapdError('sensor_missing', { root, detail: totalWattsReason ?? 'unknown' })
      return `${source.name}: ${totalWatts.toFixed(1)} W by rule ${totalRule}`
    } finally {
      await source.close()
    }
  }),
  check('clocks', ({ settings, stateDir }) => {
    const { board, simulated, root } = choosePlatform(settings, stateDir)
    if (simulated) return 'the simulated board’s can be written'
    const folder = findGpu(root, board)
    if (!folder) throw new Error(`no GPU clock (${board.gpu.nodeNames.join(', ')}) under ${root}`)
    const path = join(root, folder, 'max_freq')
    try {
      accessSync(path, constants.W_OK)
    } catch (error) {
      throw new DeapdError('clock_refused', { path, detail: detailOf(error), kept: 'what it is' }, error)
    }
    return `${path} can be written`
  }),
  check(
    'last end',
    ({ stateDir }) => {
      const report = lastUncleanEnd(stateDir)
      if (report === null) return 'no run ended without a stop'
      return `${describeEnd(report)}. Its last minute is in ${stateDir}/blackbox`
    },
    'warn',
  ),
  check(
    'journal',
    ({ stateDir }) => {
      const journal = readJournal(join(stateDir, 'clocks.json'))
      if (!journal) return 'no clocks are left changed'
      throw new Error(
        `${journal.entries.length} clock files are changed; a running daemon does that, else use \`deapd restore\``,
      )
    },
    'warn',
  ),
]
