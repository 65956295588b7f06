import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { errorTable } from '../src/errors.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const src = join(root, 'src')

/**
 * Who may import whom (DESIGN §4). A row may name a folder, or one file of it. errors.ts and version.ts belong to all.
 * This table is the architecture: a new edge is a decision, not an accident.
 */
const may: Readonly<Record<string, readonly string[]>> = {
  board: [],
  governor: ['board'],
  energy: ['board'],
  power: ['board'],
  clocks: ['board'],
  models: [],
  engine: ['models'],
  evaluate: ['board', 'compress', 'models', 'engine', 'energy', 'twin'],
  compress: ['board', 'engine', 'models', 'twin/as-if.ts'],
  telemetry: ['board', 'energy'],
  api: ['telemetry', 'energy', 'engine/protocol.ts', 'models/manifest.ts'],
  calibrate: ['board'],
  config: ['board'],
  store: ['board'],
  twin: ['board'],
  simulate: ['board', 'governor', 'twin'],
  daemon: [
    'api',
    'board',
    'calibrate',
    'clocks',
    'config',
    'energy',
    'engine',
    'governor',
    'models',
    'power',
    'store',
    'telemetry',
    'twin',
  ],
  cli: [
    'board',
    'clocks/restore.ts',
    'compress',
    'config',
    'daemon',
    'engine',
    'evaluate',
    'models',
    'simulate',
    'store',
    'telemetry/wire.ts',
    'twin',
  ],
}

/** Packages that only these folders may touch; what is not listed is free (typebox, pure-rand). */
const owners: Readonly<Record<string, readonly string[]>> = {
  '@huggingface/jinja': ['engine'],
  '@huggingface/tokenizers': ['engine', 'evaluate'],
  cephes: ['evaluate'],
  koffi: ['engine'],
  'onnxruntime-node': ['engine'],
  protobufjs: ['models'],
  execa: ['power'],
  mqtt: ['telemetry'],
  aedes: ['telemetry'],
  'prom-client': ['telemetry'],
  fastify: ['api'],
  '@fastify/type-provider-typebox': ['api'],
  lowdb: ['store'],
  pino: ['daemon'],
  'pino-pretty': ['daemon'],
  commander: ['cli'],
  'ml-fcnnls': ['calibrate'],
  'ml-matrix': ['calibrate', 'evaluate'],
}

/** Folders that are pure: no Node modules, so that the same input always gives the same output. */
const pure = ['board', 'calibrate', 'governor', 'energy', 'simulate']

const free = ['errors.ts', 'version.ts']

const files = (readdirSync(src, { recursive: true }) as string[]).filter((name) => name.endsWith('.ts'))

function* imports(file: string): Generator<string> {
  const text = readFileSync(join(src, file), 'utf8')
  const forms = /^(?:import|export)\s[^'`]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm
  for (const [, a, b, c] of text.matchAll(forms)) yield a ?? b ?? c
}

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

t.test('the table names every folder and no other', async (t) => {
  const folders = readdirSync(src).filter((name) => statSync(join(src, name)).isDirectory())
  t.same(Object.keys(may).sort(), folders.sort())
})

t.test('folders import only what their row allows', async (t) => {
  for (const file of files) {
    const [folder] = file.split(sep)
    if (!(folder in may)) continue
    for (const from of imports(file)) {
      if (from.startsWith('node:')) {
        t.notOk(pure.includes(folder), `${file} may not import ${from}: ${folder} is pure`)
      } else if (from.startsWith('.')) {
        const target = relative(src, join(src, file, '..', from))
        const [other] = target.split(sep)
        const allowed =
          other === folder || free.includes(target) || may[folder].some((row) => row === other || row === target)
        t.ok(allowed, `${file} may not import ${target}`)
      } else {
        const name = packageOf(from)
        t.ok(
          !(name in owners) || owners[name].includes(folder),
          `${file} may not import ${name}: it belongs to ${owners[name]}`,
        )
      }
    }
  }
})

t.test('every package that is imported is declared, and every declared one is used', async (t) => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const used = new Set(
    files
      .flatMap((file) => [...imports(file)])
      .filter((from) => !/^(\.|node:)/.test(from))
      .map(packageOf),
  )
  // The library inside this one is loaded by path, through koffi.
  used.add('onnxruntime-node')
  t.same([...used].sort(), Object.keys(dependencies).sort())
})

/** Longer than 250 lines, with the reason. */
const long: Readonly<Record<string, string>> = {
  'errors.ts': 'one table, a row per error',
  'evaluate/support/questions.ts': 'one table, a row per kind of question with its wordings',
}

t.test('files stay small enough to be read', async (t) => {
  for (const file of files) {
    const lines = readFileSync(join(src, file), 'utf8').split('\n').length - 1
    t.ok(lines <= 250 || file in long, `${file} has ${lines} lines`)
  }
})

t.test('no drawer folders, no barrels, no default exports', async (t) => {
  t.notOk(files.some((file) => /(^|\/)(utils?|helpers?)(\.ts|\/)/.test(file)))
  for (const file of files) {
    const text = readFileSync(join(src, file), 'utf8')
    t.notMatch(text, /^export default/m, file)
    t.notMatch(text, /^export (\*|\{[^}]*\}) from/m, `${file} re-exports`)
  }
})

t.test('README lists every error code, and no other', async (t) => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const listed = [...readme.matchAll(/^\| `([a-z_]+)` \| \d{3} \|/gm)].map(([, code]) => code)
  t.same(listed.sort(), Object.keys(errorTable).sort())
})

t.test('every row of the error table is thrown somewhere', async (t) => {
  const text = files
    .filter((file) => file !== 'errors.ts')
    .map((file) => readFileSync(join(src, file), 'utf8'))
    .join('\n')
  for (const code of Object.keys(errorTable)) t.ok(text.includes(`'${code}'`), code)
})
