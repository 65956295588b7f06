import { unread } from './health.ts'
import { freshPace } from './pace.ts'
import { freshPlant } from './plant.ts'
import { reasons } from './reasons.ts'
import { tuning } from './tuning.ts'
import type { Decision, GovernorState, Ladder } from './types.ts'

/** The state before the first step: the lowest cap, every level allowed, the plant as uncertain as the priors are. */
export function initialState(start: {
  readonly atMs: number
  readonly ladder: Ladder
  readonly budgetWatts: number
  readonly idleWatts: number
}): GovernorState {
  const { atMs, ladder, budgetWatts, idleWatts } = start
  const fullLevel = ladder.shares.length - 1
  const gpuHz = ladder.gpuHz[0]
  const decision: Decision = {
    gpuHz,
    cpuHz: null,
    capLevel: fullLevel,
    ecoLevel: 0,
    duty: 1,
    concurrency: 1,
    prefillChunk: tuning.chunkLeastTokens,
    reason: 'start',
    conditions: [],
    explanation: reasons.start({
      budgetWatts,
      fromHz: gpuHz,
      toHz: gpuHz,
      predictedWatts: idleWatts,
      measuredWatts: null,
      expectedWatts: null,
      tjCelsius: null,
      throttleCelsius: Number.NaN,
      readingAgeMs: null,
      duty: 1,
      capLevel: fullLevel,
      fullLevel,
      boardHz: gpuHz,
      tokenSeconds: 0,
    }),
    predictedWatts: idleWatts,
  }
  return {
    decision,
    atMs,
    gpuHz,
    changedAtMs: atMs,
    levelAtMs: atMs,
    busyAtMs: Number.NEGATIVE_INFINITY,
    idle: true,
    budgetWatts,
    ceilings: { decode: { rung: 0, raisedAtMs: atMs }, prefill: { rung: 0, raisedAtMs: atMs } },
    plant: freshPlant,
    pace: freshPace,
    recent: [],
    waiting: [],
    health: unread,
    backlog: 0,
    barred: null,
    overCurrent: null,
    overCurrentEvents: null,
    thermalRung: ladder.gpuHz.length - 1,
    thermalAtMs: atMs,
    refusedAtMs: null,
    wanted: { decode: -1, prefill: -1 },
    probe: { rung: 0, untilMs: Number.NEGATIVE_INFINITY },
  }
}
