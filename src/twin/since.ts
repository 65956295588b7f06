import type { TwinEnergy } from './board.ts'

/** What the plant used between two settlements, in the form the ledger books: shares weighted by their own joules. */
export function energyBetween(before: TwinEnergy, after: TwinEnergy) {
  const shares = Object.entries(after.requests).map(([requestId, use]) => {
    const earlier = before.requests[requestId]
    return {
      requestId,
      seconds: use.seconds - (earlier?.seconds ?? 0),
      weight: use.joules - (earlier?.joules ?? 0),
    }
  })
  return {
    seconds: (after.atMs - before.atMs) / 1000,
    joules: after.joules - before.joules,
    staticJoules: after.staticJoules - before.staticJoules,
    unknownSeconds: 0,
    shares: shares.filter((share) => share.seconds > 0),
  }
}
