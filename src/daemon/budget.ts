import type { BudgetControl, BudgetState } from '../api/ports.ts'
import type { Board } from '../board/types.ts'
import { DeapdError } from '../errors.ts'

/** The longest lease an order may have: a week. */
const longestLeaseSeconds = 7 * 24 * 3600

interface Order {
  readonly watts: number
  readonly source: string
  readonly leaseUntil: Date | null
}

export interface LeasedBudget extends BudgetControl {
  /** Lets a lease that has ended fall back to the configured budget; true when that just happened. */
  expire(now: Date): boolean
}

/**
 * The budget in force: the configured one, or an order over it. An order with a lease ends by itself, so that a fleet
 * manager that is lost cannot starve a device; one without lasts until the daemon stops.
 */
export function createBudget(options: {
  readonly board: Board
  readonly configuredWatts: number
  readonly now: () => Date
  /** An order from before a restart; taken up again while its lease lasts. */
  readonly earlier: Order | null
  readonly onChange: (state: BudgetState) => void
}): LeasedBudget {
  const { board, now, onChange } = options
  const { minWatts, maxWatts } = board.budget
  const configuredWatts = checkWatts(board, options.configuredWatts)
  const earlier = options.earlier
  let order = earlier?.leaseUntil && earlier.leaseUntil > now() ? earlier : null

  const get = (): BudgetState => ({
    watts: order?.watts ?? configuredWatts,
    source: order?.source ?? 'config',
    leaseUntil: order?.leaseUntil ?? null,
    minWatts,
    maxWatts,
    configuredWatts,
  })
  return {
    get,
    set(watts, leaseSeconds, source) {
      const seconds = checkLease(leaseSeconds)
      const leaseUntil = seconds === null ? null : new Date(now().getTime() + seconds * 1000)
      order = { watts: checkWatts(board, watts), source, leaseUntil }
      onChange(get())
      return get()
    },
    expire(at) {
      if (!order?.leaseUntil || order.leaseUntil > at) return false
      order = null
      onChange(get())
      return true
    },
  }
}

function checkWatts({ id, budget: { minWatts, maxWatts } }: Board, value: unknown): number {
  if (typeof value === 'number' && value >= minWatts && value <= maxWatts) return value
  throw new DeapdError('budget_invalid', { value: String(value ?? 'nothing'), board: id, minWatts, maxWatts })
}

/** Seconds of a lease, or null without one; throws `lease_invalid`. */
export function checkLease(value: unknown): number | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'number' && value > 0 && value <= longestLeaseSeconds) return value
  throw new DeapdError('lease_invalid', { value: String(value) })
}
