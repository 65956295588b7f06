import type { Inputs } from './types.ts'

/**
 * Inputs with everything that is not a number taken out: what a sensor or an engine says wrongly must not reach the law as
 * NaN. An unusable value becomes unknown (null) where that exists, else the harmless end of its range.
 */
export function soundInputs(inputs: Inputs): Inputs {
  const { reading, limits, load, gpuCapHz } = inputs
  const watts = reading?.totalWatts ?? null
  const tj = reading?.tjCelsius ?? null
  return {
    ...inputs,
    gpuCapHz: gpuCapHz !== null && gpuCapHz >= 1 && gpuCapHz <= largest ? gpuCapHz : null,
    reading:
      reading === null || !Number.isFinite(reading.atMs)
        ? null
        : {
            ...reading,
            totalWatts: watts !== null && Math.abs(watts) < largestWatts ? watts : null,
            tjCelsius: tj !== null && Number.isFinite(tj) ? tj : null,
          },
    limits: {
      ...limits,
      budgetWatts: positive(limits.budgetWatts),
      tokenSeconds: positive(limits.tokenSeconds),
      firstTokenSeconds: positive(limits.firstTokenSeconds),
      maxSequences: Math.max(1, Math.floor(positive(limits.maxSequences))),
    },
    load: {
      active: positive(load.active),
      queued: positive(load.queued),
      prefilling: Math.min(positive(load.active), positive(load.prefilling)),
      promptTokens: positive(load.promptTokens),
      sequenceBytes: positive(load.sequenceBytes),
      intervalSeconds: positive(load.intervalSeconds),
      told: load.told === null || Number.isNaN(load.told.untilMs) ? null : load.told,
      decode: soundPhase(load.decode),
      prefill: { ...soundPhase(load.prefill), tokens: Math.max(1, positive(load.prefill.tokens)) },
    },
  }
}

function soundPhase({ work, seconds, stepSeconds }: Inputs['load']['decode']): Inputs['load']['decode'] {
  return {
    // The same object where it is sound: what is known of it is kept with it.
    work:
      work.bytes >= 1 && work.flops >= 1 && work.bytes + work.flops <= largest
        ? work
        : { phase: work.phase, bytes: Math.max(1, positive(work.bytes)), flops: Math.max(1, positive(work.flops)) },
    seconds: positive(seconds),
    stepSeconds: stepSeconds !== null && stepSeconds > 0 && Number.isFinite(stepSeconds) ? stepSeconds : null,
  }
}

/** No board draws so much; what says so is no reading. */
const largestWatts = 1e4
/** More than any board or model has, little enough to be raised to a power. */
const largest = 1e18

const positive = (value: number): number => (Number.isFinite(value) ? Math.min(largest, Math.max(0, value)) : 0)
