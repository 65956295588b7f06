/** What can go wrong with the simulated board. Each kind is a row; `amount` is in the row's own unit. */
export const faultKinds = {
  loss: {
    amount: 0,
    unit: '0: the sensor files vanish, 1: they are there and cannot be read, 2: tegrastats hangs without a line',
    says: 'power and temperature sensors are gone',
  },
  stuck: { amount: 0, unit: 'unused', says: 'power sensors keep showing the value they had' },
  spike: {
    amount: 3,
    unit: 'times the true value, one sample in eleven',
    says: 'power sensors show single wild samples',
  },
  drift: {
    amount: -0.25,
    unit: 'gain error that is reached in 30 s',
    says: 'power sensors slowly come to show too much or too little',
  },
  'clock-refused': { amount: 0, unit: 'unused', says: 'writes to the clock files fail' },
  'clock-ignored': { amount: 0, unit: 'unused', says: 'writes to the clock files succeed and change nothing' },
  ambient: { amount: 25, unit: 'kelvin', says: 'the air around the board is hotter' },
  overcurrent: {
    amount: 0.4,
    unit: 'times the over-current threshold of the board',
    says: 'the over-current monitor trips early: oc3 counts and the GPU is throttled',
  },
  'plant-error': { amount: 0.3, unit: 'largest relative error', says: 'every coefficient of the board is off' },
} as const satisfies Record<string, { amount: number; unit: string; says: string }>

export type FaultKind = keyof typeof faultKinds

export interface Fault {
  readonly kind: FaultKind
  /** From when until when, in the board's own milliseconds. */
  readonly fromMs: number
  readonly untilMs: number
  readonly amount: number
}

/** A fault with the amount of its row. */
export function faultOf(
  kind: FaultKind,
  fromMs: number,
  untilMs: number,
  amount: number = faultKinds[kind].amount,
): Fault {
  return { kind, fromMs, untilMs, amount }
}

/** The fault of this kind that is in force, if any. */
export function faultAt(faults: readonly Fault[], kind: FaultKind, atMs: number): Fault | undefined {
  // A loop, not `find`: this is asked for every kind at every refresh.
  for (const fault of faults) if (fault.kind === kind && fault.fromMs <= atMs && atMs < fault.untilMs) return fault
  return undefined
}

const driftMs = 30_000

/** The gain of a drifting sensor. */
export function driftGain(fault: Fault | undefined, atMs: number): number {
  return fault === undefined ? 1 : 1 + fault.amount * Math.min(1, (atMs - fault.fromMs) / driftMs)
}
