/**
 * Reprints what issue-level claims about DEAP rest on, from files that the commands themselves wrote: `npm run figures:deap -- FILE...`.
 * Files: report.json of `deapd evaluate`, and what `deapd prune --json` and `deapd certify --json` printed. It measures nothing.
 */
import { readFileSync } from 'node:fs'

const files = process.argv.slice(2)
if (files.length === 0) throw new Error('usage: npm run figures:deap -- report.json [prune.json] [certify.json] ...')
const documents = files.map((path) => ({ path, document: JSON.parse(readFileSync(path, 'utf8')) }))
const reports = documents.filter(({ document }) => document.schema === 'deapd-evaluation/2')

const number = (value, digits = 1) => (value === null || value === undefined ? '–' : value.toFixed(digits))
const interval = ({ value, low, high }, scale = 1, digits = 1) =>
  `${number(scale * value, digits)} (${number(scale * low, digits)} to ${number(scale * high, digits)})`
const rows = []
const add = (what, bar, figure, holds, path) =>
  rows.push([what, bar, figure, holds === null || holds === undefined ? '–' : holds ? 'holds' : 'missed', path])

for (const { path, document: report } of reports) {
  const { manifest, comparisons, primary, reference, power_states: states, main_power_state: main } = report
  const head = `${manifest.model}, ${manifest.prompts} prompts`
  const against = (arm, other = reference) => comparisons.find((row) => row.arm === arm && row.against === other)
  const points = (row) => `${interval(row.accuracy_points, 1, 2)} points`
  const routed = against(primary)
  add(
    `${head}: routed balanced against int4 dense, decode energy, ${main}, simulated`,
    '−42 %, 1.5-point margin passed at 95 %',
    `saves ${interval(routed.decode_saving, 100)} %; ${points(routed)}`,
    report.verdict.holds,
    path,
  )
  add(`${head}: the same, whole request`, 'beside it', `saves ${interval(routed.request_saving, 100)} %`, null, path)
  for (const state of states) {
    const row = report.states.find(({ arm, power_state }) => arm === primary && power_state === state)
    const prior = report.priors.find(({ arm, power_state }) => arm === primary && power_state === state)
    const figure = `geometric mean: saves ${interval(row.decode_saving, 100)} %; priors ±40 %: ${interval(prior.decode_saving, 100)} %`
    add(`${head}: the same in ${state}`, 'beside it', figure, null, path)
  }
  for (const arm of ['lossless', 'joint']) {
    const row = against(arm)
    if (!row) continue
    const prior = report.priors.find((one) => one.arm === arm && one.power_state === main)
    const figure = `saves ${interval(row.decode_saving, 100)} % decode, ${interval(row.request_saving, 100)} % request; priors ±40 %: ${interval(prior.decode_saving, 100)} %`
    add(
      `${head}: ${arm === 'joint' ? 'levels, clocks and drafts' : 'clocks and drafts only'}`,
      'beside it',
      `${figure}; ${points(row)}`,
      null,
      path,
    )
  }
  const lighter = report.arms
    .filter(({ share, kind }) => share !== null && share <= 0.655 && kind !== 'reference')
    .sort((a, b) => b.share - a.share)
  for (const family of new Set(lighter.map((arm) => arm.family))) {
    const arm = lighter.find((one) => one.family === family)
    // Another package is held against its own full level, which is in the run.
    const full = report.arms.find((one) => one.family === family && one.share === 1)
    const row = against(arm.arm)
    const own = full ? arm.accuracy_percent.value - full.accuracy_percent.value : row.accuracy_points.value
    const figure = `${number(own, 2)} points against its own full level at ${number(100 * arm.share)} % of the bytes${full ? '' : `, interval ${points(row)}`}`
    add(`${head}: ${family}, 35 % fewer weight bytes`, '≤ 1.0 point lost', figure, own >= -1, path)
  }
  for (const { family, against: other, ratio, difference } of report.frontiers.contests) {
    add(
      `${head}: hypervolume of ${family} over ${other}`,
      '≥ 1.10, interval of the difference above 0',
      `${interval(ratio, 1, 3)}; difference ${interval(difference, 1, 4)}`,
      ratio.value >= 1.1 && difference.low > 0,
      path,
    )
  }
  const random = against(primary, 'random-routing')
  if (random) {
    const { value, low } = random.accuracy_points
    const spent = `${interval(random.decode_saving, 100, 2)} % fewer joules`
    add(
      `${head}: routing by complexity against random routing`,
      '≥ 1 point, interval above 0',
      `${points(random)}; ${spent}`,
      value >= 1 && low > 0,
      path,
    )
  }
  const use = report.levels.by_stratum
  const rising = use.every(({ level }, i) => i === 0 || level.value > use[i - 1].level.value)
  add(
    `${head}: mean level by stratum`,
    'easy < medium < hard',
    use.map(({ stratum, level }) => `${stratum} ${number(level.value, 2)}`).join(', '),
    rising,
    path,
  )
  for (const claim of report.verdict.others)
    add(`${head}: ${claim.id}, ${claim.what}`, claim.bar, claim.figure, claim.holds, path)
}

for (const { path, document } of documents.filter(({ document }) => document.schema !== 'deapd-evaluation/2')) {
  for (const { method, seconds, memory } of document.methods ?? []) {
    const { floorBytes, peakBytes, modelBytes } = memory
    const above = (peakBytes - floorBytes) / modelBytes
    const megabytes = [peakBytes, floorBytes, modelBytes].map((bytes) => number(bytes / 1e6))
    add(
      `prune, ${method}`,
      '≤ 3 min, resident ≤ 2× the model',
      `${number(seconds)} s; ${number(above, 2)}× the model above the floor of the process (peak ${megabytes[0]}, floor ${megabytes[1]}, model ${megabytes[2]} MB)`,
      seconds <= 180 && above <= 2,
      path,
    )
  }
  for (const { says, unit, rows: compared } of document.comparisons ?? []) {
    for (const { method, lead } of compared.slice(1)) {
      const holds = lead.value >= 0.1 && lead.low > 0
      add(
        `prune: hypervolume of ${compared[0].method} over ${method}, ${says}, ${unit}`,
        '≥ 10 %, interval above 0',
        `${interval(lead, 100)} %`,
        holds,
        path,
      )
    }
  }
  const { certificate, figures, validity } = document
  if (certificate) {
    const { margin_points: margin, confidence, losses, n, chosen, grid } = certificate
    const cost = `${number(100 * grid[chosen].cost)} % of the weight bytes read`
    add(
      'certificate of balanced',
      `≤ ${margin} points at ${confidence}`,
      `${losses} of ${n} lost, ${cost}`,
      chosen > 0,
      path,
    )
  }
  if (validity) {
    const { above, recalibrations, pool, n } = validity
    const figure = `${above} of ${recalibrations}, ${n} prompts each out of ${pool}`
    add('certificate: recalibrations with more risk than the margin', '≤ 17 of 200', figure, above <= 17, path)
  }
  if (figures?.over_random_points) {
    const ahead = figures.over_random_points
    const holds = ahead.value >= 1 && ahead.low > 0
    add(
      'certify: routed over random routing at equal weight bytes',
      '≥ 1 point, interval above 0',
      `${interval(ahead, 1, 2)} points`,
      holds,
      path,
    )
  }
  if (figures?.strata) {
    const levels = Object.entries(figures.strata).map(([name, { mean_level: level }]) => `${name} ${number(level, 2)}`)
    add('certify: mean level by stratum', 'easy < medium < hard', levels.join(', '), null, path)
  }
}

const cells = [['what', 'bar', 'figure', 'verdict', 'from'], ['---', '---', '---', '---', '---'], ...rows]
process.stdout.write(
  cells.map((row) => `| ${row.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |\n`).join(''),
)
