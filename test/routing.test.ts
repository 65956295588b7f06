import fc from 'fast-check'
import t from 'tap'
import { doubtSignals, probability, requestRisks, requestSignals } from '../src/engine/complexity/estimate.ts'
import { promptFeatures } from '../src/engine/complexity/features.ts'
import { explainRoute } from '../src/engine/complexity/reasons.ts'
import { begin, type RouteRules, type RouteState, route } from '../src/engine/complexity/route.ts'
import { createRouter, replay } from '../src/engine/complexity/router.ts'
import { surprisal, uncertaintyOf } from '../src/engine/complexity/uncertainty.ts'
import { argmax } from '../src/engine/select.ts'

const seed = 20261124

/** Softmax, margin and entropy as the definitions say. */
function directly(logits: Float32Array) {
  const most = Math.max(...logits)
  const weights = [...logits].map((value) => Math.exp(value - most))
  const sum = weights.reduce((a, b) => a + b, 0)
  const p = weights.map((weight) => weight / sum).sort((a, b) => b - a)
  const entropy = p.reduce((h, q) => (q > 0 ? h - q * Math.log(q) : h), 0) / Math.log(p.length)
  return { margin: p[0] - p[1], entropy }
}

t.test('margin and entropy are those of the softmax', async (t) => {
  const rows = fc.array(fc.float({ min: -30, max: 30, noNaN: true }), { minLength: 2, maxLength: 400 })
  fc.assert(
    fc.property(rows, (values) => {
      const logits = Float32Array.from(values)
      const { tokenId, margin, entropy } = uncertaintyOf(logits)
      const wanted = directly(logits)
      return (
        tokenId === argmax(logits) &&
        Math.abs(margin - wanted.margin) < 0.01 &&
        Math.abs(entropy - wanted.entropy) < 0.01
      )
    }),
    { seed, numRuns: 300 },
  )
  const even = uncertaintyOf(new Float32Array(32_000))
  t.match(even, { tokenId: 0, margin: 0, entropy: 1 })
  t.match(uncertaintyOf(Float32Array.of(0, 90, 0)), { tokenId: 1, margin: 1, entropy: 0 })
})

t.test('surprisal is the mean of −log p, and its rise', async (t) => {
  // Rows over two tokens: p = 1/2, then p = 1/4 for token 0.
  const logits = Float32Array.of(0, 0, 0, Math.log(3))
  const { mean, rise } = surprisal(logits, [0, 0])
  t.ok(Math.abs(mean - (Math.log(2) + Math.log(4)) / 2) < 1e-6)
  t.ok(Math.abs(rise - Math.log(2)) < 1e-6)
})

t.test('prompt features see what makes a question hard', async (t) => {
  const of = (text: string) => promptFeatures({ text, before: [5, 6, 7], ids: [5, 6, 90], turn: 2, vocabulary: 100 })
  const easy = of('Status of 4821?')
  const hard = of('How many orders that are not pending cost more than 30? Sorry, I meant less, and for Mara.')
  t.match(easy, { questions: 1, joins: 0, numbers: 1, corrections: 0, cues: 0 })
  t.match(hard, { questions: 1, joins: 2, numbers: 1, corrections: 2, names: 1 })
  t.ok(hard.cues >= 3 && hard.question_length > easy.question_length && easy.digits > hard.digits)
  t.ok(Math.abs(easy.unseen - 1 / 3) < 1e-9 && easy.turn === Math.log(2))
  t.ok(Object.values(of('')).every(Number.isFinite))
})

const shares = [0.3, 0.5, 0.8, 1]
const full = 3
const features = promptFeatures({ text: 'Price of 7306?', before: [1, 2, 3, 4], ids: [2, 3], turn: 1, vocabulary: 50 })
const logistic = (bias: number, weights = {}) => ({ bias, weights })

t.test('a smaller level is never estimated to be safer', async (t) => {
  const signals = requestSignals(features, { tokenId: 1, margin: 0.9, entropy: 0.1 })
  const biases = fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(biases, (all) => {
      const risks = requestRisks({ requests: all.map((bias) => logistic(bias)) }, signals)
      return risks.every((risk, i) => i === 0 || risk <= risks[i - 1])
    }),
    { seed },
  )
  const doubtful = probability(logistic(0, { first_margin: -2 }), { ...signals, first_margin: 0.1 })
  t.ok(doubtful > probability(logistic(0, { first_margin: -2 }), signals), 'less margin, more risk')
  t.ok(
    Object.values(doubtSignals({ margin: 1, entropy: 0, rolling: 0, copied: 1, contradicted: 0, skipped: 0 })).every(
      Number.isFinite,
    ),
  )
})

const rules: RouteRules = { risk: 0.1, doubt: 0.2, hold: 2, full }
const seen = (doubt: number, level: number, highest = full) => ({ doubt, level, highest })

t.test('an answer starts at the smallest level within the limit', async (t) => {
  t.equal(begin(rules, [0.5, 0.09, 0.01]).state.level, 1)
  t.match(begin(rules, [0.5, 0.4, 0.3]), { state: { level: full, start: full }, reason: 'hard' })
  t.equal(begin({ ...rules, risk: 1 }, [1, 1, 1]).state.level, 0)
})

t.test('up at once, and the doubtful token again; down only after calm tokens', async (t) => {
  const start = begin(rules, [0.05, 0.04, 0.03]).state
  const doubted = route(rules, start, seen(0.6, 0))
  t.match(doubted, { redo: true, reason: 'doubt', state: { level: full, start: 0, calm: 0 } })
  const again = route(rules, doubted.state, seen(0.6, full))
  t.match(again, { redo: false, state: { level: full } }, 'the full network’s word is taken, doubtful or not')
  let state: RouteState = again.state
  const way: number[] = []
  for (let i = 0; i < 12; i++) {
    state = route(rules, state, seen(0.001, state.level)).state
    way.push(state.level)
  }
  t.ok(way[0] === full && way.at(-1) === 0, way.join())
  t.ok(way.indexOf(0) >= rules.hold - 1)
  const capped = route(rules, start, seen(0.6, 0, 0))
  t.match(capped, { redo: false, reason: 'doubt' }, 'nothing is run again that could not run higher')
  t.match(route(rules, { ...start, unease: 0.12 }, seen(0.15, 0)), {
    redo: false,
    reason: 'uneasy',
    state: { level: 1 },
  })
})

t.test('never below the start, never above the full network, and the full network is never doubted', async () => {
  const steps = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 60 })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: full }), fc.integer({ min: 1, max: 5 }), steps, (level, hold, doubts) => {
      let state: RouteState = { level, start: level, unease: 0, calm: 0 }
      return doubts.every((doubt) => {
        const at = state.level
        const next = route({ ...rules, hold }, state, seen(doubt, at))
        state = next.state
        return (
          state.level >= level &&
          state.level <= full &&
          !(next.redo && at === full) &&
          (!next.redo || state.level === full)
        )
      })
    }),
    { seed },
  )
})

t.test('a log of signals leads to the same levels again, and every decision has its reason', async (t) => {
  const routing = {
    requests: [
      logistic(-1, { first_margin: -3 }),
      logistic(-2, { first_margin: -3 }),
      logistic(-3, { first_margin: -3 }),
    ],
    token: logistic(0.5, { margin: -0.7, entropy: 3, rolling: 2, copied: -1, contradicted: 1, skipped: 2 }),
    hold: 2,
  }
  const row = fc
    .tuple(fc.integer({ min: 0, max: 49 }), fc.integer({ min: 0, max: 200 }))
    .map(([tokenId, lead]) => Array.from({ length: 50 }, (_, i) => (i === tokenId ? lead / 10 : 0)))
  // The same row again and again is what makes small doubts add up.
  const rows = fc.oneof(
    fc.array(row, { minLength: 2, maxLength: 25 }),
    fc
      .tuple(row, fc.integer({ min: 2, max: 25 }))
      .map(([values, count]) => Array.from({ length: count }, () => values)),
  )
  const reasons = new Set<string>()
  fc.assert(
    fc.property(
      rows,
      fc.integer({ min: 1, max: 18 }).map((part) => part / 20),
      fc.integer({ min: 0, max: full }),
      (lines, limit, cap) => {
        const limits = { risk: limit / 10, doubt: limit }
        const router = createRouter({ routing, limits, shares, features, promptIds: [1, 2, 3, 4, 2, 3] })
        const [first, ...others] = lines.map((values) => Float32Array.from(values))
        router.begin(first)
        router.add(argmax(first))
        const used: number[] = [router.level()]
        for (const [i, logits] of others.entries()) {
          const highest = i % 3 === 2 ? cap : full
          for (let tries = 0; ; tries++) {
            const level = Math.min(router.level(), highest)
            const taken = router.accepts(logits, level, highest)
            used.push(router.level())
            if (taken) break
            if (tries > 0) return false
          }
          router.add(argmax(logits))
        }
        for (const entry of router.log) {
          reasons.add(entry.reason)
          if (!/\d/.test(explainRoute(entry)) && entry.reason !== 'hard') return false
        }
        const again = replay(router.log, { ...limits, hold: 2, full }, routing.token, routing.requests)
        return again.length === used.length && again.every((level, i) => level === used[i])
      },
    ),
    { seed, numRuns: 300 },
  )
  t.same([...reasons].sort(), ['calm', 'doubt', 'easy', 'hard', 'steady', 'uneasy', 'waiting'])
})
