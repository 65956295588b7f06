import type { Board } from '../board/types.ts'
import { grams } from './carbon.ts'
import type { Account } from './ledger.ts'
import type { RequestEnergy } from './request.ts'
import { gainUncertainty, measuredUncertainty, samplingUncertainty, simulatedUncertainty } from './uncertainty.ts'

/** The bill of one answer from its account. A measured figure that is smaller than its uncertainty is withheld. */
export function billOf(
  board: Board,
  account: Account | undefined,
  answer: {
    readonly method: RequestEnergy['method']
    readonly completionTokens: number
    readonly gramsPerKwh: number
  },
): RequestEnergy {
  const { method } = answer
  const simulated = method === 'simulated'
  const joules = account?.joules ?? 0
  const uncertaintyJoules = simulated ? simulatedUncertainty(joules) : measuredTotal(board, account)
  const withheld = {
    joules: null,
    joulesPerToken: null,
    gco2eq: null,
    uncertaintyJoules,
    method,
    rail: board.total.name,
  }
  if (account === undefined) return { ...withheld, joulesReason: 'no work was booked to this request' }
  if (!simulated && uncertaintyJoules >= joules) {
    const missing =
      account.unknownSeconds > 0 ? `no usable power reading for ${account.unknownSeconds.toFixed(2)} s` : undefined
    return {
      ...withheld,
      joulesReason: missing ?? `below the sensor's resolution of ${uncertaintyJoules.toFixed(2)} J`,
    }
  }
  return {
    joules,
    joulesReason: null,
    joulesPerToken: answer.completionTokens > 0 ? joules / answer.completionTokens : null,
    gco2eq: grams(joules, answer.gramsPerKwh),
    uncertaintyJoules,
    method,
    rail: board.total.name,
  }
}

/** What sensor and sampling leave open, and for time without a reading the whole of what it is likely to have held. */
function measuredTotal(board: Board, account: Account | undefined): number {
  if (account === undefined) return 0
  const known = account.seconds - account.unknownSeconds
  const unknown = known > 0 ? (account.joules / known) * account.unknownSeconds : 0
  const { joules, seconds, intervals, samplingVariance } = account
  const steps = measuredUncertainty(board, seconds, intervals)
  return Math.hypot(steps, samplingUncertainty(samplingVariance)) + gainUncertainty(joules) + unknown
}
