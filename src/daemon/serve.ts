import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { buildApp } from '../api/app.ts'
import { listen } from '../api/listen.ts'
import { openClocks } from '../clocks/capped.ts'
import { restore } from '../clocks/restore.ts'
import { parseAddress, stateFolder } from '../config/load.ts'
import type { Settings } from '../config/schema.ts'
import { startEngine } from '../engine/client.ts'
import { monotonicMs } from '../engine/protocol.ts'
import { DeapdError } from '../errors.ts'
import { bundledModelDir } from '../models/bundled.ts'
import { openPackage } from '../models/package.ts'
import { discoverPower } from '../power/discover.ts'
import { openStore } from '../store/db.ts'
import type { MachineState } from '../store/state.ts'
import type { Snapshot } from '../telemetry/snapshot.ts'
import { createTwin } from '../twin/board.ts'
import { version } from '../version.ts'
import { createAccountant } from './accountant.ts'
import { keepBooks } from './books.ts'
import { createBudget } from './budget.ts'
import { gridIntensity, modelCost } from './costs.ts'
import { createFeed } from './feed.ts'
import { createInference } from './inference.ts'
import { createLifecycle } from './lifecycle.ts'
import type { Log } from './log.ts'
import { startLoop, tickMs } from './loop.ts'
import { connectMqtt } from './mqtt.ts'
import { createNotify } from './notify.ts'
import { choosePlatform, type Platform } from './platform.ts'
import { makeSnapshot } from './snapshot.ts'
import { lockState } from './state-lock.ts'

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

const bodyLimitBytes = 1 << 20

/**
 * Puts the daemon together: the only place that makes real things. Each part is added to the lifecycle as soon as it runs,
 * so that a failure half-way stops what was started and puts the clocks back.
 */
export async function serve(settings: Settings, env: NodeJS.ProcessEnv, log: Log): Promise<Daemon> {
  const stateDir = stateFolder(settings.state, env)
  const address = parseAddress('listen', settings.listen)
  const pack = openPackage(settings.model || bundledModelDir)
  const platform = choosePlatform(settings, stateDir)
  const { board, simulated, root } = platform
  const gramsPerKwh = gridIntensity(settings.grid)
  const shares = pack.manifest.levels.map(({ share }) => share)
  const cost = modelCost(pack.manifest, simulated ? settings.as_if : 'none')
  const lifecycle = createLifecycle()
  try {
    lifecycle.add('state lock', lockState(stateDir))
    const store = await openStore(stateDir)
    for (const warning of store.warnings) log.warn({ code: warning.code }, `${warning.message} ${warning.hint}`)
    const bootId = randomUUID()
    const device = settings.device || store.state.device_id
    const earlierJoules = store.state.ledger.total_joules

    // Clocks that an earlier run could not put back come first: nothing may be journalled over them.
    const journalPath = join(stateDir, 'clocks.json')
    const restored = restore(journalPath)
    if (restored.files.length > 0) log.warn({ files: restored.files }, `an earlier run ended badly. ${restored.detail}`)
    const twin = simulated ? createTwin({ board, root, now: monotonicMs }) : null
    twin?.start()
    if (twin) lifecycle.add('twin', () => twin.stop())
    const source = await discoverPower(board, { root, tegrastats: settings.tegrastats || null, now: monotonicMs })
    lifecycle.add('power source', () => source.close())
    const clocks = openClocks({ board, root, journalPath })
    if (clocks.gpuReason) log.warn({}, `${clocks.gpuReason}; the budget is held by levels and pauses alone`)
    lifecycle.add('clocks', () => clocks.restore())

    const accountant = createAccountant({
      board,
      cost,
      twin,
      startMs: monotonicMs(),
      periodMs: tickMs,
      gramsPerKwh,
      gpuHz: () => twin?.gpuHz() ?? current?.clocks.gpuHz ?? current?.clocks.gpuCapHz ?? board.gpu.pointsHz[0],
    })
    const engine = startEngine({
      modelDir: pack.dir,
      manifest: pack.manifest,
      threads: settings.threads,
      maxSequences: settings.max_sequences,
      maxQueued: settings.max_queued,
      restart: true,
      onStep: (step) => accountant.addStep(step),
      onStatus: ({ state, pid, detail }) => log.info({ state, pid }, `engine ${state}: ${detail}`),
    })
    lifecycle.add('engine', () => engine.close())
    const inference = createInference(engine, accountant, () => loop.wake())
    const budget = createBudget({
      board,
      configuredWatts: settings.budget ?? board.budget.defaultWatts,
      now: () => new Date(),
      earlier: earlierOrder(store.state.limits),
      onChange: ({ watts, source: by, leaseUntil }) => {
        log.info({ watts, by, lease_until: leaseUntil }, `budget ${watts} W, set by ${by}`)
        const limits = { budget_watts: watts, source: by, lease_until: leaseUntil?.toISOString() ?? null }
        void store.update((state) => Object.assign(state, { limits }))
        loop.wake()
      },
    })

    const feed = createFeed<Snapshot>((thrown) => log.error({ err: thrown }, 'a view of the snapshot failed'))
    let current: Snapshot | undefined
    const snapshot = (): Snapshot => {
      if (!current) throw new DeapdError('engine_starting', { detail: 'the first reading is not there yet' })
      return current
    }
    const app = buildApp(
      {
        version,
        model: {
          id: pack.id,
          manifest: pack.manifest,
          bytes: pack.bytes,
          digest: pack.digest,
          modifiedAt: pack.modifiedAt,
        },
        generate: inference.generate,
        snapshot,
        onSnapshot: feed.subscribe,
        budget,
        windows: accountant,
        settings: {
          allowedHosts: [address.host, ...list(settings.allowed_hosts)],
          allowedOrigins: list(settings.allowed_origins),
          bodyLimitBytes,
        },
      },
      { loggerInstance: log },
    )
    lifecycle.add('HTTP', () => app.close())
    const url = await listen(app, address)
    const notify = createNotify(env, monotonicMs)
    let pacedHz = 0
    const loop = startLoop({
      board,
      source,
      clocks,
      engine,
      accountant,
      budget,
      shares,
      cost,
      pace: () => {
        if (!twin || settings.as_if === 'none' || twin.gpuHz() === pacedHz) return
        pacedHz = twin.gpuHz()
        engine.setPace(twin.pace(cost, pacedHz))
      },
      onTick: (tick) => {
        const before = current?.governor
        const status = engine.status()
        const traffic = inference.traffic()
        const state = budget.get()
        current = makeSnapshot({
          version,
          bootId,
          platform,
          model: pack.id,
          shares,
          tick,
          budget: state,
          engine: status,
          traffic,
          accountant,
          earlierJoules,
          gramsPerKwh,
        })
        notify.alive()
        if (before?.reason !== current.governor.reason || before.level !== current.governor.level) {
          log.info(
            {
              reason: current.governor.reason,
              cap_level: current.governor.level,
              gpu_cap_hz: current.clocks.gpuCapHz,
              total_watts: current.power.totalWatts,
            },
            current.governor.explanation,
          )
        }
        feed.publish(current)
      },
      onFault: (fault) => log.error({ err: fault }, fault.message),
    })
    lifecycle.add('control loop', () => loop.stop())

    const mqtt = await connectMqtt({
      settings,
      simulated,
      device,
      board,
      pack,
      snapshot,
      onSnapshot: feed.subscribe,
      budget,
      log,
      add: lifecycle.add,
    })
    await engine.ready()

    lifecycle.add('energy totals', await keepBooks(store, accountant, inference, log))
    notify.ready(`${pack.id} on ${board.name}, ${budget.get().watts} W`)
    lifecycle.add('notify', () => notify.stopping())
    return {
      url,
      mqttUrl: mqtt?.url ?? null,
      site: settings.site,
      device,
      platform,
      model: pack.id,
      levels: shares.length,
      budgetWatts: budget.get().watts,
      snapshot,
      stop: () => lifecycle.stop(),
    }
  } catch (error) {
    await lifecycle.stop()
    throw error
  }
}

/** The order in force when the last run ended, as the budget wants it. */
function earlierOrder(limits: MachineState['limits']) {
  if (!limits?.lease_until) return null
  return { watts: limits.budget_watts, source: limits.source, leaseUntil: new Date(limits.lease_until) }
}

const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
