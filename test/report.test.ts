import t from 'tap'
import Schema from 'typebox/schema'
import { grams } from '../src/energy/carbon.ts'
import { efficiencyRatio, energyConversion, joulesPerCorrect } from '../src/evaluate/metrics.ts'
import { bands, classOf, Label } from '../src/evaluate/report/label.ts'
import { renderReport } from '../src/evaluate/report/render.ts'
import { linear, logarithmic } from '../src/evaluate/report/scales.ts'
import { summarise } from '../src/evaluate/summary/summarise.ts'
import { number, percent, pValue, signed } from '../src/evaluate/summary/words.ts'
import { inventedManifest, inventedRun } from './support/invented-run.ts'

const near = (got: number | undefined, wanted: number, relative = 1e-9): boolean =>
  got !== undefined && Math.abs(got - wanted) <= relative * Math.abs(wanted)

t.test('joules are not watt-hours: the paper’s carbon is 3,600 times too high', async (t) => {
  // Its table has 4.2 J and 1.85 g for ResNet-50: 4.2 times 440 g per kWh, as if 4.2 were kilowatt-hours / 1000.
  t.ok(near(grams(4.2, 440), 5.1333e-4, 1e-4), String(grams(4.2, 440)))
  t.ok(near(grams(12.5, 440), 1.5278e-3, 1e-4))
  t.ok(near(grams(3.6e6, 440), 440))
})

t.test('the measures of the paper, and what it leaves undefined', async (t) => {
  t.equal(joulesPerCorrect(300, 100), 3)
  t.equal(joulesPerCorrect(300, 0), null)
  // Table 1: 76.8 % at 4.2 J is printed as 18.2.
  t.ok(near(efficiencyRatio(76.8, 4.2), 18.2857, 1e-5))
  const dense = {
    idealJoules: 8,
    joules: 10,
    denseBytesPerToken: 4e9,
    bytesPerToken: 4e9,
    accuracy: 0.9,
    denseAccuracy: 0.9,
  }
  t.same(energyConversion({ ...dense, withinMargin: true }), {
    hardware: 0.8,
    algorithm: 1,
    quality: 1,
    efficiency: 0.8,
  })
  const level = energyConversion({ ...dense, joules: 6, bytesPerToken: 2e9, accuracy: 0.891, withinMargin: true })
  t.ok(near(level.algorithm, 2) && near(level.quality, 0.99) && near(level.efficiency, (8 / 6) * 2 * 0.99))
  t.equal(energyConversion({ ...dense, accuracy: 0.5, withinMargin: false }).efficiency, 0)
})

t.test('numbers in words', async (t) => {
  t.same(
    [0, 0.1234, 1.234, 12.34, 123.4, 12_345, -0.5, 5.133e-4].map((x) => number(x)),
    ['0.000', '0.123', '1.23', '12.3', '123', '12,345', '−0.500', '5.1 × 10⁻⁴'],
  )
  t.same(
    [number(Number.NaN), percent(0.421), signed(0.5), signed(-0.001), pValue(1e-9)],
    ['unknown', '42.1 %', '+0.50', '0.00', '< 0.0001'],
  )
})

const data = inventedRun({ prompts: 900, seed: 3 })
const report = summarise(data, inventedManifest)

t.test('a summary is whole, and the same for the same seed', async (t) => {
  t.equal(report.arms.length, data.arms.length)
  t.equal(report.comparisons.length, data.arms.length - 1 + data.contests.length)
  t.equal(report.states.length, data.arms.length * 4)
  t.equal(report.byStratum.length, data.arms.length * 3)
  t.same(summarise(data, inventedManifest), report)
  t.ok(JSON.stringify(report).length > 0)
  const text = JSON.stringify(report, (_, value) => (Number.isNaN(value) ? 'NaN' : value))
  t.notMatch(text, /"NaN"/, 'nothing is unknown in a whole run')
})

t.test('summaries agree with what the data were made from', async (t) => {
  const arm = (name: string) => report.arms.find(({ arm }) => arm === name)
  const main = report.comparisons.find(({ arm }) => arm === 'routed')
  const sum = (name: string, column: 'decodeJoules' | 'requestJoules'): number =>
    data.arms.find(({ arm }) => arm === name)?.trials['50 W'][column].reduce((a, b) => a + b, 0) ?? Number.NaN
  t.ok(near(main?.decodeSaving.value, 1 - sum('routed', 'decodeJoules') / sum('int4-dense', 'decodeJoules')))
  t.ok((main?.decodeSaving.low ?? 1) < (main?.decodeSaving.value ?? 0))
  t.ok(near(arm('level-2')?.bytesPerToken, 3.7e9 * 0.65))
  t.ok(near(arm('routed')?.gramsPerThousand, ((sum('routed', 'requestJoules') / 900) * 1000 * 481) / 3.6e6))
  t.ok(near(arm('level-5')?.conversion?.efficiency, 0.8), 'dense, a quarter above the ideal')
  // A full level is the dense network: the same energy, no test, no saving.
  const same = report.comparisons.find(({ arm }) => arm === 'level-5')
  t.equal(same?.decodeSaving.value, 0)
  t.same(
    report.levels.byStratum.map(({ stratum }) => stratum),
    ['easy', 'medium', 'hard'],
  )
  t.ok(report.levels.steps.every(({ test }) => test.difference.value > 0))
  t.equal(report.levels.overTime[0].level, 5, 'the first token is the full network’s')
  t.ok(report.scaling !== null && report.scaling.time.r2 > 0.999)
  t.ok(near(report.scaling?.time.slope.value, 1 / 150e9, 1e-6))
  t.ok(near(report.scaling?.time.intercept.value, 0.002, 1e-6))
  const rivals = report.frontiers.contests.map(({ against }) => against)
  t.same(rivals, ['magnitude', 'flap', 'random'])
  t.ok(report.frontiers.contests.every(({ ratio }) => ratio.value > 1))
  t.ok(report.throttling[0].ratio > report.throttling[1].ratio)
})

t.test('the verdict needs both halves', async (t) => {
  t.equal(report.verdict.energy.holds, true)
  const many = inventedRun({ prompts: 2400, seed: 4, routedLoss: 0.0 })
  t.ok(summarise(many, inventedManifest).verdict.holds)
  const worse = summarise(inventedRun({ prompts: 900, seed: 5, routedLoss: 0.06 }), inventedManifest)
  t.match(worse.verdict, { holds: false, energy: { holds: true }, accuracy: { holds: false } })
  t.match(worse.verdict.because, /accuracy is not shown/)
  t.equal(worse.label.class, null, 'no class outside the margin')
  const mute = {
    ...data,
    arms: data.arms.map((arm) => ({ ...arm, answers: arm.answers.map((answer) => ({ ...answer, correct: false })) })),
  }
  const nothing = summarise(mute, inventedManifest)
  t.match(nothing.verdict, { holds: false, accuracy: { holds: false, figure: /nothing to lose/ } })
  t.match(nothing.label, { class: null, index: null, within_margin: false })
  t.notOk(
    nothing.comparisons.some(({ equivalence, margins }) => equivalence.equivalent || margins.some((m) => m.passes)),
  )
  t.notMatch(renderReport(nothing)['report.html'].replace(/<style>.*?<\/style>/s, ''), /NaN|undefined/)
})

t.test('arms that did not answer the same prompts are refused', async (t) => {
  const [first, ...rest] = data.arms
  const shuffled = { ...first, answers: [...first.answers].reverse() }
  t.throws(() => summarise({ ...data, arms: [...rest, shuffled] }, inventedManifest), /did not answer the prompts/)
})

const files = renderReport(report)
const figures = Object.keys(files).filter((name) => name.endsWith('.svg'))

t.test('every figure is a whole file, and says what its numbers are', async (t) => {
  const wanted = ['batch', 'frontier', 'label', 'levels', 'non-inferiority', 'power-states', 'savings', 'strata']
  t.same(figures.map((name) => name.replace('.svg', '')).sort(), [...wanted, 'throttling', 'throughput'])
  for (const name of figures) {
    t.ok(isWellFormed(files[name]), `${name} is well formed`)
    t.notMatch(files[name], /NaN|Infinity|undefined|null/, name)
    t.match(files[name], /aria-label="[^"]{20,}"/, name)
    t.match(files[name], /simulated/i, name)
    if (name !== 'label.svg') t.match(files[name], /simulated joules · toy accuracy/, name)
  }
})

t.test('the page stands by itself, says the verdict first and holds every figure', async (t) => {
  const html = files['report.html']
  t.ok(isWellFormed(html.replace(/<!doctype html>|<meta[^>]*>/g, '')))
  t.notMatch(html, /<script|<link|@import|url\(|src=|href="http/)
  t.notMatch(html.replace(/<style>.*?<\/style>/s, ''), /NaN|undefined/)
  const at = (words: string): number => html.indexOf(words)
  t.ok(at('The claim holds') + at('The claim is missed') > -2)
  t.ok(at('class="card verdict') < at('<table'))
  for (const name of figures) if (name !== 'label.svg') t.ok(at(`id="${name.replace('.svg', '')}"`) > 0, name)
  t.match(html, 'details.priors.idleWatts', 'the manifest, as far down as it goes')
  for (const { id } of report.verdict.others) t.ok(at(`>${id}<`) > 0, id)
})

t.test('markup in names is shown, not run; other provenance is shown as it is', async (t) => {
  const evil = {
    ...report,
    manifest: { ...inventedManifest, model: '<img src=x onerror=alert(1)>', joules: 'measured' as const },
  }
  const shown = renderReport(evil)
  t.notMatch(shown['report.html'], '<img')
  t.match(shown['frontier.svg'], 'measured joules · toy accuracy')
})

t.test('a run without the smaller measurements still makes a report', async (t) => {
  const bare = {
    ...data,
    batches: [],
    throttling: [],
    priorDraws: [],
    contests: [],
    arms: data.arms.filter(({ kind }) => kind !== 'level'),
  }
  const shown = renderReport(summarise(bare, inventedManifest))
  t.notOk('batch.svg' in shown || 'throttling.svg' in shown || 'throughput.svg' in shown)
  t.match(shown['report.html'], 'not tested')
  t.notMatch(shown['report.html'].replace(/<style>.*?<\/style>/s, ''), /NaN|undefined/)
})

t.test('the label: valid, in a class by joules per right answer, none outside the margin', async (t) => {
  t.ok(Schema.Check(Label, JSON.parse(files['label.json'])))
  const { index } = report.label
  const rows = ['routed', 'int4-dense'].map(
    (name) => report.arms.find(({ arm }) => arm === name)?.joulesPerCorrect?.value,
  )
  t.ok(near(index ?? 0, (100 * (rows[0] ?? 0)) / (rows[1] ?? 1)))
  t.same(
    [39, 40, 41, 58, 90, 100].map((i) => classOf(i, true)),
    ['A', 'A', 'B', 'C', 'F', 'G'],
  )
  t.same([classOf(10, false), classOf(10, null), classOf(null, true)], [null, null, null])
  t.equal(bands.length, 7)
})

t.test('scales: round ends, ticks inside, monotone', async (t) => {
  const scale = linear([0.3, 9.4], [0, 100])
  t.same([scale.domain[0], scale.domain[1]], [0, 10])
  t.same([scale(0), scale(10), scale(5)], [0, 100, 50])
  t.same(logarithmic([1, 8], [0, 30]).ticks, [1, 1.5, 2, 3, 4, 5, 6, 7, 8])
  t.ok(near(logarithmic([1, 8], [0, 30])(2), 10))
})

/** Whether every element that is opened is closed, in order, with quoted attributes. */
function isWellFormed(markup: string): boolean {
  const open: string[] = []
  const tag = /<(\/?)([a-zA-Z0-9]+)((?:\s+[a-zA-Z0-9:-]+="[^"<]*")*)\s*(\/?)>/g
  const rest = markup.replace(tag, (_, closing: string, name: string, __, empty: string) => {
    if (closing) {
      if (open.pop() !== name) open.push('broken')
    } else if (!empty) open.push(name)
    return ''
  })
  return open.length === 0 && !/<(?!style)/.test(rest)
}
