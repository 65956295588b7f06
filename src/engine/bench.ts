import { DeapdError } from '../errors.ts'
import type { Loaded } from './generation.ts'
import { processMemory } from './memory.ts'
import type { BenchOptions, BenchResult } from './protocol.ts'

/**
 * Times prefill and decode inside the engine process. Levels take turns token by token: the machine is never quiet, and a
 * slow second should hit all of them. The cache that decode starts from is filled with made-up values, because computing
 * thousands of tokens of context would take minutes and time nothing; prompts are computed.
 */
export function benchModel({ model }: Loaded, options: BenchOptions): BenchResult {
  const { promptTokens, chunkTokens, prefillRounds, contextTokens, tokens, verify } = options
  const { shape, levels } = model.manifest
  const full = levels.length - 1
  const timed = options.levels ?? levels.map((_, level) => level)
  const needed = Math.max(promptTokens, contextTokens + tokens, ...verify.map((size) => contextTokens + size))
  if (needed > model.contextTokens) {
    throw new DeapdError('context_length_exceeded', { promptTokens: needed, contextTokens: model.contextTokens })
  }
  const filler = Array.from({ length: needed + tokens }, (_, i) => (i * 7919) % shape.vocab_size)
  const sequence = model.newSequence()
  try {
    const prefillMs = Array.from({ length: prefillRounds }, () => {
      sequence.truncate(0)
      return milliseconds(() => {
        for (let from = 0; from < promptTokens; from += chunkTokens) {
          const chunk = filler.slice(from, Math.min(from + chunkTokens, promptTokens))
          sequence.run(chunk, full, chunk.length - 1)
        }
      })
    })
    sequence.truncate(0)
    sequence.fill(contextTokens)
    // The first step reads from memory what filling has pushed out of the processor's caches; a token of an answer follows a token.
    if (tokens > 0) sequence.run([0], full, 0)
    const decodeMs = timed.map((): number[] => [])
    for (let i = 0; i < tokens; i++) {
      for (const [at, level] of timed.entries()) {
        sequence.truncate(contextTokens + i)
        decodeMs[at].push(milliseconds(() => sequence.run([i % shape.vocab_size], level, 0)))
      }
    }
    const verifyMs = verify.map((): number[] => [])
    for (let i = 0; i < tokens; i++) {
      for (const [at, size] of verify.entries()) {
        sequence.truncate(contextTokens)
        verifyMs[at].push(milliseconds(() => sequence.run(filler.slice(i, i + size), full, 0)))
      }
    }
    // While the cache is still filled.
    const memory = processMemory(process.pid)
    return {
      prefill: { tokens: promptTokens, ms: prefillMs },
      decode: timed.map((level, at) => ({ level, share: levels[level].share, ms: decodeMs[at] })),
      verify: verify.map((size, at) => ({ tokens: size, ms: verifyMs[at] })),
      memory,
    }
  } finally {
    sequence.close()
  }
}

function milliseconds(work: () => void): number {
  const from = performance.now()
  work()
  return performance.now() - from
}
