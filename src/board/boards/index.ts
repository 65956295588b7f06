import { DeapdError } from '../../errors.ts'
import type { Board } from '../types.ts'
import { agxOrin32gb } from './agx-orin-32gb.ts'
import { agxOrin64gb } from './agx-orin-64gb.ts'
import { agxThor } from './agx-thor.ts'
import { agxXavier } from './agx-xavier.ts'
import { orinNano4gb, orinNano4gbSuper } from './orin-nano-4gb.ts'
import { orinNano8gb } from './orin-nano-8gb.ts'
import { orinNano8gbSuper } from './orin-nano-8gb-super.ts'
import { orinNx8gb, orinNx8gbSuper } from './orin-nx-8gb.ts'
import { orinNx16gb } from './orin-nx-16gb.ts'
import { orinNx16gbSuper } from './orin-nx-16gb-super.ts'
import { xavierNx } from './xavier-nx.ts'

/** Every board deapd knows, one row each; a module with the Super firmware is a row of its own. */
export const boards: readonly Board[] = [
  agxOrin64gb,
  agxOrin32gb,
  orinNx16gb,
  orinNx16gbSuper,
  orinNx8gb,
  orinNx8gbSuper,
  orinNano8gb,
  orinNano8gbSuper,
  orinNano4gb,
  orinNano4gbSuper,
  agxThor,
  agxXavier,
  xavierNx,
]

export function findBoard(id: string): Board {
  const board = boards.find((row) => row.id === id)
  if (board === undefined) {
    throw new DeapdError('board_unknown', { board: id, known: boards.map((row) => row.id).join(', ') })
  }
  return board
}
