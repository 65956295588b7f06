import type { BudgetState, HoldState } from '../api/ports.ts'
import type { Conditions } from '../board/reading.ts'
import type { PowerModel } from '../board/types.ts'
import { cpuWatts } from '../board/work.ts'
import type { AppliedLimit } from '../clocks/keeper.ts'
import { batteryLeft } from '../energy/battery.ts'
import { grams } from '../energy/carbon.ts'
import { requestJoules } from '../energy/ledger.ts'
import type { EngineStatus } from '../engine/client.ts'
import { alarmsOf } from '../telemetry/alarms.ts'
import type { Snapshot } from '../telemetry/snapshot.ts'
import type { Accountant } from './accountant.ts'
import type { Traffic } from './inference.ts'
import type { Tick } from './loop.ts'
import type { Platform } from './platform.ts'

export interface SnapshotParts {
  readonly version: string
  readonly bootId: string
  readonly platform: Platform
  /** Where the figures of the power model come from. */
  readonly powerModel: string
  readonly model: string
  readonly shares: readonly number[]
  readonly tick: Tick
  readonly budget: BudgetState
  readonly hold: HoldState
  readonly engine: EngineStatus
  readonly traffic: Traffic
  readonly accountant: Accountant
  /** Joules of earlier runs of this installation. */
  readonly earlierJoules: number
  readonly gramsPerKwh: number
  readonly certificate: Snapshot['certificate']
  readonly battery: { readonly wattHours: number | null; readonly percent: number | null }
}

/** The daemon's state at one tick, put together from what its parts say. */
export function makeSnapshot(parts: SnapshotParts): Snapshot {
  const { tick, budget, hold, engine, traffic, accountant, platform, shares } = parts
  const { reading, decision } = tick
  const ledger = accountant.ledger()
  const bytes = accountant.bytesPerToken()
  const totalJoules = parts.earlierJoules + ledger.meterJoules
  const spent = requestJoules(ledger)
  const perToken = traffic.tokensTotal > 0 ? spent / traffic.tokensTotal : null
  const battery = batteryLeft({ ...parts.battery, meanWatts: reading.totalWatts, joulesPerToken: perToken })
  return {
    ts: new Date().toISOString(),
    monoMs: tick.atMs,
    bootId: parts.bootId,
    version: parts.version,
    board: {
      id: platform.board.id,
      name: platform.board.name,
      simulated: platform.simulated,
      sensor: platform.simulated ? `${reading.source} (simulated)` : reading.source,
    },
    power: {
      totalWatts: reading.totalWatts,
      totalWattsReason: reading.totalWattsReason,
      totalRule: reading.totalRule,
      railWatts: { ...reading.railWatts },
      budgetWatts: budget.watts,
      budgetSource: budget.source,
      leaseUntil: budget.leaseUntil?.toISOString() ?? null,
      headroomWatts: reading.totalWatts === null ? null : budget.watts - reading.totalWatts,
      headroomWattsReason: reading.totalWattsReason,
      overCurrentEvents: reading.overCurrentEvents && { ...reading.overCurrentEvents },
      overCurrentEventsReason: reading.overCurrentEventsReason,
      secondsOverBudget: tick.secondsOverBudget,
    },
    thermal: thermalOf(reading),
    memory: memoryOf(reading),
    clocks: clocksOf(tick),
    // view.ts knows what was open before.
    alarms: alarmsOf([]),
    governor: {
      powerModel: parts.powerModel,
      level: decision.capLevel,
      ecoLevel: decision.ecoLevel,
      levels: shares.length,
      share: shares[decision.capLevel],
      reason: decision.reason,
      conditions: [...decision.conditions],
      explanation: decision.explanation,
      predictedWatts: decision.predictedWatts,
      holdGpuHz: hold.gpuHz,
      holdLevel: hold.level,
      holdSource: hold.source,
      holdLeaseUntil: hold.leaseUntil?.toISOString() ?? null,
      // A level held by hand is asked for, so it is no brown-out; the answers say what they got either way.
      degraded: decision.capLevel < (hold.level ?? shares.length - 1),
      ticks: tick.ticks,
      longestGapMs: tick.longestGapMs,
    },
    engine: {
      state: engine.state,
      pid: engine.pid,
      pidReason: engine.pid === null ? engine.detail : null,
      detail: engine.detail,
      model: parts.model,
      provider: engine.loaded?.provider ?? 'none yet',
      activeRequests: engine.active,
      queuedRequests: engine.queued,
      restarts: engine.restarts,
      ...traffic,
      weightBytesPerToken: bytes?.weights ?? null,
      weightBytesPerTokenReason: bytes ? null : nothingDecoded,
      kvBytesPerToken: bytes?.kv ?? null,
      kvBytesPerTokenReason: bytes ? null : nothingDecoded,
    },
    certificate: parts.certificate,
    energy: {
      method: accountant.method,
      totalJoules,
      requestJoules: spent,
      idleJoules: ledger.idleJoules,
      cancelledJoules: ledger.closed.cancelled,
      failedJoules: ledger.closed.failed,
      daemonJoules: daemonJoules(platform.board.model),
      unknownSeconds: ledger.unknownSeconds,
      joulesPerToken: perToken,
      joulesPerTokenReason: perToken === null ? 'no token was generated yet' : null,
      gco2eqTotal: grams(totalJoules, parts.gramsPerKwh),
      gridGramsPerKwh: parts.gramsPerKwh,
      batteryPercent: battery.percent,
      batteryPercentReason: battery.percentReason,
      batteryHoursLeft: battery.hoursLeft,
      batteryHoursLeftReason: battery.hoursLeftReason,
      batteryTokensLeft: battery.tokensLeft,
      batteryTokensLeftReason: battery.tokensLeftReason,
    },
  }
}

const nothingDecoded = 'no token was decoded yet'

/** What the daemon itself has cost, without the engine: its CPU seconds at a core's watts at the highest clock. */
function daemonJoules(model: PowerModel): number {
  const { user, system } = process.cpuUsage()
  return ((user + system) / 1e6) * cpuWatts(model, model.cpu.maxHz, 1)
}

function clocksOf({ gpuHz, cpuHz, decision, applied }: Tick): Snapshot['clocks'] {
  const { gpu, cpu, cores } = applied
  const limits = [gpu, cpu, cores].filter((limit) => limit !== null)
  const notOurs = 'left as the board has it'
  return {
    gpuHz,
    gpuHzReason: gpuHz === null ? 'the board does not say' : null,
    cpuHz,
    cpuHzReason: cpuHz === null ? 'the board does not say' : null,
    gpuCapHz: decision.gpuHz,
    gpuCapAppliedHz: gpu?.value ?? null,
    gpuCapAppliedHzReason: reasonOf(gpu, 'the board shows no GPU clock'),
    cpuCapAppliedHz: cpu?.value ?? null,
    cpuCapAppliedHzReason: reasonOf(cpu, notOurs),
    coresOnline: cores?.value ?? null,
    coresOnlineReason: reasonOf(cores, notOurs),
    drifts: limits.reduce((sum, { drifts }) => sum + drifts, 0),
    contested: limits.some(({ contested }) => contested),
    refusal: limits.find(({ fault }) => fault !== null)?.fault?.message ?? '',
  }
}

function reasonOf(limit: AppliedLimit | null, none: string): string | null {
  if (limit === null) return none
  return limit.value === null ? (limit.fault?.message ?? 'it cannot be read') : null
}

function thermalOf(reading: Conditions): Snapshot['thermal'] {
  const { trips, throttling } = reading
  return {
    tjCelsius: reading.tjCelsius,
    tjCelsiusReason: reading.tjCelsiusReason,
    zoneCelsius: { ...reading.zoneCelsius },
    throttleCelsius: trips.throttleCelsius,
    shutdownCelsius: trips.shutdownCelsius,
    tripsFrom: trips.from,
    throttleMarginKelvin: reading.throttleMarginKelvin,
    throttleMarginKelvinReason: reading.throttleMarginKelvinReason,
    throttling: throttling && throttling.length > 0,
    throttlingReason: reading.throttlingReason,
    throttlingDevices: [...(throttling ?? [])],
  }
}

function memoryOf({ memory, memoryReason }: Conditions): Snapshot['memory'] {
  const blockReason = memoryReason ?? 'the board does not tell its free blocks'
  return {
    totalBytes: memory?.totalBytes ?? null,
    totalBytesReason: memoryReason,
    availableBytes: memory?.availableBytes ?? null,
    availableBytesReason: memoryReason,
    largestBlockBytes: memory?.largestBlockBytes ?? null,
    largestBlockBytesReason: memory?.largestBlockBytes == null ? blockReason : null,
  }
}
