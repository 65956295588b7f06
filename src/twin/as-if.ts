import type { PowerModel } from '../board/types.ts'
import { gpuSeconds, hostSeconds, type ModelCost } from '../board/work.ts'
import { DeapdError } from '../errors.ts'

/** What a token of a model costs that the bundled small one stands for on the simulated board. */
export interface AsIf {
  readonly name: string
  /** Weight bytes per decoded token of the full network. */
  readonly weightBytes: number
  readonly kvBytesPerContextToken: number
  readonly flopsPerToken: number
}

export const asIfModels: readonly AsIf[] = [
  // int4 at group 128, 3.407 GB read per token; f16 KV of 32 layers x 4096 x K and V (deap.md §4 roofline facts).
  { name: 'llama-2-7b', weightBytes: 3.407e9, kvBytesPerContextToken: 524_288, flopsPerToken: 13.2e9 },
]

/** The cost of the named model with the levels of the loaded one; undefined for `none`: the loaded model's own cost holds. */
export function asIfCost(name: string, shares: readonly number[]): ModelCost | undefined {
  if (name === 'none') return undefined
  const row = asIfModels.find((candidate) => candidate.name === name)
  if (row === undefined) {
    const known = [...asIfModels.map((candidate) => candidate.name), 'none'].join(', ')
    throw new DeapdError('setting_invalid', {
      name: 'as-if',
      value: name,
      detail: `it must be one of ${known}`,
      source: '--as-if',
    })
  }
  return {
    weightBytes: shares.map((share) => share * row.weightBytes),
    kvBytesPerContextToken: row.kvBytesPerContextToken,
    flopsPerToken: row.flopsPerToken,
  }
}

/** The engine protocol's pace: what runs of this model take on this board at these clocks. Memory time is linear in bytes. */
export function paceOf(model: PowerModel, cost: ModelCost, gpuHz: number, cpuHz = model.cpu.maxHz) {
  const full = cost.weightBytes[cost.weightBytes.length - 1]
  const seconds = (bytes: number, flops: number): number => gpuSeconds(model, gpuHz, { phase: 'decode', bytes, flops })
  return {
    hostSeconds: hostSeconds(model, cpuHz),
    weightSeconds: cost.weightBytes.map((bytes) => seconds(bytes, 0)),
    kvSecondsPerToken: seconds(cost.kvBytesPerContextToken, 0),
    arithmeticSecondsPerToken: cost.weightBytes.map((bytes) => seconds(0, (cost.flopsPerToken * bytes) / full)),
  }
}
