import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { powerToSpare, watchCertificate } from '../src/daemon/certificate.ts'
import { afterShadow, type DriftState, freshDrift, revokingWealth, wealthOf } from '../src/daemon/drift.ts'
import type { Log } from '../src/daemon/log.ts'
import type { EngineStatus } from '../src/engine/client.ts'
import { seededRandom } from '../src/evaluate/support/random.ts'
import type { Decision } from '../src/governor/types.ts'
import type { Manifest } from '../src/models/manifest.ts'
import { openStore } from '../src/store/db.ts'

const folder = mkdtempSync(join(tmpdir(), 'deapd-drift-'))
t.teardown(() => rmSync(folder, { recursive: true }))

const bound = 0.012
/** Shadow runs until the certificate is revoked; null when `most` were not enough. */
function watch(chance: (p: number) => boolean, rate: number, most: number): number | null {
  let state: DriftState = freshDrift
  for (let i = 1; i <= most; i++) {
    state = afterShadow(state, chance(rate), bound)
    if (wealthOf(state) >= revokingWealth) return i
  }
  return null
}

t.test('without a shift hardly one device in twenty is alarmed, however long it is watched', async (t) => {
  const { chance } = seededRandom(20261124)
  const alarms = Array.from({ length: 400 }, () => watch(chance, bound, 4000)).filter((at) => at !== null).length
  // At the bound itself, the hardest case: at most 5 % by Ville's inequality, 400 · 5 % + 3 deviations = 33.
  t.ok(alarms <= 33, `${alarms} of 400`)
  const calm = Array.from({ length: 200 }, () => watch(chance, bound / 3, 4000)).filter((at) => at !== null).length
  t.equal(calm, 0, 'well inside the bound there is none')
})

t.test('a shift is found, a large one soon', async (t) => {
  const { chance } = seededRandom(7)
  const found = (rate: number) =>
    Array.from({ length: 100 }, () => watch(chance, rate, 4000) ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b)
  const [slight, large] = [found(0.05), found(0.4)]
  t.ok(slight[94] < 1000, `five in a hundred texts: 95 of 100 within ${slight[94]} shadow runs`)
  t.ok(large[94] < 30, `forty in a hundred: within ${large[94]}`)
})

const certificate = { margin_points: 1.5, levels: [0, 1, 2], differing: { count: 9, bound }, date: 'then' }
const manifest = {
  certificate,
  routing: { balanced: { risk: 0.1, doubt: 0.1 } },
  levels: [{}, {}, {}],
} as unknown as Manifest
const status = { loaded: { certificate: { state: 'valid', reason: 'at most 1.5 points' } } } as EngineStatus

t.test('a revocation reaches engine, log and snapshot, and survives a restart', async (t) => {
  const said: string[] = []
  const say = (_: object, text: string) => void said.push(text)
  const log = { debug: () => undefined, info: say, warn: say, error: say } as unknown as Log
  const orders: boolean[] = []
  const engine = () => ({ status: () => status, setRevoked: (revoked: boolean) => void orders.push(revoked) })
  const store = await openStore(folder)
  const first = watchCertificate(manifest, engine, store, log)
  t.match(first.view(), { state: 'valid', lowestLevel: 0, shadows: 0, marginPoints: 1.5, explanation: /1\.5 points/ })
  const shadow = { id: 'a', tokens: 9, disagreements: 1 }
  for (let i = 0; i < 30; i++) first.observe({ ...shadow, differs: false })
  t.notOk(first.revoked())
  for (let i = 0; i < 30; i++) first.observe({ ...shadow, differs: true })
  t.ok(first.revoked())
  t.same(orders, [true], 'told once')
  const { shadows } = first.view()
  t.ok(shadows < 60, 'what comes after changes nothing')
  t.match(first.view(), { state: 'revoked', lowestLevel: 2, explanation: /revoked on.*full network.*deapd certify/ })
  t.match(said, [/certificate was revoked.*deapd certify/])
  // Writes are one after the other: this one ends after the revocation's.
  await store.update(() => undefined)
  t.match(JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')), { drift: { shadows, revoked_at: String } })

  const again = watchCertificate(manifest, engine, await openStore(folder), log)
  t.ok(again.revoked(), 'after a restart')
  t.match(said[1], /stays revoked/)
  const renewed = { ...manifest, certificate: { ...certificate, date: 'now' } } as unknown as Manifest
  const other = watchCertificate(renewed, engine, await openStore(folder), log)
  t.notOk(other.revoked(), 'another certificate begins anew')
  t.equal(other.view().shadows, 0)
  const none = watchCertificate({ ...manifest, certificate: null }, engine, store, log)
  none.observe({ ...shadow, differs: true })
  t.match(none.view(), { marginPoints: null, marginPointsReason: String, shadows: 0 })
})

t.test('shadow runs wait until there is power to spare', async (t) => {
  const calm = { capLevel: 2, duty: 1, conditions: [] } as unknown as Decision
  t.ok(powerToSpare(calm, 2))
  t.notOk(powerToSpare({ ...calm, capLevel: 1 }, 2) || powerToSpare({ ...calm, duty: 0.5 }, 2))
  t.notOk(powerToSpare({ ...calm, conditions: ['over_budget'] }, 2))
})
