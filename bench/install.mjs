/** node-llama-cpp for this folder: the CPU library alone. Its GPU libraries are hundreds of megabytes nobody runs here. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const npm = (...args) =>
  execFileSync('npm', [...args, '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund'], {
    cwd: here,
    stdio: ['ignore', 2, 2],
  })

/** Installs what is missing from the npm registry; the version is the lock file's. */
export function installLlama() {
  const { version } = JSON.parse(readFileSync(`${here}package-lock.json`, 'utf8')).packages[
    'node_modules/node-llama-cpp'
  ]
  const library = `@node-llama-cpp/${process.platform}-${process.arch}`
  // Not `npm ci`: the lock file lacks the libraries of other platforms, and it refuses for them.
  if (!installed('node-llama-cpp', version)) npm('install', '--no-save')
  if (!installed(library, version)) npm('install', '--no-save', '--no-package-lock', `${library}@${version}`)
  return version
}

function installed(name, version) {
  const file = `${here}node_modules/${name}/package.json`
  return existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).version === version
}
