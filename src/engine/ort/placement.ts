import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeapdError } from '../../errors.ts'
import { type ProviderName, providers } from './providers.ts'

/** Kernels that ran, as `provider → operator → count`. */
export type Placement = Readonly<Record<string, Readonly<Record<string, number>>>>

/** Operators that hold the work: with one of them on the CPU, a GPU in name is a CPU in fact. */
export const heavyOperators: readonly string[] = ['MatMulNBits', 'MatMul', 'GroupQueryAttention']

/** Operators that the runtime puts in itself to move a tensor between a device and the host. */
const copies: readonly string[] = ['MemcpyFromHost', 'MemcpyToHost']

/** A folder for one profile; `take` reads what was recorded and removes the folder. */
export function profileFolder(): { readonly prefix: string; take(): Placement } {
  const folder = mkdtempSync(join(tmpdir(), 'deapd-profile-'))
  return {
    prefix: join(folder, 'run'),
    take() {
      try {
        const [file] = readdirSync(folder)
        return file === undefined ? {} : parseProfile(readFileSync(join(folder, file), 'utf8'))
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  }
}

interface ProfileEvent {
  readonly cat: string
  readonly name: string
  readonly args?: { readonly op_name?: string; readonly provider?: string }
}

/** Counts the kernels in a profile that ONNX Runtime wrote (JSON, one event per kernel that ran). */
export function parseProfile(text: string): Placement {
  const placement: Record<string, Record<string, number>> = {}
  for (const { cat, name, args } of JSON.parse(text) as ProfileEvent[]) {
    if (cat !== 'Node' || !name.endsWith('_kernel_time') || !args?.provider || !args.op_name) continue
    placement[args.provider] ??= {}
    placement[args.provider][args.op_name] = (placement[args.provider][args.op_name] ?? 0) + 1
  }
  return placement
}

/** One line on who ran what. Throws `provider_fallback` when an operator that holds the work did not run where it was meant to. */
export function describePlacement(placement: Placement, wanted: ProviderName): string {
  const home = providers[wanted].registered
  const kernels = Object.entries(placement).flatMap(([provider, operators]) =>
    Object.entries(operators).map(([operator, count]) => ({ provider, operator, count })),
  )
  const elsewhere = kernels.filter(({ provider }) => provider !== home)
  const total = (list: typeof kernels): number => list.reduce((sum, { count }) => sum + count, 0)
  const heavy = elsewhere.filter(({ operator }) => heavyOperators.includes(operator))
  if (kernels.length === 0 || heavy.length > 0) {
    const operators = [...new Set(heavy.map(({ operator }) => operator))].join(', ') || 'all'
    throw new DeapdError('provider_fallback', { provider: wanted, count: total(elsewhere), operators })
  }
  const copied = kernels.filter(({ operator }) => copies.includes(operator))
  return `${wanted} (${total(kernels) - total(elsewhere)} of ${total(kernels)} kernels a token, ${total(copied)} copies)`
}
