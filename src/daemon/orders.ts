import type { Board } from '../board/types.ts'
import type { Store } from '../store/db.ts'
import type { MachineState } from '../store/state.ts'
import { createBudget, type LeasedBudget } from './budget.ts'
import { createHold, type LeasedHold } from './hold.ts'
import type { Log } from './log.ts'

/** What people and fleets may order: the budget, remembered while its lease lasts, and a held point, which is not. */
export function takeOrders(parts: {
  readonly board: Board
  readonly configuredWatts: number
  readonly pointsHz: readonly number[]
  readonly levels: number
  readonly store: Store
  readonly log: Log
  /** Makes the next tick come at once. */
  readonly wake: () => void
}): { readonly budget: LeasedBudget; readonly hold: LeasedHold } {
  const { board, configuredWatts, pointsHz, levels, store, log, wake } = parts
  const now = () => new Date()
  const budget = createBudget({
    board,
    configuredWatts,
    now,
    earlier: earlierOrder(store.state.limits),
    onChange: ({ watts, source: by, leaseUntil }) => {
      log.info({ watts, by, lease_until: leaseUntil }, `budget ${watts} W, set by ${by}`)
      const limits = { budget_watts: watts, source: by, lease_until: leaseUntil?.toISOString() ?? null }
      // A full disk must not cost the budget: it is in force already, only a restart would not know of it.
      store
        .update((state) => Object.assign(state, { limits }))
        .catch((error) => log.error({ err: error }, 'the budget order could not be written'))
      wake()
    },
  })
  const hold = createHold({
    pointsHz,
    levels,
    now,
    onChange: ({ gpuHz, level, source: by, leaseUntil }) => {
      const text = by === 'none' ? 'nothing is held by hand any more' : `a point is held by hand, set by ${by}`
      log.info({ gpu_hz: gpuHz, level, by, lease_until: leaseUntil }, text)
      wake()
    },
  })
  return { budget, hold }
}

/** The order in force when the last run ended, as the budget wants it. */
function earlierOrder(limits: MachineState['limits']) {
  if (!limits?.lease_until) return null
  return { watts: limits.budget_watts, source: limits.source, leaseUntil: new Date(limits.lease_until) }
}
