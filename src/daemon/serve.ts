import { randomUUID } from 'node:crypto'
import { parseAddress, stateFolder } from '../config/load.ts'
import type { Settings } from '../config/schema.ts'
import { type Engine, startEngine } from '../engine/client.ts'
import { monotonicMs } from '../engine/protocol.ts'
import { bundledModelDir } from '../models/bundled.ts'
import { openPackage } from '../models/package.ts'
import { openStore } from '../store/db.ts'
import type { Snapshot } from '../telemetry/snapshot.ts'
import { version } from '../version.ts'
import { createAccountant } from './accountant.ts'
import { watchBattery } from './battery.ts'
import { openBlackBox } from './black-box.ts'
import { keepBooks } from './books.ts'
import { loadPeriodMs } from './cadence.ts'
import { calibratedBoard, calibrationKey } from './calibrated-board.ts'
import { watchCertificate } from './certificate.ts'
import { gridIntensity, modelCost } from './costs.ts'
import { energyCsv } from './export.ts'
import { openHardware } from './hardware.ts'
import { openHttp } from './http.ts'
import { createInference } from './inference.ts'
import { createLifecycle } from './lifecycle.ts'
import { createLiveSettings } from './live-settings.ts'
import type { Log } from './log.ts'
import { type Loop, startLoop } from './loop.ts'
import { connectMqtt, loadMqtt } from './mqtt.ts'
import { createNotify } from './notify.ts'
import { takeOrders } from './orders.ts'
import { paceKeeper } from './pace.ts'
import { choosePlatform, type Platform } from './platform.ts'
import { lockState } from './state-lock.ts'
import { createView, type View } from './view.ts'
import { createWorkload } from './workload.ts'

export interface Daemon {
  readonly url: string
  readonly mqttUrl: string | null
  readonly site: string
  readonly device: string
  readonly platform: Platform
  readonly model: string
  readonly levels: number
  readonly budgetWatts: number
  snapshot(): Snapshot
  /** Ends everything and puts the clocks back; returns what did not end well. */
  stop(): Promise<readonly string[]>
}

/** As many periods without a reading are a gap: its energy is unknown. */
const gapPeriods = 3

/**
 * Puts the daemon together: the only place that makes real things. Each part is added to the lifecycle as soon as it runs,
 * so that a failure half-way stops what was started and puts the clocks back.
 */
export async function serve(settings: Settings, env: NodeJS.ProcessEnv, log: Log): Promise<Daemon>
/** The same, but null when `end` resolves before it is ready; then everything was stopped again. */
export async function serve(
  settings: Settings,
  env: NodeJS.ProcessEnv,
  log: Log,
  end: Promise<void>,
): Promise<Daemon | null>
export async function serve(settings: Settings, env: NodeJS.ProcessEnv, log: Log, end?: Promise<void>) {
  const stateDir = stateFolder(settings.state, env)
  const address = parseAddress('listen', settings.listen)
  const pack = openPackage(settings.model || bundledModelDir)
  const platform = choosePlatform(settings, stateDir)
  const { simulated } = platform
  const { board, powerModel } = calibratedBoard(platform, stateDir, calibrationKey(platform, pack.id, settings.as_if))
  const gramsPerKwh = gridIntensity(settings.grid)
  const shares = pack.manifest.levels.map(({ share }) => share)
  const cost = modelCost(pack.manifest, simulated ? settings.as_if : 'none')
  await loadMqtt(settings, platform)
  const lifecycle = createLifecycle()
  let loop: Loop | undefined
  try {
    lifecycle.add('state lock', lockState(stateDir))
    const rails = board.rails.map(({ label }) => label)
    const blackBox = openBlackBox(stateDir, { version, board: board.id, rails }, log)
    lifecycle.add('black box', () => blackBox.close())
    const store = await openStore(stateDir)
    for (const warning of store.warnings) log.warn({ code: warning.code }, `${warning.message} ${warning.hint}`)
    const device = settings.device || store.state.device_id
    const { twin, source, clocks } = await openHardware(platform, {
      stateDir,
      settings,
      log,
      lifecycle,
      onNews: () => loop?.news(),
    })

    const { budget, hold } = takeOrders({
      board,
      configuredWatts: settings.budget ?? board.budget.defaultWatts,
      pointsHz: clocks.gpu?.pointsHz ?? board.gpu.pointsHz,
      levels: shares.length,
      store,
      log,
      wake: () => loop?.wake(),
    })
    const accountant = createAccountant({
      board,
      cost,
      twin,
      startMs: monotonicMs(),
      gapMs: () => Math.max(gapPeriods * (loop?.periodMs() ?? loadPeriodMs), source.staleAfterMs),
      gramsPerKwh,
      gpuHz: () => twin?.gpuHz() ?? view.latest()?.clocks.gpuHz ?? board.gpu.pointsHz[0],
    })
    const workload = createWorkload(cost, () => loop?.wake())
    const watch = watchCertificate(pack.manifest, () => engine, store, log)
    const engine: Engine = startEngine({
      modelDir: pack.dir,
      manifest: pack.manifest,
      threads: settings.threads,
      provider: settings.provider,
      maxSequences: settings.max_sequences,
      maxQueued: settings.max_queued,
      restart: true,
      onStep: (step) => {
        accountant.addStep(step)
        workload.addStep(step)
      },
      revoked: watch.revoked(),
      onShadow: watch.observe,
      onStatus: ({ state, pid, detail }) => log.info({ state, pid }, `engine ${state}: ${detail}`),
    })
    lifecycle.add('engine', () => engine.close())
    const inference = createInference(engine, accountant, workload, () => loop?.wake())
    const bootId = randomUUID()
    const startedAt = new Date()
    const chargePercent = watchBattery(platform.root, monotonicMs)
    const earlierJoules = store.state.ledger.total_joules
    const view: View = createView(
      () => ({
        version,
        bootId,
        platform,
        powerModel,
        model: pack.id,
        shares,
        budget: budget.get(),
        hold: hold.get(),
        engine: engine.status(),
        traffic: inference.traffic(),
        accountant,
        earlierJoules,
        gramsPerKwh,
        certificate: watch.view(),
        battery: { wattHours: settings.battery_wh, percent: chargePercent() },
      }),
      log,
    )
    view.subscribe(blackBox.record)
    lifecycle.add('energy totals', await keepBooks(store, accountant, inference, log))
    // Stopped after HTTP, which drains: the budget holds to the last token.
    lifecycle.add('control loop', () => loop?.stop())

    const url = await openHttp(
      {
        version,
        model: pack,
        generate: inference.generate,
        snapshot: view.snapshot,
        onSnapshot: view.subscribe,
        budget,
        hold,
        windows: accountant.windows,
        energyCsv: () => energyCsv({ id: bootId, startedAt, board, accountant, grid: settings.grid, gramsPerKwh }),
        blackBox,
      },
      { address, settings, log, lifecycle },
    )

    const live = createLiveSettings(settings)
    const notify = createNotify(env, monotonicMs)
    const follow = paceKeeper(twin, cost, settings.as_if, engine)
    loop = await startLoop({
      board,
      source,
      clocks,
      engine,
      accountant,
      budget,
      shares,
      workload,
      targets: {
        get tokenSeconds() {
          return live.current().latency_target_ms / 1000
        },
        get firstTokenSeconds() {
          return live.current().first_token_target_s
        },
        maxSequences: settings.max_sequences,
      },
      hold: hold.current,
      computesOnCpu: !simulated || settings.as_if === 'none',
      onTick: (tick) => {
        follow()
        notify.alive()
        view.show(tick)
      },
      onFault: (fault) => log.error({ err: fault }, fault.message),
    })
    const mqttUrl = await connectMqtt({
      settings,
      platform,
      device,
      pack,
      view,
      budget,
      hold,
      live,
      blackBox,
      log,
      lifecycle,
    })
    // The one wait that can take minutes: a signal need not sit it out.
    const ended = await Promise.race([engine.ready().then(() => false), end?.then(() => true) ?? never])
    if (ended) {
      await lifecycle.stop()
      return null
    }
    // "Ready" is said when every view says so, not a tick before.
    const shown = view.until((snapshot) => snapshot.engine.state === 'ready')
    loop.wake()
    await shown
    notify.ready(`${pack.id} on ${board.name}, ${budget.get().watts} W`)
    lifecycle.add('notify', () => notify.stopping())
    return {
      url,
      mqttUrl,
      site: settings.site,
      device,
      platform,
      model: pack.id,
      levels: shares.length,
      budgetWatts: budget.get().watts,
      snapshot: view.snapshot,
      stop: () => lifecycle.stop(),
    }
  } catch (error) {
    await lifecycle.stop()
    throw error
  }
}

const never = new Promise<never>(() => undefined)
