/** From a value to a place in the figure, with the values at which a reader wants a line. */
export interface Scale {
  (value: number): number
  readonly ticks: readonly number[]
  readonly domain: readonly [number, number]
}

/** A linear scale whose ends are round when `round` is set. */
export function linear(
  domain: readonly [number, number],
  range: readonly [number, number],
  { count = 6, round = true }: { readonly count?: number; readonly round?: boolean } = {},
): Scale {
  const width = domain[1] - domain[0] || Math.abs(domain[0]) || 1
  const step = niceStep(width / count)
  const [low, high] = round
    ? [Math.floor(domain[0] / step + 1e-9) * step, Math.ceil((domain[0] + width) / step - 1e-9) * step]
    : [domain[0], domain[0] + width]
  const first = Math.ceil(low / step - 1e-9)
  const last = Math.floor(high / step + 1e-9)
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
  const place = (value: number): number => range[0] + ((value - low) / (high - low)) * (range[1] - range[0])
  return Object.assign(place, { ticks, domain: [low, high] as const })
}

/** A logarithmic scale; its ticks are the values asked for, else 1, 2 and 5 of every decade, more where these are few. */
export function logarithmic(
  domain: readonly [number, number],
  range: readonly [number, number],
  wanted?: readonly number[],
): Scale {
  const [low, high] = domain.map(Math.log)
  const inside = (steps: readonly number[]): number[] =>
    Array.from({ length: 40 }, (_, i) => 10 ** (i - 20))
      .flatMap((decade) => steps.map((step) => Number((step * decade).toPrecision(6))))
      .filter((v) => v >= domain[0] * 0.999 && v <= domain[1] * 1.001)
  const coarse = inside([1, 2, 5])
  const place = (value: number): number =>
    range[0] + ((Math.log(value) - low) / (high - low || 1)) * (range[1] - range[0])
  return Object.assign(place, {
    ticks: wanted ?? (coarse.length > 3 ? coarse : inside([1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9])),
    domain,
  })
}

function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw))
  return ([1, 2, 2.5, 5, 10].find((m) => m * power >= raw * 0.999) ?? 10) * power
}

/** Ticks with as many digits as their steps need. */
export function tickText(ticks: readonly number[]): (value: number) => string {
  const digits = Math.max(
    0,
    ...ticks.map((tick) => {
      const [, fraction = ''] = String(Number(tick.toPrecision(9))).split('.')
      return fraction.includes('e') ? 0 : fraction.length
    }),
  )
  return (value) => value.toFixed(digits).replace('-', '−')
}
