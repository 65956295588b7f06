import { keepLineChild } from './line-child.ts'
import type { Instrument, InstrumentReading } from './source.ts'

const everyMs = 200
const query = 'nvidia-smi --query-gpu=index,power.draw,temperature.gpu --format=csv,noheader,nounits'

/** What one line says of one card; null where the driver answers `[N/A]`. */
interface Card {
  readonly atMs: number
  readonly watts: number | null
  readonly celsius: number | null
}

/** Power of the cards alone: the computer around them draws more. */
const totalRule = 'gpu_board'

/** `index, watts, celsius` as printed by the query; undefined for anything else. */
export function parseCard(
  text: string,
): { readonly index: number; readonly watts: number | null; readonly celsius: number | null } | undefined {
  const cells = text.split(',').map((cell) => cell.trim())
  if (cells.length !== 3 || !/^\d{1,3}$/.test(cells[0])) return undefined
  const number = (cell: string): number | null => (/^\d{1,5}(\.\d{1,4})?$/.test(cell) ? Number(cell) : null)
  return { index: Number(cells[0]), watts: number(cells[1]), celsius: number(cells[2]) }
}

/** Power of the NVIDIA cards of a PC, from one `nvidia-smi` that goes on printing; the rule is named `gpu_board`. */
export function createNvidiaSmi(options: {
  readonly now: () => number
  /** Stands in for the query in tests. */
  readonly command?: string
  readonly backoffMs?: { readonly first: number; readonly most: number }
}): Instrument {
  const cards = new Map<number, Card>()
  const child = keepLineChild({
    command: options.command ?? `${query} --loop-ms=${everyMs}`,
    now: options.now,
    backoffMs: options.backoffMs,
    hungAfterMs: () => 5000,
    onLine(text, atMs) {
      const card = parseCard(text)
      if (card !== undefined) cards.set(card.index, { atMs, ...card })
    },
  })
  const staleAfterMs = 4 * everyMs

  return {
    name: 'nvidia-smi',
    staleAfterMs,
    async read(atMs): Promise<InstrumentReading> {
      const railWatts: Record<string, number> = {}
      const zoneCelsius: Record<string, number> = {}
      const silent: string[] = []
      let oldestMs = atMs
      for (const [index, { atMs: readAtMs, watts, celsius }] of [...cards].sort(([a], [b]) => a - b)) {
        const name = `GPU${index}`
        const stale = atMs - readAtMs > staleAfterMs
        oldestMs = Math.min(oldestMs, readAtMs)
        if (stale || watts === null)
          silent.push(stale ? `${name} is silent (${child.trouble()})` : `${name} does not tell its power`)
        else railWatts[name] = watts
        if (!stale && celsius !== null) zoneCelsius[name] = celsius
      }
      const reason = cards.size === 0 ? child.trouble() : silent.join('; ') || null
      const total = Object.values(railWatts).reduce((sum, watts) => sum + watts, 0)
      return {
        atMs: oldestMs,
        source: 'nvidia-smi',
        railWatts,
        totalWatts: reason === null ? total : null,
        totalWattsReason: reason,
        totalRule,
        zoneCelsius,
      }
    },
    close: () => child.close(),
  }
}
