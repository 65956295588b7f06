import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openStore } from '../src/store/db.ts'
import { beginRing, readRing, slotBytes } from '../src/store/ring.ts'

t.test('what was written is there again', async (t) => {
  const dir = join(t.testdir({}), 'new', 'state')
  const first = await openStore(dir)
  const { device_id } = first.state
  await first.update((state) => {
    state.ledger.total_joules = 12.5
  })
  const second = await openStore(dir)
  t.equal(second.state.device_id, device_id, 'the device keeps its name')
  t.equal(second.state.ledger.total_joules, 12.5)
  t.same(second.warnings, [])
})

t.test('a torn, empty or foreign file is set aside and never fatal', async (t) => {
  for (const content of ['{"schema":"deapd-st', '', '[]', '{"schema":"other/9"}', '\u0000\u0000']) {
    const dir = t.testdir({ 'state.json': content })
    const { state, warnings } = await openStore(dir)
    t.equal(state.ledger.total_joules, 0)
    t.match(warnings, [{ code: 'state_damaged' }], JSON.stringify(content))
    const kept = readdirSync(dir).find((name) => name.includes('damaged')) ?? ''
    t.equal(readFileSync(join(dir, kept), 'utf8'), content, 'nothing was lost')
    t.match(JSON.parse(readFileSync(join(dir, 'state.json'), 'utf8')), { schema: 'deapd-state/1' })
  }
})

t.test('a second damage does not overwrite the first', async (t) => {
  const dir = t.testdir({ 'state.json': 'one' })
  await openStore(dir)
  writeFileSync(join(dir, 'state.json'), 'two')
  await openStore(dir)
  const kept = readdirSync(dir)
    .filter((name) => name.includes('damaged'))
    .sort()
  t.same(
    kept.map((name) => readFileSync(join(dir, name), 'utf8')),
    ['one', 'two'],
  )
})

t.test('a folder that cannot be written is said so', async (t) => {
  const dir = t.testdir({ file: '' })
  await t.rejects(openStore(join(dir, 'file', 'below')), { code: 'state_unwritable' })
})

t.test('a ring keeps the last records, also torn ones’ neighbours, and knows a clean end', async (t) => {
  const path = join(t.testdir(), 'ring')
  t.equal(readRing(path), undefined)
  const ring = beginRing(path, 'first run')
  const size = statSync(path).size
  t.same(readRing(path), { head: 'first run', clean: false, records: [] })
  for (let number = 0; number < 2500; number += 1) ring.append(`record ${number}`)
  await ring.sync()
  const { records = [] } = readRing(path) ?? {}
  t.equal(records.length, 1024)
  t.same([records[0], records.at(-1)], ['record 1476', 'record 2499'])
  t.throws(() => ring.append('x'.repeat(slotBytes)), /does not fit/)
  ring.close()
  t.equal(readRing(path)?.clean, true)
  t.equal(statSync(path).size, size, 'it never grows')

  const second = beginRing(path, 'second run')
  for (let number = 0; number < 5; number += 1) second.append(`record ${number}`)
  const whole = readFileSync(path)
  const end = 8192 + 5 * slotBytes
  // The last record is cut at every length, and every byte of it is flipped: the others stand, and it is never half there.
  for (let byte = end - slotBytes; byte < end - slotBytes + 40; byte += 1) {
    const torn = Buffer.from(whole)
    torn.fill(0, byte, end)
    const flipped = Buffer.from(whole)
    flipped[byte] ^= 1
    for (const bytes of [torn, flipped]) {
      writeFileSync(path, bytes)
      const left = readRing(path)?.records ?? []
      const all = ['record 0', 'record 1', 'record 2', 'record 3', 'record 4']
      if (JSON.stringify(left) !== JSON.stringify(all) && JSON.stringify(left) !== JSON.stringify(all.slice(0, 4)))
        return t.fail(`byte ${byte}: ${left}`)
    }
  }
  for (const length of [0, 1, 4096, 8192]) {
    writeFileSync(path, whole.subarray(0, length))
    t.same(readRing(path)?.records ?? [], [], `a file of ${length} bytes`)
  }
})
