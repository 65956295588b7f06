export interface Cell {
  readonly prompts: number
  readonly correct: number
  /** Percent. */
  readonly accuracy: number
  /** 95 % Wilson interval in percent. */
  readonly low: number
  readonly high: number
}

/** Exact match after normalisation: case, white space and a final full stop do not count. */
export const normalise = (text: string): string => text.trim().toLowerCase().replace(/\s+/g, ' ').replace(/\.$/, '')

/** A proportion with its Wilson score interval (Wilson 1927), which stays inside 0 to 100 % at the ends. */
export function cell(prompts: number, correct: number): Cell {
  if (prompts === 0) return { prompts, correct, accuracy: Number.NaN, low: 0, high: 100 }
  const z = 1.959964
  const p = correct / prompts
  const centre = (p + z ** 2 / (2 * prompts)) / (1 + z ** 2 / prompts)
  const half = (z / (1 + z ** 2 / prompts)) * Math.sqrt((p * (1 - p)) / prompts + z ** 2 / (4 * prompts ** 2))
  return { prompts, correct, accuracy: p * 100, low: (centre - half) * 100, high: (centre + half) * 100 }
}
