import { boards } from './boards/index.ts'
import type { Board } from './types.ts'

export interface Detection {
  readonly board: Board | undefined
  /** False when the part number is not in our table and the rails decided. */
  readonly certain: boolean
  /** One sentence on what was found, for `doctor` and for `board_not_found`. */
  readonly why: string
}

/** What else is known of a board when its part number does not decide. */
export interface Traces {
  /** Labels of its power monitors. */
  readonly rails: readonly string[]
  /** The points of its GPU clock in Hz, ascending. */
  readonly gpuHz: readonly number[]
}

/**
 * The board from the device tree: `compatible` is a list of NUL-terminated names, most specific first, such as
 * `nvidia,p3737-0000+p3701-0005`, `nvidia,p3701-0005`, `nvidia,tegra234`. The module's part number decides, and the highest
 * point of the GPU clock between firmwares of one module. A part number that we do not know, on a chip that we do, is taken
 * for the first board of that chip whose total its rails can give.
 */
export function detectBoard(
  compatible: string | undefined,
  model: string | undefined,
  { rails, gpuHz }: Traces = { rails: [], gpuHz: [] },
): Detection {
  const names = (compatible ?? '').split('\0').filter((name) => name !== '')
  const shown = model?.replaceAll('\0', '').trim() || 'a board without a model name'
  if (names.length === 0) return { board: undefined, certain: false, why: 'there is no device tree' }
  for (const part of names.flatMap((name) => name.match(/p\d{4}-\d{4}/g) ?? [])) {
    const rows = boards.filter((row) => row.partNumbers.includes(part))
    if (rows.length === 0) continue
    const board = byFirmware(rows, gpuHz)
    const firmware = rows.length > 1 ? `, ${firmwareOf(board)} by its GPU clock` : ''
    return { board, certain: true, why: `${part} in the device tree of ${shown}${gpuHz.length > 0 ? firmware : ''}` }
  }
  const chip = /^nvidia,(tegra\d+)$/.exec(names.find((name) => /^nvidia,tegra\d+$/.test(name)) ?? '')?.[1]
  const likely = boards.filter((row) => row.chip === chip && hasRails(row, rails))
  if (likely.length > 0) {
    const board = byFirmware(likely, gpuHz)
    const why = `${shown} (${names[0]}) is a ${chip} that deapd does not know; by its rails it is taken for ${board.name}`
    return { board, certain: false, why }
  }
  const what = chip === undefined ? 'is not a Jetson' : 'is a Jetson that deapd does not know yet'
  return { board: undefined, certain: false, why: `${shown} (${names[0]}) ${what}` }
}

function hasRails({ total }: Board, labels: readonly string[]): boolean {
  const rules = total.otherwise ? [total, total.otherwise] : [total]
  return rules.some(({ rails }) => rails.every((label) => labels.includes(label)))
}

/** The row whose highest GPU point is closest to the board's; the plain firmware when the board does not tell. */
function byFirmware(rows: readonly Board[], gpuHz: readonly number[]): Board {
  const top = gpuHz.at(-1)
  if (top === undefined) return rows[0]
  const distance = ({ gpu }: Board): number => Math.abs((gpu.pointsHz.at(-1) ?? 0) - top)
  return rows.reduce((best, row) => (distance(row) < distance(best) ? row : best))
}

const firmwareOf = ({ firmware }: Board): string => (firmware ? `${firmware} firmware` : 'plain firmware')
