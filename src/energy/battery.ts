/** What a battery of known capacity has left at the present use. Null with a reason, never a guess. */
export interface BatteryLeft {
  readonly percent: number | null
  readonly percentReason: string | null
  readonly hoursLeft: number | null
  readonly hoursLeftReason: string | null
  /** Tokens until it is empty, if nothing but answering at today's joules per token drew on it. */
  readonly tokensLeft: number | null
  readonly tokensLeftReason: string | null
}

const joulesPerWattHour = 3600

export function batteryLeft(seen: {
  /** Watt-hours when full; null when the operator has not said. */
  readonly wattHours: number | null
  /** 0..100; null when no battery shows it. */
  readonly percent: number | null
  readonly meanWatts: number | null
  readonly joulesPerToken: number | null
}): BatteryLeft {
  const { wattHours, percent, meanWatts, joulesPerToken } = seen
  const percentReason = percent === null ? 'no battery under /sys/class/power_supply shows its charge' : null
  const missing = percentReason ?? (wattHours === null ? 'battery_wh is not set' : null)
  if (missing !== null || percent === null || wattHours === null) {
    const reasons = { hoursLeftReason: missing, tokensLeftReason: missing }
    return { percent, percentReason, hoursLeft: null, tokensLeft: null, ...reasons }
  }
  const left = (wattHours * percent) / 100
  const power = meanWatts !== null && meanWatts > 0 ? meanWatts : null
  const tokenJoules = joulesPerToken !== null && joulesPerToken > 0 ? joulesPerToken : null
  return {
    percent,
    percentReason,
    hoursLeft: power === null ? null : left / power,
    hoursLeftReason: power === null ? 'module power is unknown' : null,
    tokensLeft: tokenJoules === null ? null : Math.floor((left * joulesPerWattHour) / tokenJoules),
    tokensLeftReason: tokenJoules === null ? 'no token was generated yet' : null,
  }
}
