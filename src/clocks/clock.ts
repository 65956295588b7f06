/** One clock cap that can be read, written and put back. */
export interface ClockDomain {
  readonly name: 'gpu' | 'cpu'
  /** Allowed caps in Hz, ascending. */
  readonly pointsHz: readonly number[]
  /** The clock it runs at, or null when the board does not say. */
  currentHz(): Promise<number | null>
  capHz(): Promise<number>
  /** Sets the cap and returns what the board made of it (it snaps to its own points); throws `clock_refused`. */
  setCapHz(hz: number): Promise<number>
}
