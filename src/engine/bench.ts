import type { Loaded } from './generation.ts'
import type { BenchResult } from './protocol.ts'

export interface BenchOptions {
  readonly promptTokens: number
  readonly tokens: number
  /** Cache slots filled when decode timing starts. */
  readonly contextTokens: number
}

const rounds = 3

/** Times prefill and, level by level in turns, decode. Medians: the machine is never quiet. */
export function benchModel({ model }: Loaded, { promptTokens, tokens, contextTokens }: BenchOptions): BenchResult {
  const { manifest } = model
  const full = model.levels - 1
  const fits = (count: number): number => Math.max(1, Math.min(count, model.contextTokens - tokens - 1))
  const filler = (count: number): number[] =>
    Array.from({ length: count }, (_, i) => (i * 7919) % manifest.shape.vocab_size)
  const sequence = model.newSequence()
  try {
    const prompt = filler(fits(promptTokens))
    const prefill = Array.from({ length: rounds }, () => {
      sequence.truncate(0)
      const from = performance.now()
      sequence.run(prompt, full, prompt.length - 1)
      return prompt.length / ((performance.now() - from) / 1000)
    })
    const context = fits(contextTokens)
    sequence.truncate(0)
    sequence.run(filler(context), full, context - 1)
    const times = manifest.levels.map((): number[] => [])
    for (let i = 0; i < tokens; i++) {
      for (const [level, list] of times.entries()) {
        sequence.truncate(context)
        const from = performance.now()
        sequence.run([i % manifest.shape.vocab_size], level, 0)
        list.push(performance.now() - from)
      }
    }
    return {
      prefillTokensPerSecond: median(prefill),
      decode: times.map((list, level) => ({ level, share: manifest.levels[level].share, msPerToken: median(list) })),
    }
  } finally {
    sequence.close()
  }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
