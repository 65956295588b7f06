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

export interface Busy {
  readonly prefillSeconds: number
  readonly decodeSeconds: number
  readonly shares: readonly Share[]
}

/** The part of the works that lies in an interval: steps are longer or shorter than ticks and straddle them. */
export function busyBetween(works: readonly TimedWork[], fromMs: number, toMs: number): Busy {
  const shares = new Map<string, Share>()
  const seconds = { prefill: 0, decode: 0 }
  for (const work of works) {
    const endMs = work.startedAtMs + work.seconds * 1000
    const overlap = (Math.min(endMs, toMs) - Math.max(work.startedAtMs, fromMs)) / 1000
    if (!(overlap > 0)) continue
    seconds[work.phase] += overlap
    for (const { requestId, weight } of work.parts) {
      const before = shares.get(requestId)
      shares.set(requestId, {
        requestId,
        seconds: (before?.seconds ?? 0) + overlap / work.parts.length,
        weight: (before?.weight ?? 0) + (weight * overlap) / work.seconds,
      })
    }
  }
  return { prefillSeconds: seconds.prefill, decodeSeconds: seconds.decode, shares: [...shares.values()] }
}

/** The works that reach beyond this time: what to keep for the next interval. */
export function worksAfter<T extends TimedWork>(works: readonly T[], atMs: number): readonly T[] {
  return works.filter((work) => work.startedAtMs + work.seconds * 1000 > atMs)
}
