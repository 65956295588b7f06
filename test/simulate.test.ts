import t from 'tap'
import type { Row } from '../src/simulate/options.ts'
import { claims, quickSize } from '../src/simulate/report.ts'
import { simulate } from '../src/simulate/run.ts'
import { scenarios } from '../src/simulate/scenarios.ts'
import { type Setup, simulationOf, usualSetup } from '../src/simulate/setup.ts'
import { meanWithInterval, shareWithInterval } from '../src/simulate/statistics.ts'
import { csvHead, csvRow } from '../src/simulate/trace.ts'

const run = (over: Partial<Setup>) => simulate(simulationOf({ ...usualSetup, ...over }))

function trace(over: Partial<Setup>) {
  const rows: Row[] = []
  const figures = simulate({ ...simulationOf({ ...usualSetup, ...over }), onRow: (row) => rows.push(row) })
  return { rows, figures, text: csvHead + rows.map(csvRow).join('') }
}

t.test('same seed, same bytes; another seed, another load', async (t) => {
  const setup = { scenario: 'burst', seconds: 30, plantError: 0.3, seed: 11 }
  const first = trace(setup)
  t.equal(trace(setup).text, first.text)
  t.not(trace({ ...setup, seed: 12 }).text, first.text)
  t.equal(
    csvHead,
    't_s,total_w,reading_w,budget_w,level,gpu_hz,cpu_hz,tj_c,tokens_total,requests_active,reason\n',
    'DESIGN §5.2',
  )
  t.equal(first.rows.length, 300, 'a row per 100 ms')
  const joules = first.rows.reduce((sum, row) => sum + row.totalWatts * 0.1, 0)
  t.ok(Math.abs(joules - first.figures.joules) < 1e-6, 'rows are true means of the plant')
})

t.test('every scenario runs under every governor and loses no token', async (t) => {
  for (const scenario of Object.keys(scenarios)) {
    for (const governor of ['deapd', 'none', 'oracle', 'pid', 'fixed:816000000']) {
      const figures = run({ scenario, governor, seconds: 20, seed: 21 })
      t.ok(figures.joules > 0 && Number.isFinite(figures.joules), `${scenario} ${governor}`)
      t.ok(figures.tokens >= figures.tokensAskedOfFinished, 'every finished answer has all its tokens')
      t.equal(figures.tokens === 0, scenario === 'idle' || figures.requests === 0)
    }
  }
  t.throws(() => run({ scenario: 'nonsense' }), /no scenario "nonsense"/)
  t.throws(() => run({ governor: 'fixed:1' }), /must be one of 306000000/)
  t.throws(() => run({ governor: 'best' }), /no governor "best"/)
  t.throws(() => run({ sensor: 'tegrastats' }), /tegrastats:MS/)
})

t.test('an empty board draws what its model says, whoever governs', async (t) => {
  const { rows, figures } = trace({ scenario: 'idle', seconds: 10 })
  const { board } = simulationOf(usualSetup)
  t.ok(Math.abs(figures.meanWatts - board.model.idleWatts) < 0.5)
  t.equal(rows.at(-1)?.orders.reason, 'idle')
})

t.test('the law holds what an ungoverned board does not, with any sensor', async (t) => {
  const hard = { scenario: 'adversarial', seconds: 120, plantError: 0.3, seed: 31, latencyTarget: 0, budget: 40 }
  t.ok(run({ ...hard, governor: 'none' }).windowsOverShare > 0.05)
  for (const sensor of ['hwmon', 'tegrastats:100', 'tegrastats:1000']) {
    const figures = run({ ...hard, sensor })
    t.ok(figures.windowsOverShare <= 0.001, `${sensor}: ${figures.windowsOver} of ${figures.windows} windows`)
    t.equal(figures.excursions, 0, `${sensor}: ${figures.longestExcursionMs.toFixed(0)} ms`)
  }
})

t.test('the report: every row is measured, faults hold', async (t) => {
  for (const claim of claims.filter(({ what }) => what.startsWith('fault-') || what.startsWith('budget'))) {
    // A guard against steps back, so it runs on seeds the law was made with; evidence is what `simulate --report` prints.
    const { figure, holds } = claim.measure({ ...quickSize, firstSeed: 1001 })
    t.ok(holds, `${claim.what}: ${figure}`)
  }
})

t.test('intervals', async (t) => {
  t.match(meanWithInterval([1, 1, 1]), { mean: 1, low: 1, high: 1 })
  const { low, high } = shareWithInterval(0, 100)
  t.ok(low === 0 && high > 0.03 && high < 0.04, 'none of a hundred is not never')
})
