import type { PowerModel } from './types.ts'

/** One piece of engine work: a decode step for some sequences, or one chunk of prefill. */
export interface Work {
  readonly phase: 'prefill' | 'decode'
  /** Weight and KV bytes moved. */
  readonly bytes: number
  readonly flops: number
}

/** What one token of a model costs: the model's own figures, or those of the model it stands for on the twin. */
export interface ModelCost {
  /** Weight bytes read per decoded token at each level, ascending; the last is the full network. */
  readonly weightBytes: readonly number[]
  readonly kvBytesPerContextToken: number
  /** Floating-point operations per token of the full network. */
  readonly flopsPerToken: number
}

const giga = 1e9

/** The work of one engine step. Prefill always runs the full network, so that the cache has no holes at any level. */
export function stepWork(
  cost: ModelCost,
  step: {
    readonly phase: 'prefill' | 'decode'
    readonly level: number
    readonly tokens: number
    readonly contextTokens: number
  },
): Work {
  const full = cost.weightBytes.length - 1
  const level = step.phase === 'prefill' ? full : Math.min(full, Math.max(0, step.level))
  const share = cost.weightBytes[level] / cost.weightBytes[full]
  return {
    phase: step.phase,
    bytes: cost.weightBytes[level] + cost.kvBytesPerContextToken * (step.contextTokens + step.tokens),
    flops: cost.flopsPerToken * share * step.tokens,
  }
}

/** One run of the engine for one or several sequences. */
export interface RunShape {
  readonly phase: 'prefill' | 'decode'
  readonly level: number
  readonly parts: readonly { readonly tokens: number; readonly contextTokens: number }[]
}

/** The work of a run: the weights once, whatever the number of sequences, and each sequence's own keys and values. */
export function runWork(cost: ModelCost, { phase, level, parts }: RunShape): Work {
  const tokens = parts.reduce((sum, part) => sum + part.tokens, 0)
  const contextTokens = parts.reduce((sum, part) => sum + part.contextTokens, 0)
  return stepWork(cost, { phase, level, tokens, contextTokens })
}

/**
 * Each sequence's part of a run, adding up to 1, in proportion to what it would have cost alone: in decode the bytes it
 * would have moved (the weights and its own keys and values), in prefill its tokens. A batched answer so pays less than
 * alone, and the saving is shared alike.
 */
export function partShares(cost: ModelCost, run: RunShape): readonly number[] {
  const weights = cost.weightBytes[Math.min(cost.weightBytes.length - 1, Math.max(0, run.level))]
  const alone = run.parts.map(({ tokens, contextTokens }) =>
    run.phase === 'prefill' ? tokens : weights + cost.kvBytesPerContextToken * (contextTokens + tokens),
  )
  const all = alone.reduce((sum, own) => sum + own, 0)
  return alone.map((own) => own / all)
}

/** GPU core volts over the volts at the knee: flat below it, rising linearly above (hardware.md §4.5). */
export function relativeVolts({ kneeHz, voltSlope }: Pick<PowerModel, 'kneeHz' | 'voltSlope'>, hz: number): number {
  return hz <= kneeHz ? 1 : 1 + voltSlope * (hz / kneeHz - 1)
}

/** Seconds the work takes at these clocks: what the GPU needs and what it waits for the host. */
export function workSeconds(model: PowerModel, gpuHz: number, work: Work, cpuHz = model.cpu.maxHz): number {
  return gpuSeconds(model, gpuHz, work) + hostSeconds(model, cpuHz)
}

/** Seconds in which the GPU works. */
export function gpuSeconds(model: PowerModel, gpuHz: number, work: Work): number {
  return Math.max(memorySeconds(model, gpuHz, work), computeSeconds(model, gpuHz, work))
}

/** Seconds of a step in which the GPU waits for the host to launch it and to sample. */
export function hostSeconds({ cpu }: PowerModel, cpuHz: number): number {
  return (cpu.hostSeconds * cpu.maxHz) / cpuHz
}

/** Watts of the GPU above idle while it works. */
export function gpuWatts(model: PowerModel, gpuHz: number, work: Work): number {
  return gpuDraw(model, gpuHz, work).watts
}

/**
 * What the GPU makes of some work at this clock: its seconds, and its watts above idle in them. A prefill too short to fill
 * the arithmetic units is bound by memory like decode, so its activity lies between the two in proportion.
 */
export function gpuDraw(model: PowerModel, gpuHz: number, work: Work): { seconds: number; watts: number } {
  const memory = memorySeconds(model, gpuHz, work)
  const compute = computeSeconds(model, gpuHz, work)
  const filled = work.phase === 'prefill' ? Math.min(1, compute / memory) : 0
  const activity = model.decodeActivity + (model.prefillActivity - model.decodeActivity) * filled
  const volts = relativeVolts(model, gpuHz)
  const watts = model.wattsPerSmGhz * model.smCount * (gpuHz / giga) * volts * volts * activity
  return { seconds: Math.max(memory, compute), watts }
}

/** Watts of this many busy CPU cores above idle. */
export function cpuWatts({ cpu }: PowerModel, cpuHz: number, cores: number): number {
  return cores * cpu.wattsPerCoreGhz * (cpuHz / giga) * relativeVolts(cpu, cpuHz) ** 2
}

/** Mean watts above idle over a step with such work at these clocks. */
export function workWatts(model: PowerModel, gpuHz: number, work: Work, cpuHz = model.cpu.maxHz): number {
  const draw = gpuDraw(model, gpuHz, work)
  const seconds = draw.seconds + hostSeconds(model, cpuHz)
  const dram = (model.dramJoulesPerByte * work.bytes) / seconds
  const gpu = (draw.watts * draw.seconds) / seconds
  return gpu + model.activeWatts + cpuWatts(model, cpuHz, model.cpu.busyCores) + dram
}

/** Watts that leakage adds at this temperature to what `idleWatts` holds of it; negative when it is colder. */
export function leakWatts({ leak }: PowerModel, tjCelsius: number): number {
  return leak.watts * (Math.exp(leak.perKelvin * (tjCelsius - leak.referenceCelsius)) - 1)
}

function memorySeconds(model: PowerModel, gpuHz: number, work: Work): number {
  const p = model.rooflinePower
  const cores = work.bytes / (model.coreBytesPerSmGhz * ((model.smCount * gpuHz) / giga))
  return (cores ** p + (work.bytes / model.memoryBytesPerSecond) ** p) ** (1 / p)
}

function computeSeconds(model: PowerModel, gpuHz: number, work: Work): number {
  return work.flops / (model.flopsPerSmGhz * ((model.smCount * gpuHz) / giga) * model.prefillEfficiency)
}
