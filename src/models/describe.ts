import { join } from 'node:path'
import type { Drawing } from './draw.ts'
import { chunkChannelsFor } from './levels.ts'
import type { Manifest } from './manifest.ts'
import { cacheHeadSize } from './onnx/padding.ts'
import { shiftsName } from './onnx/shifts.ts'
import type { Rounding, WeightPlan } from './onnx/weights.ts'
import { hashFile } from './package.ts'
import type { LlamaShape } from './source/config.ts'

/** What the maker of a package says beside the weights: `deapd.json` in the source folder. */
export interface Extras {
  readonly name: string
  readonly description?: string
  readonly source: string
  readonly licence?: string
  readonly default_system_prompt?: string
  readonly sample_questions?: string[]
  /** How the blocks of a model should be rounded that was trained with rounded weights: as it was then. */
  readonly rounding?: Rounding
}

/** The manifest of a package whose other files, named by `files`, are already in `folder`. */
export function describePackage(
  folder: string,
  files: readonly string[],
  extras: Extras,
  shape: LlamaShape,
  { form, levels, weights }: Drawing,
): Manifest {
  // Embeddings are looked up, not read through; everything else is read once per decoded token.
  const gatedBytes = levels[0].widths.map((_, level) =>
    level === 0
      ? 0
      : layerBytes(weights, shape.layers, `mlp.${level}.`) + layerBytes(weights, shape.layers, `attention.${level}.`),
  )
  const full = weights.bytes('lm_head') + weights.bytes('layer.') + weights.bytes('final_norm')
  const ungated = full - gatedBytes.reduce((a, b) => a + b, 0)
  // A level reads what stands for the segments it leaves out.
  const shiftBytes = weights.bytes(shiftsName) / Math.max(1, gatedBytes.length - 1)
  const levelBytes = gatedBytes.map(
    (_, level) =>
      ungated +
      gatedBytes.slice(0, level + 1).reduce((a, b) => a + b, 0) +
      shiftBytes * (gatedBytes.length - 1 - level),
  )
  const { hiddenSize, ffnSize, vocabSize, heads, kvHeads, headSize } = shape
  const perLayer = hiddenSize * (2 * heads * headSize + 2 * kvHeads * headSize + 3 * ffnSize + 2)
  return {
    schema: 'deapd-model/1',
    name: extras.name,
    description: extras.description ?? '',
    source: extras.source,
    licence: extras.licence ?? 'unknown',
    created: new Date(Number(process.env.SOURCE_DATE_EPOCH ?? Date.now() / 1000) * 1000).toISOString(),
    shape: {
      family: 'llama',
      hidden_size: hiddenSize,
      layers: shape.layers,
      heads,
      kv_heads: kvHeads,
      head_size: headSize,
      cache_head_size: cacheHeadSize(headSize),
      ffn_size: ffnSize,
      vocab_size: vocabSize,
      context_tokens: shape.contextTokens,
      parameters: perLayer * shape.layers + hiddenSize + vocabSize * hiddenSize * (shape.tied ? 1 : 2),
    },
    dtype: weights.activations,
    quantisation: {
      weights: form.quantisation,
      lm_head: form.quantisation === 'none' ? 'none' : 'int8',
      block: form.block,
    },
    bos_token_id: shape.bosTokenId,
    eos_token_ids: [...shape.eosTokenIds],
    levels: levelBytes.map((bytes) => ({ share: bytes / full, weight_bytes: bytes, loss: bytes === full ? 0 : null })),
    chunks: {
      channels: chunkChannelsFor(ffnSize),
      order: 'weight-norm',
      widths: levels.map(({ widths }) => [...widths]),
      groups: levels.map(({ counts }) => [...counts]),
    },
    energy_priors: null,
    certificate: null,
    default_system_prompt: extras.default_system_prompt ?? null,
    sample_questions: extras.sample_questions ?? [],
    files: Object.fromEntries(files.map((file) => [file, hashFile(join(folder, file))])),
  }
}

const layerBytes = (weights: Pick<WeightPlan, 'bytes'>, layers: number, part: string): number =>
  Array.from({ length: layers }, (_, i) => weights.bytes(`layer.${i}.${part}`)).reduce((a, b) => a + b, 0)
