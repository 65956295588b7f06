/** One clock cap that can be read, written and put back. */
export interface ClockDomain {
  readonly name: 'gpu' | 'cpu'
  /** Allowed caps in Hz, ascending. */
  readonly pointsHz: readonly number[]
  /** The clock it runs at, or null when the board does not say. */
  currentHz(): number | null
  /** The cap that stands; throws `clock_refused` when it cannot be read. */
  capHz(): number
  /** Sets the cap and returns what the board made of it (it snaps to its own points); throws `clock_refused`. */
  setCapHz(hz: number): number
  /** Clock files it may write that are there now, relative to the root. */
  files(): readonly string[]
}

/** The cores that are online. cpu0 always is. */
export interface CoreDomain {
  readonly name: 'cores'
  /** Allowed numbers of cores, ascending from 1: never more than were online before deapd touched them. */
  readonly counts: readonly number[]
  online(): number
  /** Takes cores offline from the highest number down, brings them back from the lowest up; throws `clock_refused`. */
  setOnline(count: number): number
  files(): readonly string[]
}
