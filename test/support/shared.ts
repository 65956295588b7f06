import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The reference data beside the repository: there in CI, perhaps not on your machine. Never needed for a green run. */
export const sharedDir = fileURLToPath(new URL('../../../shared', import.meta.url))
export const storiesDir = `${sharedDir}/models/stories260k`
export const withoutShared = existsSync(storiesDir)
  ? false
  : 'the ../shared folder is not present: reference data not checked'
