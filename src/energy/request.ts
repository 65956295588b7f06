/** The energy bill of one answer. Null joules come with the reason; never zero for unknown. */
export interface RequestEnergy {
  readonly joules: number | null
  readonly joulesReason: string | null
  readonly joulesPerToken: number | null
  readonly gco2eq: number | null
  readonly uncertaintyJoules: number
  /** `simulated` is the twin's own energy; `measured` comes from the board's sensors. */
  readonly method: 'simulated' | 'measured'
  /** Rule by which the rails were added up, for example `sum3`. */
  readonly rail: string
}
