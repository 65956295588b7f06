// Compiles our own operators (src/engine/kernels) for each kind of processor that a compiler on this machine serves, and lists
// what came of it in dist/engine/kernels/built.json, best first. Without a compiler the build goes on: ONNX Runtime has its own.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const source = (name) => fileURLToPath(new URL(`../src/engine/kernels/${name}`, import.meta.url))
const folder = fileURLToPath(new URL('../dist/engine/kernels/', import.meta.url))
const sources = readdirSync(source('.'))
  .filter((name) => name.endsWith('.c'))
  .map(source)
const variants = JSON.parse(readFileSync(source('variants.json'), 'utf8'))

/** For this machine's processor the compiler of the system; for a Jetson's image also Debian's cross compiler. */
const compilers = {
  [process.arch]: process.env.CC || 'cc',
  ...(process.arch !== 'arm64' && { arm64: 'aarch64-linux-gnu-gcc' }),
}

function compile({ arch, lanes, flags }) {
  const file = `${arch}-${lanes}.so`
  const args = [
    '-O3',
    '-fopenmp-simd',
    // A product and a sum are one operation where the source says so, on every processor.
    '-ffp-contract=off',
    '-fPIC',
    '-shared',
    '-Wall',
    ...flags,
    ...sources,
    '-o',
    folder + file,
    '-lm',
  ]
  const { error, status, stderr } = spawnSync(compilers[arch], args, { encoding: 'utf8' })
  return { arch, lanes, file, failure: error ? error.message : status === 0 ? null : stderr.trim() }
}

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const made = process.platform === 'linux' ? variants.filter(({ arch }) => arch in compilers).map(compile) : []
writeFileSync(
  `${folder}built.json`,
  `${JSON.stringify(made.filter(({ failure }) => failure === null).map(({ failure, ...row }) => row))}\n`,
)
for (const { arch, lanes, failure } of made) {
  if (failure !== null && arch === process.arch)
    process.stderr.write(`deapd: no operators of our own for ${lanes}, the engine will be slower (${failure})\n`)
}
