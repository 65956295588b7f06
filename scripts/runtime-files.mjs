// Prints the files and folders of this repository that a device needs, one to a line: the build, the model packages and the
// packages that package-lock.json does not keep for development, without the libraries of other processors.
//
//   node scripts/runtime-files.mjs arm64|x64
//
// Ends with 1 and says why when something is missing that deapd cannot run without.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const arch = process.argv[2]

/** Paths below this one, as deep as needed to leave the unwanted ones out. */
function without(path, unwanted) {
  if (unwanted.includes(path)) return []
  if (!unwanted.some((other) => other.startsWith(`${path}/`))) return [path]
  return readdirSync(join(root, path)).flatMap((name) => without(`${path}/${name}`, unwanted))
}

function packages() {
  const { packages: locked } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const wanted = Object.entries(locked)
    .filter(([path, { dev }]) => !dev && /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path))
    .filter(([path]) => existsSync(join(root, path)))
    .map(([path]) => path)
  const natives = 'node_modules/onnxruntime-node/bin/napi-v6'
  const other = arch === 'arm64' ? 'x64' : 'arm64'
  const unwanted = [
    `${natives}/darwin`,
    `${natives}/win32`,
    `${natives}/linux/${other}`,
    `node_modules/@koromix/koffi-linux-${other}`,
  ]
  return wanted.flatMap((path) => without(path, unwanted))
}

function models() {
  if (!existsSync(join(root, 'models'))) return []
  const found = readdirSync(join(root, 'models')).map((name) => `models/${name}`)
  return found.filter((path) => existsSync(join(root, path, 'deapd-model.json')))
}

function check() {
  if (arch !== 'arm64' && arch !== 'x64') return 'the processor must be arm64 or x64'
  if (!existsSync(join(root, 'dist/main.js'))) return 'there is no build: run `npm run build`'
  const natives = [
    ['onnxruntime-node', `node_modules/onnxruntime-node/bin/napi-v6/linux/${arch}/libonnxruntime.so.1`],
    ['koffi', `node_modules/@koromix/koffi-linux-${arch}`],
  ]
  const missing = natives.find(([, path]) => !existsSync(join(root, path)))
  if (missing === undefined) return null
  return `${missing[0]} for linux/${arch} is not in node_modules: run \`npm ci --omit=dev --os=linux --cpu=${arch}\``
}

const fault = check()
if (fault !== null) {
  process.stderr.write(`${fault}\n`)
  process.exit(1)
}
const plain = [
  'package.json',
  'package-lock.json',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
  'dist',
  'systemd',
  'scripts',
]
const files = [...plain.filter((path) => existsSync(join(root, path))), ...models(), ...packages()]
process.stdout.write(files.map((path) => `${path}\n`).join(''))
