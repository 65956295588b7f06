/**
 * Prints what choosing a level costs per token: reading a row of logits, looking the text up, the estimate and the rule, all
 * together as the engine does it. With MODEL and FILE (as for `deapd certify`) also what the surprisal of the prompt's end (signal C2) would add to
 * the estimate of a request, and what it costs to have it. Run after `npm run build`:
 *   node scripts/route-figures.mjs [MODEL FILE]
 */
import { probability, requestSignals } from '../dist/engine/complexity/estimate.js'
import { featuresOf } from '../dist/engine/complexity/question.js'
import { createRouter } from '../dist/engine/complexity/router.js'
import { surprisal, uncertaintyOf } from '../dist/engine/complexity/uncertainty.js'
import { openModel } from '../dist/engine/model.js'
import { loadOrt } from '../dist/engine/ort/api.js'
import { openTemplate } from '../dist/engine/template.js'
import { openTokenizer } from '../dist/engine/tokenizer.js'
import { fixedLane, openAnswerer } from '../dist/evaluate/answers.js'
import { readCalibration } from '../dist/evaluate/certificate/data.js'
import { isLoss } from '../dist/evaluate/certificate/fit.js'
import { auroc, fitLogistic } from '../dist/evaluate/certificate/logistic.js'
import { seededRandom } from '../dist/evaluate/support/random.js'
import { openPackage } from '../dist/models/package.js'

const random = seededRandom(20261124)
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

/** Rows as models have them: most logits near −4, a few near the first. */
function rows(vocabulary, count) {
  const normal = () => Array.from({ length: 12 }, () => random.int(-500, 500) / 1000).reduce((a, b) => a + b, 0)
  return Array.from({ length: count }, () => {
    const row = Float32Array.from({ length: vocabulary }, () => 2.5 * normal() - 4)
    row[random.int(0, vocabulary - 1)] = 14
    return row
  })
}

const logistic = (weights) => ({ bias: -1, weights })
const names = [
  'question_length',
  'prompt_length',
  'digits',
  'rarity',
  'questions',
  'joins',
  'names',
  'numbers',
  'turn',
  'cues',
]
const request = logistic(Object.fromEntries([...names, 'first_margin', 'first_entropy'].map((name) => [name, 0.1])))
const token = logistic({ margin: -0.7, entropy: 3, rolling: 2, copied: -1, contradicted: 1, skipped: 2 })
const routing = { requests: [request, request, request, request, request], token, hold: 2 }
const shares = [0.35, 0.41, 0.48, 0.6, 0.76, 1]
const text = 'Which of 4821 and 2958 is later, and why was it not shipped?'

for (const vocabulary of [896, 32_000, 128_256]) {
  const promptIds = Array.from({ length: 400 }, () => random.int(0, vocabulary - 1))
  const tokenizer = { encode: () => promptIds.slice(-20), decode: () => text }
  const logits = rows(vocabulary, 32)
  const times = Array.from({ length: 60 }, () => {
    const features = featuresOf({ messages: [{ role: 'user', content: text }] }, promptIds, tokenizer, vocabulary)
    const router = createRouter({ routing, limits: { risk: 1, doubt: 0.9 }, shares, features, promptIds })
    router.begin(logits[0])
    const from = performance.now()
    for (const row of logits) {
      router.accepts(row, 0)
      router.add(1 + random.int(0, 9))
    }
    return ((performance.now() - from) * 1000) / logits.length
  })
  console.log(
    `${vocabulary} tokens of vocabulary: ${median(times).toFixed(1)} µs a token (median of ${times.length} answers of ${logits.length} tokens)`,
  )
}

const [dir, file] = process.argv.slice(2)
if (dir && file) {
  const last = 16
  const { manifest } = openPackage(dir)
  const data = readCalibration(file)
  const prompts = data.prompts.slice(0, 1600)
  const tokenizer = openTokenizer(dir)
  const encode = openTemplate(dir, manifest, tokenizer)
  const ids = prompts.map(({ messages }) => encode(messages))
  const model = openModel(loadOrt(), dir, manifest, 1, { slots: 1 })
  const sequence = model.newSequence()
  const full = model.levels - 1
  const [plain, wider] = [[], []]
  const observed = prompts.map(({ messages }, i) => {
    const prompt = ids[i]
    const timed = (rows, into) => {
      sequence.truncate(0)
      const from = performance.now()
      const logits = sequence.run(prompt, full, prompt.length - rows)
      into.push(performance.now() - from)
      return logits
    }
    const first = uncertaintyOf(timed(1, plain))
    const logits = timed(last + 1, wider)
    const { mean, rise } = surprisal(logits.subarray(0, last * manifest.shape.vocab_size), prompt.slice(-last))
    const features = featuresOf({ messages }, prompt, tokenizer, manifest.shape.vocab_size)
    return { ...requestSignals(features, first), surprisal: mean, surprisal_rise: rise }
  })
  model.close()
  const answerer = openAnswerer(loadOrt(), dir)
  const { answers } = answerer.answer(ids, [fixedLane(0), fixedLane(full)])
  answerer.close()
  const happened = prompts.map(({ answer }, i) => isLoss('answers', answer, answers[1][i], answers[0][i]))
  const half = prompts.length >> 1
  const without = ({ surprisal: _, surprisal_rise: __, ...signals }) => signals
  const area = (signals) => {
    const fitted = fitLogistic(
      observed.slice(0, half).map((one, i) => ({ signals: signals(one), happened: happened[i] })),
    )
    return auroc(
      observed.slice(half).map((one) => probability(fitted, signals(one))),
      happened.slice(half),
    )
  }
  console.log(
    `level 0 alone wrong, ${half} other prompts: AUROC ${area(without).toFixed(3)} without and ${area((one) => one).toFixed(3)} with the surprisal of the last ${last} tokens`,
  )
  console.log(
    `a prompt with the rows of its last ${last + 1} tokens takes ${((median(wider) / median(plain) - 1) * 100).toFixed(1)} % longer than with its last alone`,
  )
}
