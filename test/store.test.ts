import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openStore } from '../src/store/db.ts'

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
