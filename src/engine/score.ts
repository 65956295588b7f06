import { DeapdError } from '../errors.ts'
import type { Loaded } from './generation.ts'
import { logSum } from './sampler.ts'

/** Positions scored per run: bounds the memory that the logits of a long text take. */
const chunk = 64

/**
 * Mean negative log-likelihood of `text` in nats at `level`. BOS is prepended and not scored; a text longer than the
 * context is refused, because cutting it would change the figure.
 */
export function scoreText(
  { model, tokenizer }: Loaded,
  text: string,
  level: number,
): { tokens: number; meanNll: number } {
  const { manifest } = model
  const ids = [manifest.bos_token_id, ...tokenizer.encode(text)]
  if (ids.length > model.contextTokens) {
    throw new DeapdError('context_length_exceeded', { promptTokens: ids.length, contextTokens: model.contextTokens })
  }
  if (ids.length < 2) throw new DeapdError('bad_request', { detail: 'the text is empty' })
  const vocabulary = manifest.shape.vocab_size
  const sequence = model.newSequence()
  let nll = 0
  try {
    for (let from = 0; from < ids.length - 1; from += chunk) {
      const part = ids.slice(from, Math.min(from + chunk, ids.length - 1))
      const logits = sequence.run(part, level, 0)
      for (const i of part.keys()) {
        const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary)
        nll += logSum(row) - row[ids[from + i + 1]]
      }
    }
  } finally {
    sequence.close()
  }
  return { tokens: ids.length - 1, meanNll: nll / (ids.length - 1) }
}
