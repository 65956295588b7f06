import { existsSync } from 'node:fs'
import type { Board } from '../board/types.ts'
import { createBoardSource, type Offer } from './board-source.ts'
import { createConditions } from './conditions.ts'
import { openValueFiles } from './files.ts'
import { createHwmon, createIio } from './hwmon.ts'
import type { PowerSource } from './source.ts'
import { createTegrastats } from './tegrastats.ts'

/** What NVIDIA's package installs on every Jetson; five lines a second are well above its least interval. */
const ownTegrastats = '/usr/bin/tegrastats'
const ownCommand = `${ownTegrastats} --interval 200`

/**
 * The board's sensors, best first: its power monitors, those of old releases, then a tegrastats child where a command was
 * given or the board has its own. None is settled at the start: each is looked for while those before it are blind.
 */
export function discoverPower(
  board: Board,
  options: { readonly root: string; readonly tegrastats: string | null; readonly now: () => number },
): PowerSource {
  const { root, now } = options
  const files = openValueFiles()
  const command = options.tegrastats ?? (root === '/' && existsSync(ownTegrastats) ? ownCommand : null)
  const instruments: Offer[] = [
    { open: () => createHwmon(board, root, files) },
    { open: () => createIio(board, root, files) },
  ]
  if (command !== null) instruments.push({ open: () => createTegrastats(board, { command, now }) })
  return createBoardSource(board, {
    conditions: createConditions(board, root, files),
    instruments,
    close: () => files.close(),
  })
}
