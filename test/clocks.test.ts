import { execFile } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { findBoard } from '../src/board/boards/index.ts'
import { openClocks } from '../src/clocks/capped.ts'
import { openJournal } from '../src/clocks/journal.ts'
import { type Keeping, mostReappliedPerMinute, nextMove, refused, untouched, written } from '../src/clocks/keeping.ts'
import { lockClocks } from '../src/clocks/lock.ts'
import { restore } from '../src/clocks/restore.ts'
import { isClockFile } from '../src/clocks/sysfs.ts'
import { openTree } from '../src/twin/tree.ts'

const board = findBoard('agx-orin-64gb')
const gpu = 'sys/class/devfreq/17000000.ga10b'
const cpu = 'sys/devices/system/cpu'
const policy = `${cpu}/cpufreq/policy0`

/** A tree as R35 has it: no of_node, another name, a floor as jetson_clocks leaves it, an odd blank, a core that is off. */
const recorded = {
  sys: {
    class: {
      devfreq: {
        '15340000.vic': { max_freq: '1\n', device: {} },
        '17000000.ga10b': {
          available_frequencies: '306000000 612000000 816000000 1300500000\n',
          min_freq: '1300500000\n',
          max_freq: '1300500000 \n',
          cur_freq: '1300500000\n',
        },
      },
    },
    devices: {
      system: {
        cpu: {
          cpu0: {},
          cpu1: { online: '1\n' },
          cpu2: { online: '1\n' },
          cpu3: { online: '0\n' },
          cpufreq: {
            policy0: { scaling_min_freq: '729600\n', scaling_max_freq: '2201600\n', scaling_cur_freq: '729600\n' },
          },
        },
      },
    },
  },
}

const read = (root: string, path: string): string => readFileSync(join(root, path), 'latin1')

/** Every file under a folder with its bytes. */
function contentOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true })
  return Object.fromEntries(
    names
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [path.slice(folder.length), readFileSync(path, 'latin1')]),
  )
}

/** The trees on which every clock keeps its contract. */
const trees: Readonly<Record<string, (t: Test) => string>> = {
  recorded: (t) => t.testdir({ root: recorded }),
  twin: (t) => {
    const folder = t.testdir()
    openTree(board, join(folder, 'root')).close()
    return folder
  },
}

for (const [kind, make] of Object.entries(trees)) {
  t.test(`contract of every clock on the ${kind} tree`, async (t) => {
    const folder = make(t)
    const root = join(folder, 'root')
    const before = contentOf(root)
    const journalPath = join(folder, 'clocks.json')
    const clocks = openClocks({ board, root, journalPath })
    const domains = [
      clocks.gpu && { ...clocks.gpu, points: clocks.gpu.pointsHz, get: clocks.gpu.capHz, set: clocks.gpu.setCapHz },
      clocks.cpu && { ...clocks.cpu, points: clocks.cpu.pointsHz, get: clocks.cpu.capHz, set: clocks.cpu.setCapHz },
      clocks.cores && {
        ...clocks.cores,
        points: clocks.cores.counts,
        get: clocks.cores.online,
        set: clocks.cores.setOnline,
      },
    ]
    for (const domain of domains) {
      if (domain === null) {
        t.fail('a clock is missing')
        continue
      }
      const { name, points, get, set } = domain
      t.same(
        points,
        [...points].sort((a, b) => a - b),
        `${name}: ascending`,
      )
      t.ok(points.length > 1 && points.includes(get()), `${name}: what stands is one of its points`)
      t.strictSame(contentOf(root), before, `${name}: looking changes nothing`)
      t.notOk(existsSync(journalPath), `${name}: nor journals anything`)
      for (const point of [...points, ...[...points].reverse()]) t.equal(set(point), point, `${name} ${point}`)
      t.equal(set(0), points[0], `${name}: never below its lowest point`)
      t.equal(set(Number.MAX_SAFE_INTEGER), points[points.length - 1], `${name}: nor above its highest`)
      t.equal(set((points[0] + points[1]) / 2), points[0], `${name}: snaps down`)
      t.ok(existsSync(journalPath))
      t.ok(domain.files().every(isClockFile), `${name}: allow-listed files only`)
      clocks.restore()
      t.strictSame(contentOf(root), before, `${name}: byte for byte`)
      t.notOk(existsSync(journalPath))
      t.same(readdirSync(folder), ['root'], 'and nothing is left beside it')
    }
  })
}

t.test('an order: written once, read back, drift undone, given back', async (t) => {
  const root = t.testdir(recorded)
  const journalPath = join(root, 'state/clocks.json')
  const before = contentOf(join(root, 'sys'))
  const clocks = openClocks({ board, root, journalPath })
  t.strictSame(clocks.gpu?.pointsHz, [306e6, 612e6, 816e6, 1300.5e6])
  t.equal(clocks.gpu?.currentHz(), 1300.5e6)
  t.match(clocks.apply({ gpuHz: 900e6 }, 0), {
    gpu: { value: 816e6, wrote: true, fault: null },
    cpu: null,
    cores: null,
  })
  t.equal(read(root, `${gpu}/max_freq`), '816000000\n', 'snapped down')
  t.equal(read(root, `${gpu}/min_freq`), '306000000\n', 'the floor went below the cap')
  t.match(clocks.apply({ gpuHz: 900e6 }, 100).gpu, { value: 816e6, wrote: false })
  writeFileSync(join(root, `${gpu}/max_freq`), '1300500000\n')
  t.match(clocks.apply({ gpuHz: 900e6 }, 200).gpu, { value: 816e6, wrote: true, driftedFrom: 1300.5e6, drifts: 1 })
  t.match(clocks.apply({ gpuHz: 900e6, cpuHz: 1e9, cores: 1 }, 300), {
    cpu: { value: 960e6, wrote: true },
    cores: { value: 1, wrote: true },
  })
  t.equal(read(root, `${policy}/scaling_max_freq`), '960000\n', 'in steps of 76.8 MHz')
  t.same(
    [1, 2, 3].map((n) => read(root, `${cpu}/cpu${n}/online`)),
    ['0\n', '0\n', '0\n'],
  )
  t.match(clocks.apply({ gpuHz: 900e6, cpuHz: null, cores: 12 }, 400), {
    cpu: { value: 960e6 },
    cores: { value: 2, wrote: true },
  })
  t.equal(read(root, `${policy}/scaling_max_freq`), '2201600\n', 'given back')
  t.match(clocks.apply({ gpuHz: 900e6, cores: 12 }, 500).cores, { value: 2, wrote: false }, 'cores rise one by one')
  t.match(clocks.apply({ gpuHz: 900e6, cores: 12 }, 700).cores, { value: 3, wrote: true }, 'never those that were off')
  t.equal(clocks.apply({ gpuHz: 900e6 }, 800).cpu, null, 'what was given back is not ours any more')

  t.equal(clocks.restore().files.length, 6)
  t.strictSame(contentOf(join(root, 'sys')), before, 'byte for byte')
  clocks.apply({ gpuHz: 306e6 }, 900)
  t.ok(existsSync(journalPath), 'a write after a restore is journalled again')
  rmSync(journalPath)
  clocks.apply({ gpuHz: 612e6 }, 1000)
  t.ok(existsSync(journalPath), 'also when somebody else has restored meanwhile')
  t.match(JSON.parse(readFileSync(journalPath, 'utf8')).entries, [
    { original: '1300500000\n' },
    { original: '1300500000 \n' },
  ])
  clocks.restore()
  t.strictSame(contentOf(join(root, 'sys')), before)
})

t.test('the law of one limit', async (t) => {
  const points = [1, 2, 3, 4]
  const slew = { raiseEveryMs: 0, raiseSteps: 9 }
  t.test('somebody who keeps writing wins the rest of the minute, and no longer', async (t) => {
    let keeping: Keeping = untouched
    let now = 4
    let writes = 0
    for (let atMs = 0; atMs < 180_000; atMs += 100) {
      // Another program wants 4 and says so every second.
      if (atMs % 1000 === 0) now = 4
      const move = nextMove(keeping, { atMs, want: 2, now }, points, slew)
      keeping = move.keeping
      if (move.write === null) continue
      writes += 1
      now = move.write
      keeping = written(keeping, move.write, now)
    }
    t.ok(writes >= 3 && writes <= 3 * (mostReappliedPerMinute + 1), `${writes} writes in three minutes`)
    for (let atMs = 180_000; atMs < 300_000; atMs += 100) {
      const move = nextMove(keeping, { atMs, want: 2, now }, points, slew)
      now = move.write ?? now
      keeping = move.write === null ? move.keeping : written(move.keeping, move.write, now)
    }
    t.equal(now, 2, 'as soon as they stop, ours holds again')
  })
  t.test('refusals wait longer each time', async (t) => {
    let keeping: Keeping = untouched
    const tried: number[] = []
    for (let atMs = 0; atMs <= 120_000; atMs += 100) {
      const move = nextMove(keeping, { atMs, want: 2, now: 4 }, points, slew)
      keeping = move.keeping
      if (move.write === null) continue
      tried.push(atMs)
      keeping = refused(keeping, atMs)
    }
    t.same(tried.slice(0, 5), [0, 500, 1500, 3500, 7500])
    t.ok(
      tried.every((at, index) => index === 0 || at - tried[index - 1] <= 30_000),
      'at most 30 s',
    )
  })
  t.test('whatever others do: only points, never a faster rise, bounded writes, and it settles', async () => {
    const steps = fc.array(
      fc.record({
        want: fc.constantFrom(...points),
        other: fc.option(fc.constantFrom(...points), { freq: 3 }),
        refuse: fc.boolean(),
      }),
      { maxLength: 200 },
    )
    fc.assert(
      fc.property(steps, (list) => {
        let keeping: Keeping = untouched
        let now = 4
        let raisedMs = Number.NEGATIVE_INFINITY
        const slow = { raiseEveryMs: 250, raiseSteps: 1 }
        const play = (atMs: number, want: number, refuse: boolean) => {
          const move = nextMove(keeping, { atMs, want, now }, points, slow)
          keeping = move.keeping
          if (move.write === null) return
          if (move.write > now) {
            if (atMs - raisedMs < 250 || points.indexOf(move.write) - points.indexOf(now) > 1)
              throw new Error('too fast')
            raisedMs = atMs
          }
          if (!points.includes(move.write)) throw new Error('not a point')
          if (!refuse) now = move.write
          keeping = refuse ? refused(keeping, atMs) : written(keeping, move.write, now)
        }
        for (const [index, { want, other, refuse }] of list.entries()) {
          if (other !== null) now = other
          play(index * 100, want, refuse)
        }
        for (let more = 0; more < 2000; more += 1) play((list.length + more) * 100, 3, false)
        return now === 3
      }),
      { seed: 4, numRuns: 200 },
    )
  })
})

t.test('one process at a time has the clocks of a root', async (t) => {
  const folder = t.testdir({ one: {}, two: {} })
  const deep = '/a-folder-with-a-long-name'.repeat(8)
  const unlock = await lockClocks(join(folder, 'one', deep))
  await t.rejects(lockClocks(join(folder, 'one', deep)), { code: 'clocks_busy' })
  const other = await lockClocks(join(folder, 'one', `${deep}2`))
  other()
  unlock()
  const again = await lockClocks(join(folder, 'one', deep))
  again()
})

t.test('no such clock is null with a reason', async (t) => {
  const root = t.testdir({})
  const clocks = openClocks({ board, root, journalPath: join(root, 'clocks.json') })
  t.match(clocks, { gpu: null, gpuReason: /no GPU clock/, cpu: null, cpuReason: /no CPU clock/, cores: null })
  t.same(clocks.apply({ gpuHz: 1, cpuHz: 1, cores: 1 }, 0), { gpu: null, cpu: null, cores: null })
  t.match(clocks.restore(), { files: [] })
})

t.test('the GPU is found as each release names it', async (t) => {
  const clock = () => ({ max_freq: '816000000\n', min_freq: '306000000\n' })
  const node = (name: string) => ({ ...clock(), device: { of_node: { name: `${name}\0` } } })
  const devfreq = () => ({ '17000000.gpu': clock() })
  const cases = {
    'R35, by device-tree node': { sys: { class: { devfreq: { odd: node('ga10b'), other: node('vic') } } } },
    'R36.4, through the class': { sys: { class: { devfreq: { '17000000.gpu': clock(), 'x.gpu': node('nvdec') } } } },
    'R36.4, no class': { sys: { devices: { platform: { 'bus@0': { '17000000.gpu': { devfreq: devfreq() } } } } } },
    'R36.2, no class': { sys: { devices: { platform: { '17000000.gpu': { devfreq: devfreq() } } } } },
    'R35, no class': { sys: { devices: { '17000000.ga10b': { devfreq: { '17000000.ga10b': clock() } } } } },
    Thor: { sys: { class: { devfreq: { 'gpu-nvd-0': clock(), 'gpu-gpc-0': clock() } } } },
    'no floor, no list': { sys: { class: { devfreq: { '17000000.gpu': { max_freq: '816000000\n' } } } } },
  }
  for (const [name, tree] of Object.entries(cases)) {
    const root = join(t.testdir({ root: tree }), 'root')
    const before = contentOf(root)
    const journalPath = join(root, '../clocks.json')
    const clocks = openClocks({ board, root, journalPath })
    t.match(clocks.apply({ gpuHz: 612e6 }, 0).gpu, { value: 612e6, fault: null }, name)
    restore(journalPath)
    t.strictSame(contentOf(root), before, name)
  }
})

t.test('a refused write names the file and what the clock stays at, and waits', async (t) => {
  const root = t.testdir(recorded)
  const clocks = openClocks({ board, root, journalPath: join(root, 'clocks.json') })
  clocks.apply({ gpuHz: 612e6 }, 0)
  rmSync(join(root, `${policy}/scaling_max_freq`))
  mkdirSync(join(root, `${policy}/scaling_max_freq`))
  const order = { gpuHz: 306e6, cpuHz: 1e9 }
  const path = join(root, `${cpu}/cpufreq/policy*/scaling_max_freq`)
  t.match(clocks.apply(order, 100), {
    gpu: { value: 306e6 },
    cpu: { value: null, fault: { code: 'clock_refused', params: { path } } },
  })
  rmSync(join(root, `${policy}/scaling_max_freq`), { recursive: true })
  renameSync(join(root, `${policy}/scaling_min_freq`), join(root, `${policy}/scaling_max_freq`))
  symlinkSync('scaling_max_freq', join(root, `${policy}/scaling_min_freq`))
  t.match(
    clocks.apply({ gpuHz: 306e6, cpuHz: 2e9 }, 200).cpu?.fault,
    { message: /another name/ },
    'a wrong link is refused',
  )
})

t.test('a journal that cannot be written: the clock is left alone', async (t) => {
  const folder = t.testdir({ root: recorded, state: 'a file' })
  const root = join(folder, 'root')
  const before = contentOf(root)
  const clocks = openClocks({ board, root, journalPath: join(folder, 'state2/clocks.json') })
  writeFileSync(join(folder, 'state2'), 'in the way')
  const { gpu: applied } = clocks.apply({ gpuHz: 306e6 }, 0)
  t.match(applied, { value: 1300.5e6, wrote: false, fault: { code: 'journal_unwritable' } })
  t.strictSame(contentOf(root), before)
  rmSync(join(folder, 'state2'))
  t.match(clocks.apply({ gpuHz: 306e6 }, 100).gpu, { wrote: false, fault: { code: 'journal_unwritable' } }, 'not yet')
  t.match(clocks.apply({ gpuHz: 306e6 }, 600).gpu, { value: 306e6, wrote: true, fault: null }, 'tried again')
})

t.test('restore: nothing to do, damaged, foreign paths, links that lead out, another boot, another tree', async (t) => {
  const proc = { sys: { kernel: { random: { boot_id: 'one\n' } } } }
  const folder = t.testdir({ tree: { ...recorded, proc, etc: { max_freq: '1\n' } }, outside: { max_freq: '1\n' } })
  const root = join(folder, 'tree')
  const journalPath = join(root, 'clocks.json')
  t.match(restore(journalPath), { files: [], root: null })
  t.match(restore(join(root, 'no/such/folder/clocks.json')), { files: [] })

  const before = contentOf(join(root, 'sys'))
  const entry = { path: `${gpu}/max_freq`, original: '306000000\n' }
  const file = { schema: 'deapd-clocks/1', root, bootId: null, entries: [entry] }
  const damaged = [
    '',
    '{',
    'null',
    '[]',
    '{"schema":"other"}',
    JSON.stringify({ ...file, root: 5 }),
    JSON.stringify({ ...file, entries: [entry, { path: 'etc/passwd', original: 'x' }] }),
    JSON.stringify({ ...file, entries: [entry, { path: `${gpu}/../../../../outside`, original: 'x' }] }),
    JSON.stringify({ ...file, entries: [entry, { path: 'sys/class/devfreq/../max_freq', original: 'x' }] }),
    JSON.stringify({ ...file, entries: [entry, { path: `${cpu}/cpu0/online`, original: '0' }] }),
    JSON.stringify({ ...file, entries: [entry, { path: `${gpu}/min_freq` }] }),
  ]
  for (const text of damaged) {
    writeFileSync(journalPath, text)
    t.throws(() => restore(journalPath), { code: 'journal_damaged' }, text)
    t.throws(() => openJournal(journalPath, root), { code: 'journal_damaged' })
    t.equal(readFileSync(journalPath, 'utf8'), text, 'the journal is kept as it is')
  }
  for (const target of [join(folder, 'outside'), '../../../etc']) {
    symlinkSync(target, join(root, 'sys/class/devfreq/out'))
    const out = { path: 'sys/class/devfreq/out/max_freq', original: 'x' }
    writeFileSync(journalPath, JSON.stringify({ ...file, entries: [entry, out] }))
    t.throws(() => restore(journalPath), { code: 'clock_refused', params: { detail: /leads out/ } }, target)
    rmSync(join(root, 'sys/class/devfreq/out'))
    t.match(JSON.parse(readFileSync(journalPath, 'utf8')).entries, [out], 'kept for what is left')
  }
  t.equal(read(folder, 'outside/max_freq') + read(root, 'etc/max_freq'), '1\n1\n', 'nothing outside sys is written')
  writeFileSync(join(root, `${gpu}/max_freq`), '1300500000 \n')
  t.strictSame(contentOf(join(root, 'sys')), before)

  writeFileSync(journalPath, JSON.stringify({ ...file, bootId: 'two' }))
  t.match(restore(journalPath), { files: [], detail: /earlier boot/ })
  t.strictSame(contentOf(join(root, 'sys')), before)
  t.notOk(existsSync(journalPath))

  writeFileSync(journalPath, JSON.stringify({ ...file, root: join(folder, 'gone') }))
  t.throws(() => openJournal(journalPath, root), { code: 'journal_damaged', message: /belongs to the tree/ })
  t.match(restore(journalPath), { files: [], detail: /which is gone/ })
  t.notOk(existsSync(journalPath))
})

t.test('a clock that does not come back is named, and the journal is kept for what is left', async (t) => {
  const root = t.testdir(recorded)
  const journalPath = join(root, 'clocks.json')
  const entries = [
    { path: `${gpu}/min_freq`, original: '306000000\n' },
    { path: `${gpu}/max_freq`, original: '816000000\n' },
    { path: `${policy}/scaling_max_freq`, original: '960000\n' },
  ]
  writeFileSync(journalPath, JSON.stringify({ schema: 'deapd-clocks/1', root, bootId: null, entries }))
  rmSync(join(root, `${gpu}/max_freq`))
  t.throws(() => restore(journalPath), { code: 'clock_refused', message: /ENOENT/ })
  t.equal(read(root, `${policy}/scaling_max_freq`), '960000\n', 'the other clocks are back')
  t.same(JSON.parse(readFileSync(journalPath, 'utf8')).entries, [entries[1]])
  writeFileSync(join(root, `${gpu}/max_freq`), '1\n')
  t.equal(restore(journalPath).files.length, 1)
  t.equal(read(root, `${gpu}/max_freq`), '816000000\n')
  t.match(restore(journalPath), { files: [] }, 'twice is once')
})

t.test('a torn journal: its copy puts the bytes back; both torn: nothing is touched', async (t) => {
  const folder = t.testdir({ root: recorded })
  const root = join(folder, 'root')
  const journalPath = join(folder, 'clocks.json')
  const before = contentOf(root)
  openClocks({ board, root, journalPath }).apply({ gpuHz: 306e6, cpuHz: 1e9, cores: 1 }, 0)
  const changed = contentOf(root)
  const whole = readFileSync(journalPath)
  t.same(readFileSync(`${journalPath}.copy`), whole)
  const set = (content: Record<string, string>) => {
    for (const [path, bytes] of Object.entries(content)) writeFileSync(join(root, path), bytes, 'latin1')
  }
  let untouchedAt = 0
  let backAt = 0
  // The last byte is a newline: without it the journal is still whole.
  for (let length = 0; length < whole.length - 1; length += 1) {
    for (const copy of [whole, whole.subarray(0, length)]) {
      writeFileSync(journalPath, whole.subarray(0, length))
      writeFileSync(`${journalPath}.copy`, copy)
      try {
        restore(journalPath)
      } catch {
        // Judged by what is on the disk.
      }
      const now = contentOf(root)
      const expected = copy === whole ? before : changed
      if (JSON.stringify(now) !== JSON.stringify(expected)) return t.fail(`torn at ${length}`)
      if (copy === whole) backAt += 1
      else untouchedAt += 1
      set(changed)
    }
  }
  t.equal(backAt, whole.length - 1)
  t.equal(untouchedAt, whole.length - 1)
})

/** The real files of src/clocks as plain JavaScript, so that a child that dies at once also starts at once. */
function compiled(folder: string): string {
  const src = fileURLToPath(new URL('../src', import.meta.url))
  const options = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  }
  mkdirSync(join(folder, 'clocks'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  for (const name of ['errors.ts', ...readdirSync(join(src, 'clocks')).map((file) => `clocks/${file}`)]) {
    const { outputText } = ts.transpileModule(readFileSync(join(src, name), 'utf8'), { compilerOptions: options })
    writeFileSync(join(folder, name.replace(/\.ts$/, '.js')), outputText)
  }
  return folder
}

const program = `
import { readFileSync } from 'node:fs'
import { openClocks } from './clocks/capped.js'
import { restore } from './clocks/restore.js'
const [root, journalPath, verb] = process.argv.slice(2)
const board = JSON.parse(readFileSync(new URL('board.json', import.meta.url), 'utf8'))
if (verb === 'restore') restore(journalPath)
else {
  const clocks = openClocks({ board, root, journalPath })
  clocks.apply({ gpuHz: 306e6 }, 0)
  clocks.apply({ gpuHz: 816e6, cpuHz: 1e9, cores: 2 }, 1000)
  clocks.apply({ gpuHz: 1300.5e6, cores: 3 }, 2000)
}`

t.test('kill -9 at every write: the bytes come back, or nothing was changed', async (t) => {
  const folder = t.testdir({
    js: { 'board.json': JSON.stringify(board), 'program.js': program },
    whole: { root: recorded },
  })
  const js = compiled(join(folder, 'js'))
  const before = contentOf(join(folder, 'whole/root'))
  const dying = fileURLToPath(new URL('support/dying.mjs', import.meta.url))

  /** One run in a copy of a folder; it dies at the given call, and what it has left is compared with the start. */
  const run = (
    from: string,
    verb: string,
    env: Record<string, string>,
  ): Promise<{ signal: string | null; calls: string[] }> =>
    new Promise((resolve) => {
      const place = join(folder, `run-${verb}-${env.DIE_AT ?? 'never'}-${env.DIE_HALF ?? ''}`)
      cpSync(join(folder, from), place, { recursive: true })
      // The tree moves with its copy: the journal must name it by the same words.
      const args = ['--import', dying, join(js, 'program.js'), 'root', 'clocks.json', verb]
      execFile(process.execPath, args, { cwd: place, env }, (error, stdout) => {
        const signal = error?.signal ?? null
        if (error !== null && signal === null) return t.fail(String(error))
        const calls = signal === null ? JSON.parse(stdout) : []
        if (env.DIE_AT === undefined) return resolve({ signal, calls })
        process.chdir(place)
        restore('clocks.json')
        const same = JSON.stringify(contentOf('root')) === JSON.stringify(before)
        const left = readdirSync('.').filter((name) => name !== 'root')
        process.chdir(folder)
        if (!same || left.length > 0) t.fail(`${verb}: died at call ${env.DIE_AT}, left ${left.join(', ')}`)
        rmSync(place, { recursive: true })
        resolve({ signal, calls })
      })
    })

  const here = process.cwd()
  t.teardown(() => process.chdir(here))
  let deaths = 0
  for (const [verb, from] of [
    ['apply', 'whole'],
    ['restore', 'run-apply-never-'],
  ]) {
    const { calls } = await run(from, verb, {})
    t.ok(calls.length > 20, `${verb}: ${calls.length} calls that change files`)
    const points: Record<string, string>[] = calls.flatMap((name, at) => {
      const before = { DIE_AT: String(at) }
      return name === 'writeSync' ? [before, { ...before, DIE_HALF: '1' }] : [before]
    })
    const queue = points.values()
    const worker = async (): Promise<void> => {
      for (const point of queue) {
        const { signal } = await run(from, verb, point)
        if (signal === 'SIGKILL') deaths += 1
        else t.fail(`${verb} did not die at ${point.DIE_AT}`)
      }
    }
    await Promise.all([worker(), worker()])
    t.comment(`${verb}: killed at ${points.length} points`)
  }
  t.ok(deaths > 100, `${deaths} deaths`)
})
