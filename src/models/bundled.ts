import { fileURLToPath } from 'node:url'

/** Where the packages that come with deapd are, and the one served when nothing else is asked for. */
export const modelsDir = fileURLToPath(new URL('../../models', import.meta.url))
export const bundledModelDir = fileURLToPath(new URL('../../models/support-s', import.meta.url))
