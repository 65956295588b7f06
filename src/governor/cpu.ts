import type { PowerModel } from '../board/types.ts'
import { type Work, workSeconds, workWatts } from '../board/work.ts'

const models = new WeakMap<PowerModel, Map<number, PowerModel>>()

/** The same board with its CPU capped: launching takes longer, and the busy cores draw less. Kept, so that it stays one object. */
export function modelAt(model: PowerModel, cpuHz: number | null): PowerModel {
  const { cpu } = model
  if (cpuHz === null || cpuHz >= cpu.maxHz) return model
  const known = models.get(model) ?? new Map<number, PowerModel>()
  models.set(model, known)
  const capped = known.get(cpuHz) ?? {
    ...model,
    cpu: { ...cpu, maxHz: cpuHz, hostSeconds: (cpu.hostSeconds * cpu.maxHz) / cpuHz },
  }
  known.set(cpuHz, capped)
  return capped
}

/** The CPU cap with the least joules above idle for such work at this GPU clock, by the board's own model. */
export function thriftiestCpu(model: PowerModel, cpuHz: readonly number[], gpuHz: number, work: Work): number {
  const joules = cpuHz.map((hz) => workWatts(model, gpuHz, work, hz) * workSeconds(model, gpuHz, work, hz))
  return cpuHz[joules.indexOf(Math.min(...joules))]
}
