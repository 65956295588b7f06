import type { LayerLevels } from '../levels.ts'
import type { LayerMatrices } from '../source/checkpoint.ts'
import type { LlamaShape } from '../source/config.ts'
import { type Builder, gated, segmentsOf } from './builder.ts'
import { type KvType, names } from './interface.ts'
import { pickColumns, pickRows, stackRows } from './matrix.ts'
import { cacheHeadSize, padColumns, padHeads } from './padding.ts'
import { node } from './proto.ts'
import { rotaryTables } from './rotary.ts'
import type { Form, WeightPlan } from './weights.ts'

export interface AttentionPlan {
  readonly shape: LlamaShape
  readonly form: Form
  readonly kv: KvType
}

/**
 * Draws the attention of one layer and returns its segments' results, to be added to the residual. A segment is a run of key-value
 * heads with the query heads that read them: its queries and its part of the output projection are gated. Keys and values are
 * always computed and written, so that the cache has no holes at any level. `shift` is a bias for the segment that always runs.
 */
export function drawAttention(
  builder: Builder,
  weights: WeightPlan,
  { shape, form, kv }: AttentionPlan,
  index: number,
  input: string,
  layer: LayerMatrices,
  levels: LayerLevels,
  shift?: string,
): readonly string[] {
  const { emit, integers } = builder
  const { heads, kvHeads, headSize } = shape
  const at = `layer.${index}.attention`
  const padded = cacheHeadSize(headSize)
  /** Width of the queries that belong to one key-value head. */
  const group = (heads / kvHeads) * padded
  const width = kvHeads * padded
  const q = padHeads(layer.q, heads, headSize, padded)
  const o = padColumns(layer.o, heads, headSize, padded)
  const inOrder = expand(levels.groups, padded)
  const k = pickRows(padHeads(layer.k, kvHeads, headSize, padded), inOrder)
  const v = pickRows(padHeads(layer.v, kvHeads, headSize, padded), inOrder)
  const segments = segmentsOf(levels.counts)
  const channels = segments.map(({ from, to }) => expand(levels.groups.subarray(from, to), group))

  const always = segments.flatMap(({ level }, i) => (level === 0 ? [pickRows(q, channels[i])] : []))
  const project = stackRows([...always, k, v])
  const names0 = [...always.map(() => `${at}.q.0`), `${at}.k`, `${at}.v`]
  const all = emit(weights.matmul(`layer.${index}.qkv`, input, project, form))
  emit(node('Split', [all, integers(...always.map((m) => m.rows), width, width)], names0, { axis: -1 }))
  const queries = segments.map((segment, i) =>
    segment.level === 0
      ? `${at}.q.0`
      : gated(builder, `${at}.${segment.level}.q`, segment, input, (rows) =>
          emit(weights.matmul(`${at}.${segment.level}.q`, rows, pickRows(q, channels[i]), form)),
        ),
  )
  const query = queries.length === 1 ? queries[0] : emit(node('Concat', queries, [`${at}.q`], { axis: -1 }))
  const read = emit(attend(index, [query, `${at}.k`, `${at}.v`], shape, kv))

  const parts = segments.map((_, i) => (segments.length === 1 ? read : `${at}.read.${i}`))
  if (parts.length > 1) emit(node('Split', [read, integers(...channels.map((c) => c.length))], parts, { axis: -1 }))
  return segments.map((segment, i) => {
    const name = `${at}.${segment.level}.o`
    const draw = (rows: string): string =>
      emit(weights.matmul(name, rows, pickColumns(o, channels[i]), form, segment.level === 0 ? shift : undefined))
    return gated(builder, name, segment, parts[i], draw)
  })
}

/** The attention node. With int8 keys and values their scales, one a channel, are inputs of the graph. */
function attend(
  index: number,
  projections: readonly string[],
  { heads, kvHeads, headSize }: LlamaShape,
  kv: KvType,
): ReturnType<typeof node> {
  const past = [names.past(index, 'key'), names.past(index, 'value')]
  const rest = [names.pastLength, names.totalLength, rotaryTables.cos, rotaryTables.sin]
  // Position ids, bias and sink stay empty before the scales.
  const scales = kv === 'int8' ? ['', '', '', names.scale(index, 'key'), names.scale(index, 'value')] : []
  const perChannel = 'PER_CHANNEL'
  return node(
    'com.microsoft.GroupQueryAttention',
    [...projections, ...past, ...rest, ...scales],
    [`layer.${index}.attention.read`, names.present(index, 'key'), names.present(index, 'value')],
    {
      num_heads: heads,
      kv_num_heads: kvHeads,
      do_rotary: 1,
      rotary_interleaved: 0,
      scale: { float: 1 / Math.sqrt(headSize) },
      ...(kv === 'int8' ? { k_quant_type: perChannel, v_quant_type: perChannel, kv_cache_bit_width: 8 } : {}),
    },
  )
}

/** Rows of the heads named by `order`, `size` rows each. */
const expand = (order: Int32Array, size: number): Int32Array =>
  Int32Array.from({ length: order.length * size }, (_, i) => order[Math.floor(i / size)] * size + (i % size))
