import { boards } from './boards/index.ts'
import type { Board } from './types.ts'

export interface Detection {
  readonly board: Board | undefined
  /** One sentence on what was found, for `doctor` and for `board_not_found`. */
  readonly why: string
}

/**
 * The board from the device tree: `compatible` is a list of NUL-terminated names, most specific first, such as
 * `nvidia,p3737-0000+p3701-0005`, `nvidia,p3701-0005`, `nvidia,tegra234`. The module's part number decides.
 */
export function detectBoard(compatible: string | undefined, model: string | undefined): Detection {
  const names = (compatible ?? '').split('\0').filter((name) => name !== '')
  const shown = model?.replaceAll('\0', '').trim() || 'a board without a model name'
  if (names.length === 0) return { board: undefined, why: 'there is no device tree' }
  for (const part of names.flatMap((name) => name.match(/p\d{4}-\d{4}/g) ?? [])) {
    const board = boards.find((row) => row.partNumbers.includes(part))
    if (board !== undefined) return { board, why: `${part} in the device tree of ${shown}` }
  }
  const jetson = names.some((name) => /^nvidia,tegra\d+$/.test(name))
  const what = jetson ? 'is a Jetson that deapd does not know yet' : 'is not a Jetson'
  return { board: undefined, why: `${shown} (${names[0]}) ${what}` }
}
