import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { tinyConfig, tinyWeights, writeCheckpoint } from './support/tiny-llama.ts'

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))

/** Runs the built command line as a user would: `pretest` has built it. */
const deapd = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      [main, ...args],
      { env: { ...process.env, DEAPD_URL: 'http://127.0.0.1:9' } },
      (error, out, err) => {
        resolve({ code: error ? Number(error.code) : 0, out, err })
      },
    )
  })

t.test('help and bad usage', async (t) => {
  const help = await deapd('--help')
  t.equal(help.code, 0)
  const commands = [...help.out.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name)
  t.match(
    new Set(commands),
    new Set([
      'serve',
      'chat',
      'status',
      'top',
      'doctor',
      'record',
      'budget',
      'restore',
      'models',
      'generate',
      'perplexity',
      'evaluate',
      'bench',
    ]),
  )
  const helps = await Promise.all(commands.filter((name) => name !== 'help').map((name) => deapd(name, '--help')))
  for (const { code, out } of helps) t.ok(code === 0 && out.startsWith('Usage: deapd ') && !out.includes('default: ""'))
  for (const args of [
    ['fly'],
    ['serve', '--wings'],
    ['generate'],
    ['record'],
    ['bench', '--tokens', 'many'],
    ['models', 'import', '/x', '--out', '/y', '--block', '33'],
  ]) {
    const { code, err } = await deapd(...args)
    t.equal(code, 2, args.join(' '))
    t.notMatch(err, /\bat .*\.js:\d+/, 'no stack trace')
  }
})

t.test('from a checkpoint to an answer', async (t) => {
  const root = t.testdir({ 'text.txt': 'hello world', 'long.txt': 'jumps over '.repeat(200) })
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, tinyWeights(tinyConfig, 1))
  const model = join(root, 'tiny')
  const imported = await deapd(
    'models',
    'import',
    source,
    '--out',
    model,
    '--quantise',
    'int8',
    '--levels',
    '3',
    '--json',
  )
  t.equal(imported.code, 0)
  t.equal(JSON.parse(imported.out).levels.length, 3)
  t.match(JSON.parse((await deapd('models', 'list', '--folder', root, '--json')).out), [{ id: 'tiny', error: null }])
  t.match(await deapd('models', 'verify', model), { code: 0, out: /match their hashes/ })

  const generate = ['generate', '--model', model, '--prompt', 'hello', '--max-tokens', '5', '--json']
  const full = JSON.parse((await deapd(...generate)).out)
  t.equal(full.ids.length, 5)
  t.same(full.levels, [2, 2, 2, 2, 2])
  t.equal(full.prompt_ids[0], 1, 'BOS is prepended')
  t.type(full.tokens_per_second, 'number')
  t.same(JSON.parse((await deapd(...generate)).out).ids, full.ids, 'greedy is repeatable')
  t.equal(JSON.parse((await deapd(...generate, '--level', '0')).out).levels.at(-1), 0)
  t.match(await deapd(...generate, '--level', '9'), {
    code: 2,
    err: /Level 9 does not exist: this model has levels 0 to 2/,
  })

  const score = JSON.parse(
    (await deapd('perplexity', '--model', model, '--text', join(root, 'text.txt'), '--json')).out,
  )
  t.ok(Math.abs(Math.exp(score.mean_nll) - score.perplexity) < 1e-9)
  t.match(await deapd('perplexity', '--model', model, '--text', join(root, 'long.txt')), {
    code: 1,
    err: /this model holds 96/,
  })
  t.match(await deapd('perplexity', '--model', model, '--text', join(root, 'none.txt')), {
    code: 2,
    err: /cannot be read/,
  })

  const bench = JSON.parse(
    (await deapd('bench', '--model', model, '--tokens', '3', '--prompt', '8', '--context', '8', '--json')).out,
  )
  t.same(
    bench.decode.map((row: { level: number }) => row.level),
    [0, 1, 2],
  )
  t.match(bench, {
    prefill: { tokens_per_second: Number },
    load_s: Number,
    rss_mb: Number,
    private_mb: Number,
    weights_mb: Number,
    kv_mb: Number,
  })

  const out = join(root, 'label')
  const label = JSON.parse((await deapd('label', model, '--grid', 'fr', '--out', out, '--json')).out)
  t.match(label, {
    model: 'tiny',
    class: null,
    joules: 'simulated',
    grid: { grams_per_kwh: 56 },
    accuracy_percent: null,
  })
  t.same(JSON.parse(readFileSync(join(out, 'label.json'), 'utf8')), label)
  t.match(readFileSync(join(out, 'label.svg'), 'utf8'), /not rated/)
  t.match(await deapd('label', model, '--out', out), { code: 2, err: /already/ })
  t.match(await deapd('label', model, '--grid', 'moon'), { code: 2, err: /grid "moon"/ })
  t.match(await deapd('label', join(root, 'text.txt')), { code: 2, err: /holds no label/ })
})

t.test('bad input is a sentence and an exit code', async (t) => {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, tinyWeights(tinyConfig, 1))
  const model = join(root, 'tiny')
  await deapd('models', 'import', source, '--out', model)
  truncateSync(join(model, 'model.onnx.data'), 1000)
  const serve = ['serve', '--state', join(root, 'state'), '--listen', '127.0.0.1:0', '--mqtt', 'none']
  const cases: [string[], number, RegExp][] = [
    [['generate', '--model', '/nowhere', '--prompt', 'x'], 2, /no model package at \/nowhere/],
    [['generate', '--model', model, '--prompt', 'x'], 1, /model.onnx.data.*1000 bytes/],
    [[...serve, '--model', '/nowhere'], 2, /no model package/],
    [[...serve, '--twin', 'toaster'], 2, /no board "toaster".*\n.*agx-orin-64gb/],
    [[...serve, '--budget', '-5'], 2, /budget is "-5"/],
    [[...serve, '--budget', 'abc'], 2, /budget is "abc"/],
    [[...serve, '--budget', '9000'], 2, /from \d+ to \d+/],
    [[...serve, '--listen', 'here'], 2, /HOST:PORT/],
    [[...serve, '--mqtt', 'embedded:x'], 2, /mqtt/],
    [[...serve, '--grid', 'nowhere'], 2, /grid/],
    [['status'], 1, /No deapd answers/],
    [['budget', '-5'], 1, /No deapd answers/],
    [['budget', '30', '--lease', 'soon'], 2, /lease of "soon"/],
    [['hold', '--level', '1'], 1, /No deapd answers/],
    [['hold', '--level', '1', '--lease', 'soon'], 2, /lease of "soon"/],
  ]
  for (const [args, code, message] of cases) {
    const result = await deapd(...args)
    t.equal(result.code, code, args.join(' '))
    t.match(result.err, message)
    t.notMatch(result.err, /\bat .*\.js:\d+/, 'no stack trace')
  }
})

t.test('what the daemon refuses as wrongly asked is bad usage here too', async (t) => {
  const bodies = [
    { error: { message: 'A hold with level "9" cannot be used.', code: 'hold_invalid' } },
    { error: { message: 'The engine is starting.', code: 'engine_starting' } },
  ]
  const server = createServer((_, response) => response.writeHead(400).end(JSON.stringify(bodies.shift())))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const order = ['hold', '--level', '9', '--url', `http://127.0.0.1:${port}`]
  t.match(await deapd(...order), { code: 2, err: /level "9"/ })
  t.match(await deapd(...order), { code: 1, err: /engine is starting/ })
})

t.test('restore has nothing to do, or a journal it cannot read', async (t) => {
  const dir = t.testdir({})
  t.match(await deapd('restore', '--state', dir), { code: 0, out: /nothing to restore/ })
  writeFileSync(join(dir, 'clocks.json'), '{"torn')
  t.match(await deapd('restore', '--state', dir), { code: 1, err: /No clock was touched/ })
  t.equal(readFileSync(join(dir, 'clocks.json'), 'utf8'), '{"torn', 'the journal is kept')
})
