/**
 * llama.cpp's side of the comparison, in a process of its own: node-llama-cpp's prebuilt CPU library, weights repacked for
 * this CPU, no memory map. Commands come and results go as messages, so that both sides stay loaded and take turns.
 */
import { setPriority } from 'node:os'
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'

// The same politeness as deapd's engine process.
setPriority(5)

let llama
let model
/** One context with flash attention and one without, over the same weights. */
const sequences = new Map()

const filler = (count) => {
  const vocabulary = model.fileInfo.metadata.llama.vocab_size
  return Array.from({ length: count }, (_, i) => (i * 7919) % vocabulary)
}
const greedy = { temperature: 0, yieldEogToken: true }

const commands = {
  async load({ path, threads }) {
    llama = await getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      logLevel: LlamaLogLevel.error,
      maxThreads: threads,
    })
    const from = performance.now()
    model = await llama.loadModel({ modelPath: path, useMmap: false, gpuLayers: 0 })
    return {
      loadSeconds: (performance.now() - from) / 1000,
      release: llama.llamaCppRelease.release,
      system: llama.systemInfo,
    }
  },
  async context({ contextTokens, threads, flashAttention }) {
    const batchSize = Math.min(512, contextTokens)
    const context = await model.createContext({ contextSize: contextTokens, threads, flashAttention, batchSize })
    sequences.set(flashAttention, context.getSequence())
  },
  /** Milliseconds of each of `tokens` greedy steps after `contextTokens` cached tokens. */
  async decode({ contextTokens, tokens, flashAttention }) {
    const sequence = sequences.get(flashAttention)
    const cached = sequence.nextTokenIndex
    if (cached > contextTokens) await sequence.eraseContextTokenRanges([{ start: contextTokens, end: cached }])
    if (cached < contextTokens) await sequence.evaluateWithoutGeneratingNewTokens(filler(contextTokens).slice(cached))
    const times = []
    let from = performance.now()
    for await (const _ of sequence.evaluate([model.tokens.bos], greedy)) {
      const now = performance.now()
      times.push(now - from)
      if (times.length === tokens) break
      from = performance.now()
    }
    return times
  },
  /** Milliseconds to read a prompt of `tokens` tokens and choose the next one. */
  async prefill({ tokens, flashAttention }) {
    const sequence = sequences.get(flashAttention)
    await sequence.clearHistory()
    const from = performance.now()
    for await (const _ of sequence.evaluate(filler(tokens), greedy)) break
    return performance.now() - from
  },
  /** Sum of negative log-likelihoods in nats of ids[1..], each given those before. */
  async nll({ ids, flashAttention }) {
    const sequence = sequences.get(flashAttention)
    await sequence.clearHistory()
    const last = ids.length - 1
    const outputs = await sequence.controlledEvaluate(
      ids.slice(0, last).map((id) => [id, { generateNext: { probabilities: true } }]),
    )
    return outputs.reduce((sum, { next }, i) => sum - Math.log(next.probabilities.get(ids[i + 1])), 0)
  },
}

process.on('message', async ({ id, command, ...options }) => {
  try {
    process.send({ id, result: (await commands[command](options)) ?? null })
  } catch (error) {
    process.send({ id, error: String(error?.stack ?? error) })
  }
})
process.on('disconnect', () => process.exit(0))
