/**
 * Has the world moved away from what the certificate was measured on? Without right answers nobody can see a loss; what can be
 * seen is whether the full network would have given another text. Calibration counted how often that happens when all is
 * well and stored a 99 % upper bound of the rate; shadow runs are bets against "it still happens no more often than that". The
 * wealth of a fair bettor grows 20-fold with a chance of 1 in 20 at most, however long it is watched (Ville's inequality), so
 * a wealth of 20 revokes the certificate.
 */
export interface DriftState {
  readonly shadows: number
  readonly differing: number
  /** Logarithm of the wealth of each of the bettors, who stake different parts. */
  readonly logWealth: readonly number[]
}

/** Stakes, in parts of the most that can be staked without going bankrupt: small ones see a small shift, large ones a large one soon. */
const stakes = [0.02, 0.05, 0.15, 0.4]

/** Wealth at which the certificate is revoked: false alarms in at most one of 20 devices, over their whole life. */
export const revokingWealth = 20

export const freshDrift: DriftState = { shadows: 0, differing: 0, logWealth: stakes.map(() => 0) }

/** The state after one shadow run; `bound` is the rate of differing texts that the certificate allows. */
export function afterShadow(state: DriftState, differs: boolean, bound: number): DriftState {
  const p = Math.min(1 - 1e-6, Math.max(1e-6, bound))
  const loss = differs ? 1 : 0
  return {
    shadows: state.shadows + 1,
    differing: state.differing + loss,
    logWealth: stakes.map((part, i) => (state.logWealth[i] ?? 0) + Math.log1p((part / p) * (loss - p))),
  }
}

/** Mean wealth of the bettors: itself that of a fair bettor. */
export const wealthOf = ({ logWealth }: DriftState): number =>
  logWealth.reduce((sum, log) => sum + Math.exp(log), 0) / Math.max(1, logWealth.length)
