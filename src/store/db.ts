import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { Low } from 'lowdb'
import { JSONFile } from 'lowdb/node'
import { Value } from 'typebox/value'
import { DeapdError, detailOf } from '../errors.ts'
import { freshState, MachineState } from './state.ts'

export interface Store {
  readonly state: MachineState
  /** What went wrong with the file that was there, for the log and the page. */
  readonly warnings: readonly DeapdError[]
  /** Changes the state and writes it; writes are atomic (temporary file, then rename) and one at a time. */
  update(change: (state: MachineState) => void): Promise<void>
}

/**
 * Opens state.json in `folder`. A torn or foreign file is set aside under a new name with a warning, never deleted and never
 * fatal. Throws `state_unwritable`.
 */
export async function openStore(folder: string): Promise<Store> {
  const path = join(folder, 'state.json')
  const warnings: DeapdError[] = []
  const fresh = freshState(`deapd-${randomBytes(4).toString('hex')}`)
  try {
    mkdirSync(folder, { recursive: true })
    const db = new Low<MachineState>(new JSONFile(path), fresh)
    const damage = await read(db)
    if (damage) {
      const kept = setAside(path)
      warnings.push(new DeapdError('state_damaged', { path, kept, detail: damage }))
      db.data = fresh
    }
    await db.write()
    return {
      state: db.data,
      warnings,
      update: (change) => db.update(change),
    }
  } catch (error) {
    throw new DeapdError('state_unwritable', { path: folder, detail: detailOf(error) }, error)
  }
}

/** Reads the file into `db` and says what is wrong with it, if anything. */
async function read(db: Low<MachineState>): Promise<string | undefined> {
  try {
    await db.read()
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return detailOf(error)
  }
  if (Value.Check(MachineState, db.data)) return undefined
  const [first] = Value.Errors(MachineState, db.data)
  return `${first.instancePath || '/'} ${first.message}`
}

function setAside(path: string): string {
  for (let n = 1; ; n++) {
    const kept = `${path}.damaged-${n}`
    if (existsSync(kept)) continue
    renameSync(path, kept)
    return kept
  }
}
