import type { Estimate } from '../statistics/moments.ts'

/** Numbers as they stand in sentences and tables: three figures that matter, a real minus sign, a word for what is unknown. */
export function number(value: number, digits?: number): string {
  if (Number.isNaN(value)) return 'unknown'
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞'
  const size = Math.abs(value)
  const text =
    digits !== undefined
      ? value.toFixed(digits)
      : size !== 0 && (size < 1e-3 || size >= 1e6)
        ? scientific(value)
        : size >= 1000
          ? Math.round(value).toLocaleString('en-US')
          : size >= 100
            ? value.toFixed(0)
            : size >= 10
              ? value.toFixed(1)
              : size >= 1
                ? value.toFixed(2)
                : value.toFixed(3)
  const minus = text.replace(/^-/, '−')
  return /^−[0.]+$/.test(minus) ? minus.slice(1) : minus
}

function scientific(value: number): string {
  const [mantissa, exponent] = value.toExponential(1).split('e')
  const raised = exponent.replace('+', '').replace(/./g, (c) => superscripts[c] ?? c)
  return `${mantissa} × 10${raised}`
}

const superscripts: Readonly<Record<string, string>> = {
  '-': '⁻',
  ...Object.fromEntries([...'⁰¹²³⁴⁵⁶⁷⁸⁹'].map((c, i) => [String(i), c])),
}

export const percent = (share: number, digits = 1): string => `${number(100 * share, digits)} %`

/** `value (low to high)`. */
export const withInterval = ({ value, low, high }: Estimate, show: (x: number) => string = number): string =>
  `${show(value)} (${show(low)} to ${show(high)})`

export const signed = (value: number, digits = 2): string => `${value > 0 ? '+' : ''}${number(value, digits)}`

export const pValue = (p: number): string =>
  Number.isNaN(p) ? 'unknown' : p < 1e-4 ? '< 0.0001' : p > 0.99 ? '> 0.99' : number(p, p < 0.01 ? 4 : 3)
