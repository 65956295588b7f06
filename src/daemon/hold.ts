import type { HoldControl, HoldState } from '../api/ports.ts'
import { DeapdError } from '../errors.ts'
import type { Hold } from '../governor/types.ts'
import { checkLease } from './budget.ts'

/** A clock is meant when it is named to the megahertz: 306 and 306.75 are both 306,750,000 Hz. */
const roundingHz = 1e6

export interface LeasedHold extends HoldControl {
  /** The point that is held at this moment, for the governor; null without one. A lease that has ended ends here. */
  current(): Hold | null
}

/**
 * A point of the ladder pinned by hand. It is one wish among others: the governor never goes above what budget, heat, sensors and the
 * board allow for it. It ends by release, by its lease and with the daemon: what somebody tried out once must not stay for ever.
 */
export function createHold(options: {
  /** GPU caps in Hz, ascending. */
  readonly pointsHz: readonly number[]
  readonly levels: number
  readonly now: () => Date
  readonly onChange: (state: HoldState) => void
}): LeasedHold {
  const { pointsHz, levels, now, onChange } = options
  const none = { gpuHz: null, level: null, source: 'none', leaseUntil: null, pointsHz, levels }
  let state: HoldState = none

  const change = (next: HoldState): HoldState => {
    state = next
    onChange(state)
    return state
  }
  const get = (): HoldState => (state.leaseUntil && state.leaseUntil <= now() ? change(none) : state)
  const refuse = (what: string, detail: string): DeapdError => {
    const points = pointsHz.map((hz) => Math.floor(hz / 1e6)).join(', ')
    return new DeapdError('hold_invalid', { what, detail, points, top: levels - 1 })
  }
  const pointOf = (mhz: unknown): number | null => {
    if (mhz === undefined || mhz === null) return null
    const hz = typeof mhz === 'number' ? pointsHz.find((point) => Math.abs(point - mhz * 1e6) < roundingHz) : undefined
    if (hz === undefined) throw refuse(`the GPU clock "${mhz}" MHz`, 'it is no point of this board')
    return hz
  }
  const levelOf = (level: unknown): number | null => {
    if (level === undefined || level === null) return null
    if (typeof level === 'number' && Number.isInteger(level) && level >= 0 && level < levels) return level
    throw refuse(`level "${level}"`, 'the model has no such level')
  }
  return {
    get,
    set({ gpuMhz, level }, leaseSeconds, source) {
      const point = { gpuHz: pointOf(gpuMhz), level: levelOf(level) }
      if (point.gpuHz === null && point.level === null) throw refuse('neither clock nor level', 'nothing would be held')
      const seconds = checkLease(leaseSeconds)
      const leaseUntil = seconds === null ? null : new Date(now().getTime() + seconds * 1000)
      return change({ ...none, ...point, source, leaseUntil })
    },
    release: () => (get().source === 'none' ? state : change(none)),
    current() {
      const { gpuHz, level, source } = get()
      return source === 'none' ? null : { gpuHz, level }
    },
  }
}
