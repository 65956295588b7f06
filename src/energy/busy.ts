import type { Share } from './ledger.ts'

/** A piece of engine work in time, and its weights in the bills: bytes moved, or modelled joules. */
export interface TimedWork {
  readonly phase: 'prefill' | 'decode'
  /** Monotonic milliseconds. */
  readonly startedAtMs: number
  readonly seconds: number
  /** The requests it was done for; the time is shared equally, the rest by weight. */
  readonly parts: readonly { readonly requestId: string; readonly weight: number }[]
}

const secondsWithin = ({ startedAtMs, seconds }: TimedWork, fromMs: number, toMs: number): number =>
  Math.max(0, Math.min(startedAtMs + seconds * 1000, toMs) - Math.max(startedAtMs, fromMs)) / 1000

/** Seconds of either phase in an interval: steps are longer or shorter than ticks and straddle them. */
export function ranBetween(works: readonly TimedWork[], fromMs: number, toMs: number) {
  const seconds = { prefill: 0, decode: 0 }
  for (const work of works) seconds[work.phase] += secondsWithin(work, fromMs, toMs)
  return { prefillSeconds: seconds.prefill, decodeSeconds: seconds.decode }
}

/** Who was at work in an interval. */
export function sharesBetween(works: readonly TimedWork[], fromMs: number, toMs: number): readonly Share[] {
  const shares = new Map<string, Share>()
  for (const work of works) {
    const overlap = secondsWithin(work, fromMs, toMs)
    if (overlap === 0) continue
    for (const { requestId, weight } of work.parts) {
      const before = shares.get(requestId)
      shares.set(requestId, {
        requestId,
        seconds: (before?.seconds ?? 0) + overlap / work.parts.length,
        weight: (before?.weight ?? 0) + (weight * overlap) / work.seconds,
      })
    }
  }
  return [...shares.values()]
}

/** Whether anything ran in an interval that was told of more than `lateMs` after it had begun, and not yet. */
export function lateBetween(
  works: readonly (TimedWork & { readonly toldAtMs: number })[],
  { fromMs, toMs, lateMs }: { readonly fromMs: number; readonly toMs: number; readonly lateMs: number },
): boolean {
  return works.some(
    ({ startedAtMs, toldAtMs }) => toldAtMs - startedAtMs > lateMs && startedAtMs < toMs && toldAtMs > fromMs,
  )
}

/** The works that reach beyond this time: what to keep for the next interval. */
export function worksAfter<T extends TimedWork>(works: readonly T[], atMs: number): readonly T[] {
  return works.filter((work) => work.startedAtMs + work.seconds * 1000 > atMs)
}
