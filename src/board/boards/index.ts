import { DeapdError } from '../../errors.ts'
import type { Board } from '../types.ts'
import { agxOrin32gb } from './agx-orin-32gb.ts'
import { agxOrin64gb } from './agx-orin-64gb.ts'
import { orinNano8gb } from './orin-nano-8gb.ts'
import { orinNx16gb } from './orin-nx-16gb.ts'

/** Every board deapd knows, one row each. */
export const boards: readonly Board[] = [agxOrin64gb, agxOrin32gb, orinNx16gb, orinNano8gb]

export function findBoard(id: string): Board {
  const board = boards.find((row) => row.id === id)
  if (board === undefined) {
    throw new DeapdError('board_unknown', { board: id, known: boards.map((row) => row.id).join(', ') })
  }
  return board
}
