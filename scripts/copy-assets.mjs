// The end of the build, what tsc does not do: the page's files go beside the compiled routes, the command becomes executable.
import { chmodSync, cpSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

cpSync(at('src/api/web'), at('dist/api/web'), { recursive: true })
chmodSync(at('dist/main.js'), 0o755)
// Written last, so that a build that failed half-way is made again; scripts/prepare.mjs compares its date with the sources.
writeFileSync(at('dist/.built'), '')
