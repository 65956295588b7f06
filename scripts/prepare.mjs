// Runs before `npm start` and `npm test`: installs and builds what is missing or older than its sources, and says so on
// standard error. With nothing to do it takes a few milliseconds and says nothing. Plain JavaScript without dependencies:
// on a fresh clone there is nothing else yet, and it must reach the version check on an old Node too.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const oldest = [20, 19]

/** True when this version of Node is too old for us. */
export function isTooOld(version) {
  const [major, minor] = version.split('.').map(Number)
  return major < oldest[0] || (major === oldest[0] && minor < oldest[1])
}

/** Why `npm ci` has to run, or null. npm leaves the tree it installed beside it: compared by content, not by date. */
export function whyInstall(root) {
  const locked = packagesOf(join(root, 'package-lock.json'))
  if (locked === null)
    throw new Error(`${join(root, 'package-lock.json')} is missing or damaged: check the repository out again`)
  if (!existsSync(join(root, 'node_modules'))) return 'the packages are not there yet'
  const installed = packagesOf(join(root, 'node_modules', '.package-lock.json'))
  if (installed === null) return 'an earlier installation was not finished'
  const wanted = Object.entries(locked).filter(([path]) => path.startsWith('node_modules/'))
  // Optional packages of other platforms are left out of every installation.
  const differing = wanted.find(([path, { version, integrity, optional }]) => {
    const found = installed[path]
    return found ? found.version !== version || found.integrity !== integrity : !optional
  })
  if (differing !== undefined)
    return `${differing[0].slice('node_modules/'.length)} is not as package-lock.json wants it`
  const lost = Object.keys(installed).find((path) => !existsSync(join(root, path, 'package.json')))
  return lost === undefined ? null : `${lost} is gone`
}

/** Why the build has to run, or null. */
export function whyBuild(root) {
  const built = join(root, 'dist', '.built')
  if (!existsSync(built)) return 'there is no finished build yet'
  const sources = [
    'src',
    'tsconfig.json',
    'tsconfig.build.json',
    'package.json',
    'scripts/copy-assets.mjs',
    'scripts/compile-kernels.mjs',
  ]
  const newest = sources.flatMap((name) => filesUnder(join(root, name))).reduce(newer)
  return newest.atMs > statSync(built).mtimeMs ? `${newest.path.slice(root.length + 1)} is newer than the build` : null
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? null
  } catch {
    return null
  }
}

function filesUnder(path) {
  const { mtimeMs } = statSync(path)
  const own = { path, atMs: mtimeMs }
  if (!statSync(path).isDirectory()) return [own]
  // A folder's own date changes when a file is removed or renamed, which the files' dates do not show.
  return [own, ...readdirSync(path).flatMap((name) => filesUnder(join(path, name)))]
}

const newer = (a, b) => (b.atMs > a.atMs ? b : a)

function run(root, args) {
  const { error, status, signal } = spawnSync('npm', args, {
    cwd: root,
    // Standard output is for answers. The installer of onnxruntime-node would fetch CUDA libraries from another place than
    // the npm registry; .npmrc says the same to a plain `npm ci`.
    stdio: ['ignore', 2, 2],
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  const how = error ? error.message : signal ? `it was ended by ${signal}` : `it ended with exit code ${status}`
  throw new Error(`\`npm ${args.join(' ')}\` did not succeed: ${how}`)
}

function prepare(root) {
  if (isTooOld(process.versions.node)) {
    throw new Error(
      `Node ${oldest.join('.')} or newer is needed, and this is ${process.versions.node}. See https://nodejs.org`,
    )
  }
  const say = (what, why) => process.stderr.write(`deapd: ${what} (${why}) …\n`)
  const missing = whyInstall(root)
  if (missing !== null) {
    say('installing packages from the npm registry', missing)
    run(root, ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'])
  }
  const stale = whyBuild(root)
  if (stale !== null) {
    say('building', stale)
    run(root, ['run', '--silent', 'build'])
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    prepare(dirname(dirname(fileURLToPath(import.meta.url))))
  } catch (error) {
    process.stderr.write(`deapd: ${error.message}\n`)
    process.exit(1)
  }
}
