import { accessSync, constants, existsSync } from 'node:fs'
import { connect } from 'node:net'
import { freemem } from 'node:os'
import { dirname, join } from 'node:path'
import { readJournal } from '../clocks/journal.ts'
import { loadOrt } from '../engine/ort/api.ts'
import { ownKernels } from '../engine/ort/own-kernels.ts'
import { DeapdError, detailOf } from '../errors.ts'
import { bundledModelDir } from '../models/bundled.ts'
import { openPackage, verifyPackage } from '../models/package.ts'
import { readCalibration } from '../store/calibration.ts'
import { describeEnd, lastUncleanEnd } from './black-box.ts'
import { calibrationKey } from './calibrated-board.ts'
import { type Check, type CheckContext, check } from './check.ts'
import { boardChecks } from './doctor-board.ts'
import { choosePlatform } from './platform.ts'

const oldestNode = [20, 19] as const
const brokerWaitMs = 2000

/** Everything `deapd doctor` looks at, in order. Nothing is changed by any of them. */
export const checks: readonly ((context: CheckContext) => Promise<Check>)[] = [
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
  check(
    'products',
    () => {
      const own = ownKernels()
      if (own.library === null)
        throw new Error(`ONNX Runtime’s matrix products and attention serve, ours are faster: ${own.why}`)
      return `matrix products and attention of our own, for ${own.lanes}`
    },
    'warn',
  ),
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
  check('mqtt', ({ settings }) => reachBroker(settings.mqtt)),
  ...boardChecks,
  check('calibration', ({ settings, stateDir }) => {
    const { id } = openPackage(settings.model || bundledModelDir)
    const key = calibrationKey(choosePlatform(settings, stateDir), id, settings.as_if)
    const { calibration, why } = readCalibration(stateDir, key)
    return calibration ? why : `${why}: the power model starts from its priors, ±40 %; \`deapd calibrate\` fits them`
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

/** Whether a broker listens where the settings say; nothing is sent to it. Throws `broker_unreachable`. */
async function reachBroker(choice: string): Promise<string> {
  if (!URL.canParse(choice) || choice.startsWith('embedded')) return `broker: ${choice}`
  const url = new URL(choice)
  const port = Number(url.port) || ({ 'mqtts:': 8883, 'ssl:': 8883, 'ws:': 80, 'wss:': 443 }[url.protocol] ?? 1883)
  const socket = connect({ host: url.hostname, port, timeout: brokerWaitMs })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
      socket.once('timeout', () => reject(new Error(`no answer within ${brokerWaitMs} ms`)))
    })
    return `${url.hostname}:${port} takes connections`
  } catch (error) {
    throw new DeapdError('broker_unreachable', { url: `${url.protocol}//${url.host}`, detail: detailOf(error) }, error)
  } finally {
    socket.destroy()
  }
}
