import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { openClocks } from '../src/clocks/capped.ts'
import { openJournal } from '../src/clocks/journal.ts'
import { restore } from '../src/clocks/restore.ts'
import { openTree } from '../src/twin/tree.ts'

const board = findBoard('agx-orin-64gb')
const gpu = 'sys/class/devfreq/17000000.ga10b'
const policy = 'sys/devices/system/cpu/cpufreq/policy0'

/** A tree as R35 has it: no of_node, another name, a floor as jetson_clocks leaves it, an odd blank in a value. */
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
      .map((path) => [path, readFileSync(path, 'latin1')]),
  )
}

/** The program that is killed: it writes clocks as fast as it can and says so after each. */
async function writeForever(root: string, journalPath: string): Promise<never> {
  const clocks = openClocks({ board, root, journalPath })
  for (let round = 0; ; round += 1) {
    await clocks.applyGpu(board.gpu.pointsHz[round % board.gpu.pointsHz.length])
    if (round % 2 === 1) await clocks.cpu?.setCapHz(board.cpu.minHz + 76_800_000 * (round % 5))
    process.send?.(round)
  }
}

if (process.argv[2] === 'write-forever') await writeForever(process.argv[3], process.argv[4])

t.test('a cap is written in safe order, read back, and only with its original saved', async (t) => {
  const root = t.testdir(recorded)
  const journalPath = join(root, 'state/clocks.json')
  const before = contentOf(join(root, 'sys'))
  const clocks = openClocks({ board, root, journalPath })
  t.strictSame(clocks.gpu?.pointsHz, [306e6, 612e6, 816e6, 1300.5e6])
  t.equal(await clocks.gpu?.currentHz(), 1300.5e6)
  t.notOk(existsSync(journalPath), 'looking journals nothing')
  t.same(await clocks.applyGpu(900e6), { capHz: 816e6, wrote: true, driftedFromHz: null }, 'snapped down')
  t.equal(read(root, `${gpu}/max_freq`), '816000000\n')
  t.equal(read(root, `${gpu}/min_freq`), '306000000\n', 'the floor went below the cap')
  t.same(await clocks.applyGpu(900e6), { capHz: 816e6, wrote: false, driftedFromHz: null })
  writeFileSync(join(root, `${gpu}/max_freq`), '1300500000\n')
  t.same(await clocks.applyGpu(900e6), { capHz: 816e6, wrote: true, driftedFromHz: 1300.5e6 }, 'drift is undone')
  t.equal(await clocks.cpu?.setCapHz(1e9), 960e6, 'in steps of 76.8 MHz')
  t.equal(read(root, `${policy}/scaling_max_freq`), '960000\n')
  const journal = JSON.parse(readFileSync(journalPath, 'utf8'))
  t.match(journal, { schema: 'deapd-clocks/1', root, entries: [{ path: `${gpu}/min_freq` }, {}, {}, {}] })

  t.equal(clocks.restore().files.length, 4)
  t.strictSame(contentOf(join(root, 'sys')), before, 'byte for byte')
  t.notOk(existsSync(journalPath))
  await clocks.applyGpu(306e6)
  t.ok(existsSync(journalPath), 'a write after a restore is journalled again')
  clocks.restore()
})

t.test('the same on the tree of the twin', async (t) => {
  const root = join(t.testdir(), 'root')
  openTree(board, root).close()
  const before = contentOf(root)
  const journalPath = join(dirname(root), 'clocks.json')
  const clocks = openClocks({ board, root, journalPath })
  for (const hz of board.gpu.pointsHz) t.equal((await clocks.applyGpu(hz))?.capHz, hz)
  await clocks.applyGpu(board.gpu.pointsHz[0])
  restore(journalPath)
  t.strictSame(contentOf(root), before)
})

t.test('no such clock is null with a reason', async (t) => {
  const root = t.testdir({})
  const clocks = openClocks({ board, root, journalPath: join(root, 'clocks.json') })
  t.match(clocks, { gpu: null, gpuReason: /no GPU clock/, cpu: null, cpuReason: /no CPU clock/ })
  t.equal(await clocks.applyGpu(1), null)
})

t.test('a refused write names the file and what the clock stays at', async (t) => {
  const root = t.testdir(recorded)
  const clocks = openClocks({ board, root, journalPath: join(root, 'clocks.json') })
  await clocks.applyGpu(612e6)
  rmSync(join(root, `${gpu}/max_freq`))
  mkdirSync(join(root, `${gpu}/max_freq`))
  const refused = { code: 'clock_refused', params: { path: join(root, `${gpu}/max_freq`) } }
  await t.rejects(clocks.applyGpu(816e6), refused)
  await t.rejects(async () => void (await clocks.gpu?.setCapHz(816e6)), { ...refused, message: /EISDIR/ })
})

t.test('restore: nothing to do, damaged, foreign paths, links that lead out, another boot', async (t) => {
  const proc = { sys: { kernel: { random: { boot_id: 'one\n' } } } }
  const folder = t.testdir({ tree: { ...recorded, proc }, outside: { max_freq: '1\n' } })
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
    JSON.stringify({ ...file, entries: [entry, { path: `${gpu}/min_freq` }] }),
  ]
  for (const text of damaged) {
    writeFileSync(journalPath, text)
    t.throws(() => restore(journalPath), { code: 'journal_damaged' }, text)
    t.throws(() => openJournal(journalPath, root), { code: 'journal_damaged' })
    t.equal(readFileSync(journalPath, 'utf8'), text, 'the journal is kept as it is')
  }
  symlinkSync(join(folder, 'outside'), join(root, 'sys/class/devfreq/out'))
  writeFileSync(
    journalPath,
    JSON.stringify({ ...file, entries: [entry, { path: 'sys/class/devfreq/out/max_freq', original: 'x' }] }),
  )
  t.throws(() => restore(journalPath), { code: 'clock_refused', params: { detail: /leads out/ } })
  t.equal(read(folder, 'outside/max_freq'), '1\n', 'nothing outside is written')
  writeFileSync(join(root, `${gpu}/max_freq`), '1300500000 \n')
  t.strictSame(contentOf(join(root, 'sys')), before, 'no clock was touched')

  writeFileSync(journalPath, JSON.stringify({ ...file, bootId: 'two' }))
  t.match(restore(journalPath), { files: [], detail: /earlier boot/ })
  t.strictSame(contentOf(join(root, 'sys')), before)
  t.notOk(existsSync(journalPath))
})

t.test('a clock that does not come back is named, and the journal is kept for another try', async (t) => {
  const root = t.testdir(recorded)
  const journalPath = join(root, 'clocks.json')
  const entries = [
    { path: `${gpu}/min_freq`, original: '306000000\n' },
    { path: `${gpu}/max_freq`, original: '816000000\n' },
    { path: `${policy}/scaling_max_freq`, original: '960000\n' },
  ]
  writeFileSync(journalPath, JSON.stringify({ schema: 'deapd-clocks/1', root, bootId: null, entries }))
  // Two names of one file: it cannot hold both values, as firmware that ignores a write would not.
  rmSync(join(root, `${gpu}/max_freq`))
  symlinkSync('min_freq', join(root, `${gpu}/max_freq`))
  t.throws(() => restore(journalPath), { code: 'clock_refused', message: /it was set to \d+ and reads \d+/ })
  rmSync(join(root, `${gpu}/max_freq`))
  t.throws(() => restore(journalPath), { code: 'clock_refused', message: /ENOENT/ })
  t.equal(read(root, `${policy}/scaling_max_freq`), '960000\n', 'the other clocks are back')
  writeFileSync(join(root, `${gpu}/max_freq`), '1\n')
  t.equal(restore(journalPath).files.length, 3)
  t.equal(read(root, `${gpu}/max_freq`), '816000000\n')
})

t.test('kill -9 at any moment: restore puts the bytes back', async (t) => {
  const root = join(t.testdir(), 'root')
  openTree(board, root).close()
  const before = contentOf(root)
  const journalPath = join(dirname(root), 'clocks.json')
  for (const writes of [0, 1, 6]) {
    const child = fork(fileURLToPath(import.meta.url), ['write-forever', root, journalPath])
    await new Promise<void>((resolve) => child.on('message', (round) => (round as number) >= writes && resolve()))
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    t.match(await ended, [null, 'SIGKILL'])
    const killed = contentOf(root)
    t.notSame(killed, before, 'it was killed with clocks changed')
    openTree(board, root).close()
    // A plain file can be caught between truncation and write, which sysfs cannot: only that one may be filled again.
    const whole = Object.entries(killed).filter(([, content]) => content !== '')
    t.match(contentOf(root), Object.fromEntries(whole), 'opening the tree again resets nothing')
    restore(journalPath)
    t.strictSame(contentOf(root), before, `after ${writes} writes`)
    t.notOk(existsSync(journalPath))
  }
})
