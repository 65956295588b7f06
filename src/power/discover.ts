import type { Board } from '../board/types.ts'
import { createHwmonSource, findChannels } from './hwmon.ts'
import type { PowerSource } from './source.ts'
import { createTegrastatsSource, unknownReading } from './tegrastats.ts'
import { readThermal } from './thermal.ts'

/** The best power sensor there is: hwmon, else tegrastats when a command is given, else one that says why it is blind. */
export async function discoverPower(
  board: Board,
  options: { readonly root: string; readonly tegrastats: string | null; readonly now: () => number },
): Promise<PowerSource> {
  const labels = (await findChannels(options.root)).map((channel) => channel.label)
  const missing = board.total.rails.filter((label) => !labels.includes(label))
  if (missing.length === 0) return createHwmonSource(board, options.root)
  if (options.tegrastats !== null) {
    return createTegrastatsSource(board, { command: options.tegrastats, now: options.now })
  }
  const reason = `no power sensor found: hwmon under ${options.root} lacks ${missing.join(', ')}, no tegrastats given`
  return {
    name: 'none',
    staleAfterMs: 500,
    async read(atMs) {
      const { tjCelsius, tjCelsiusReason } = await readThermal(options.root)
      return { ...unknownReading(board, atMs, 'none', reason), tjCelsius, tjCelsiusReason }
    },
    async close() {},
  }
}
