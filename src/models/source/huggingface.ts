import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DeapdError } from '../../errors.ts'
import type { Extras } from '../describe.ts'
import { type Checkpoint, type LayerMatrices, matrixMaker } from './checkpoint.ts'
import { parseConfig } from './config.ts'
import { readJson, readSafetensors } from './safetensors.ts'
import { chatTemplate } from './template.ts'

/** Opens a Hugging Face LLaMA folder: config.json, *.safetensors, tokenizer.json. */
export function openHuggingFace(path: string): Checkpoint {
  const config = readJson(path, 'config.json')
  if (!config) throw new DeapdError('import_unsupported', { path, detail: 'it has no config.json' })
  const shape = parseConfig(join(path, 'config.json'), config, readJson(path, 'generation_config.json'))
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) readJson(path, file)
  if (!existsSync(join(path, 'tokenizer.json'))) {
    throw new DeapdError('import_unsupported', { path, detail: 'it has no tokenizer.json' })
  }
  const tensors = readSafetensors(path)
  const matrix = matrixMaker(path, tensors)
  const { hiddenSize, ffnSize, heads, kvHeads, headSize, layers, vocabSize } = shape
  const embedding = matrix('model.embed_tokens.weight', [vocabSize, hiddenSize])
  const extras = (readJson(path, 'deapd.json') ?? {}) as Partial<Extras>
  return {
    path,
    shape,
    tensors,
    embedding,
    layers: Array.from({ length: layers }, (_, i): LayerMatrices => {
      const at = (part: string): string => `model.layers.${i}.${part}.weight`
      return {
        inputNorm: matrix(at('input_layernorm'), [hiddenSize]),
        q: matrix(at('self_attn.q_proj'), [heads * headSize, hiddenSize]),
        k: matrix(at('self_attn.k_proj'), [kvHeads * headSize, hiddenSize]),
        v: matrix(at('self_attn.v_proj'), [kvHeads * headSize, hiddenSize]),
        o: matrix(at('self_attn.o_proj'), [hiddenSize, heads * headSize]),
        mlpNorm: matrix(at('post_attention_layernorm'), [hiddenSize]),
        gate: matrix(at('mlp.gate_proj'), [ffnSize, hiddenSize]),
        up: matrix(at('mlp.up_proj'), [ffnSize, hiddenSize]),
        down: matrix(at('mlp.down_proj'), [hiddenSize, ffnSize]),
      }
    }),
    finalNorm: matrix('model.norm.weight', [hiddenSize]),
    head: shape.tied ? embedding : matrix('lm_head.weight', [vocabSize, hiddenSize]),
    tokenizer: readFileSync(join(path, 'tokenizer.json'), 'utf8'),
    template: chatTemplate(path),
    extras: { ...extras, name: extras.name ?? basename(path), source: extras.source ?? basename(path) },
  }
}
