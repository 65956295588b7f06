/**
 * Measures what README quotes and writes it between its markers: answers of the bundled model per stratum and level, its
 * speed on this machine, and what the simulated board makes of it. Run as `npm run figures` (a few minutes).
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { boards } from '../dist/board/boards/index.js'
import { stepWork, workSeconds, workWatts } from '../dist/board/work.js'
import { bundledModelDir } from '../dist/models/bundled.js'
import { asIfCost } from '../dist/twin/as-if.js'

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))
const model = bundledModelDir
const name = basename(model)
const deapd = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, [main, ...args, '--json'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  )
const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

const out = mkdtempSync(join(tmpdir(), 'deapd-figures-'))
const report = deapd('evaluate', model, '--out', out, '--prompts', '1200', '--draws', '20')
/** strata.csv holds no quoted field: names of arms and groups are plain. */
const [head, ...lines] = readFileSync(join(out, 'strata.csv'), 'utf8').trim().split('\n')
const groups = lines.map((line) => Object.fromEntries(line.split(',').map((cell, i) => [head.split(',')[i], cell])))
const bench = deapd('bench', '--model', model, '--tokens', '200')
rmSync(out, { recursive: true })

const right = (arm, group) => {
  const found = groups.find((row) => row.arm === arm && row.group === group)
  const [value, low, high] = ['accuracy_percent', 'low_percent', 'high_percent'].map((key) =>
    Number(found[key]).toFixed(1),
  )
  return `${value} (${low}–${high})`
}
const answers = table(
  ['level', 'weights read', 'easy', 'medium', 'hard', 'wordings held out of training'],
  report.arms
    .filter(({ kind }) => kind === 'level' || kind === 'reference')
    .sort((a, b) => a.share - b.share)
    .map(({ arm, share }, level) => [
      level,
      `${(share * 100).toFixed(0)} %`,
      ...['easy', 'medium', 'hard', 'wording:held-out'].map((group) => right(arm, group)),
    ]),
)
const speed = table(
  ['level', 'weights read', 'ms/token', 'tokens/s'],
  bench.decode.map((d) => [
    d.level,
    `${(d.share * 100).toFixed(0)} %`,
    d.ms_per_token.toFixed(3),
    (1000 / d.ms_per_token).toFixed(0),
  ]),
)
const power = table(
  ['board', 'GPU clock, MHz', 'ms/token', 'W', 'J/token'],
  boards.flatMap((board) => {
    const cost = asIfCost('llama-2-7b', [1])
    const work = stepWork(cost, { phase: 'decode', level: 0, tokens: 1, contextTokens: 256 })
    const points = board.gpu.pointsHz
    const energy = (hz) =>
      workSeconds(board.model, hz, work) * (board.model.idleWatts + workWatts(board.model, hz, work))
    const thriftiest = points.reduce((a, b) => (energy(b) < energy(a) ? b : a))
    return [...new Set([thriftiest, points[points.length - 1]])].map((hz) => [
      board.id,
      (hz / 1e6).toFixed(0),
      (workSeconds(board.model, hz, work) * 1000).toFixed(1),
      (board.model.idleWatts + workWatts(board.model, hz, work)).toFixed(1),
      energy(hz).toFixed(2),
    ])
  }),
)

const text = `### Answers of the bundled model

Exact match in % with 95 % interval, ${report.manifest.prompts} prompts about orders, names, cities and items that are not in the training data (\`deapd evaluate models/${name} --prompts 1200 --out DIR\`):

${answers}

### Speed of the bundled model on the machine that printed this

${cpus()[0]?.model ?? 'unknown processor'}, 2 threads, medians (\`deapd bench --tokens 200\`): prefill ${bench.prefill.tokens_per_second.toFixed(0)} tokens/s, load ${bench.load_s.toFixed(2)} s, engine process at most ${bench.rss_mb.toFixed(0)} MB resident. The model is so small that most of the time is overhead.

${speed}

### LLaMA-2-7B int4 decoding on the simulated boards (*simulated*, priors ±40 %)

Full level, 256 tokens of context: the thriftiest clock and the highest one (\`npm run figures\`):

${power}
`
const path = new URL('../README.md', import.meta.url)
const readme = readFileSync(path, 'utf8')
const [begin, end] = ['<!-- figures -->', '<!-- /figures -->']
writeFileSync(
  path,
  `${readme.slice(0, readme.indexOf(begin) + begin.length)}\n${text}${readme.slice(readme.indexOf(end))}`,
)
process.stdout.write(text)
