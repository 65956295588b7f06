/**
 * Prints what choosing a level costs per token: reading a row of logits, looking the text up, the estimate and the rule, all
 * together as the engine does it. With MODEL and FILE (as for `deapd certify`) also what the surprisal of the prompt's end (signal C2) would add to
 * the estimate of a request, and what it costs to have it; with the model's CHECKPOINT also what residual novelty (C7) would add.
 * Run after `npm run build`:
 *   node scripts/route-figures.mjs [MODEL FILE [CHECKPOINT]]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fullSubnet, groupsOf, maskOf } from '../dist/compress/groups.js'
import { openNetwork } from '../dist/compress/network.js'
import { noMeans } from '../dist/compress/passes.js'
import { seededDraws } from '../dist/compress/random.js'
import { openWeights } from '../dist/compress/weights.js'
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
import { formOf } from '../dist/models/import.js'
import { openPackage } from '../dist/models/package.js'
import { openCheckpoint } from '../dist/models/source/open.js'

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

/**
 * 1 − cos of what each layer takes and gives, at the prompt's last token and over its last ones: from the checkpoint in the
 * package's form, through the graphs that pruning is measured with.
 */
function novelties(path, { quantisation }, prompts, last) {
  const checkpoint = openCheckpoint(path)
  const { shape } = checkpoint
  const form = formOf(checkpoint, { quantisation: quantisation.weights, block: quantisation.block })
  const groups = groupsOf(shape, form)
  const folder = mkdtempSync(join(tmpdir(), 'deapd-novelty-'))
  const channels = checkpoint.layers.map(() =>
    Int32Array.from({ length: groups.chunks * groups.chunkChannels }, (_, c) => (c < shape.ffnSize ? c : -1)),
  )
  const network = openNetwork(loadOrt(), folder, shape, groups, 2)
  const weights = openWeights(checkpoint, { form, channels, folder })
  const means = noMeans(shape, groups)
  const masks = (layer) => ({
    heads: maskOf(groups, fullSubnet(groups), layer, 'heads'),
    mlp: maskOf(groups, fullSubnet(groups), layer, 'mlp'),
  })
  const product = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0)
  const found = prompts.map((ids) => {
    const tokens = ids.length
    const hidden = new Float32Array(tokens * shape.hiddenSize)
    weights.embed(Int32Array.from(ids), hidden)
    return checkpoint.layers.map((_, layer) => {
      const before = hidden.slice()
      const rows = { variants: 1, tokens, position: 0, past: null, masks: masks(layer), means: means[layer] }
      network.layer(weights.layer(layer), rows, hidden)
      const ends = Array.from({ length: last }, (_, i) => {
        const row = (of) => of.subarray((tokens - 1 - i) * shape.hiddenSize, (tokens - i) * shape.hiddenSize)
        const [a, b] = [row(before), row(hidden)]
        return 1 - product(a, b) / Math.sqrt(product(a, a) * product(b, b))
      })
      return [ends[0], ends.reduce((a, b) => a + b, 0) / last]
    })
  })
  for (const open of [network, weights]) open.close()
  rmSync(folder, { recursive: true })
  return found
}

const [dir, file, source] = process.argv.slice(2)
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
  const novel = source ? novelties(source, manifest, ids, last) : null
  const requests = observed.map(({ surprisal: _, surprisal_rise: __, ...signals }) => signals)
  const estimates = (signals) => {
    const fitted = fitLogistic(signals.slice(0, half).map((one, i) => ({ signals: one, happened: happened[i] })))
    return signals.slice(half).map((one) => probability(fitted, one))
  }
  const outcomes = happened.slice(half)
  const without = estimates(requests)
  const draw = seededDraws(outcomes.length, 1)
  const draws = Array.from({ length: 1000 }, () => draw().slice())
  const area = (of, picked) =>
    auroc(
      [...picked].map((i) => of[i]),
      [...picked].map((i) => outcomes[i]),
    )
  const all = outcomes.map((_, i) => i)
  const compare = (name, signals) => {
    const with_ = estimates(signals)
    const gains = draws.map((picked) => area(with_, picked) - area(without, picked)).sort((a, b) => a - b)
    const [low, high] = [0.025, 0.975].map((q) => gains[Math.floor(q * (gains.length - 1))].toFixed(4))
    const [bare, more] = [without, with_].map((of) => area(of, all))
    console.log(
      `level 0 alone wrong, ${outcomes.length} other prompts: AUROC ${bare.toFixed(4)} without and ${more.toFixed(4)} with ${name}, ` +
        `a gain of ${(more - bare).toFixed(4)} (${low} to ${high}, 95 % of a bootstrap over prompts)`,
    )
  }
  compare(`the surprisal of the last ${last} tokens`, observed)
  if (novel) {
    const layers = novel[0].length
    const quarter = Math.ceil(layers / 4)
    const signalsOf = (chosen) =>
      requests.map((one, i) => ({
        ...one,
        ...Object.fromEntries(
          chosen.flatMap((layer) => novel[i][layer].map((value, which) => [`novelty ${layer} ${which}`, value])),
        ),
      }))
    const where = `at the last token and over the last ${last}`
    compare(`the residual novelty of layer ${quarter} of ${layers} ${where}`, signalsOf([quarter - 1]))
    compare(`that of all layers`, signalsOf([...novel[0].keys()]))
  }
  console.log(
    `a prompt with the rows of its last ${last + 1} tokens takes ${((median(wider) / median(plain) - 1) * 100).toFixed(1)} % longer than with its last alone`,
  )
}
