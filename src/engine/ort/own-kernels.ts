import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import koffi from 'koffi'
import { detailOf } from '../../errors.ts'
import { elementType, type Graph, type Node, node, ownDomain } from '../../models/onnx/proto.ts'

/** What the build compiled from src/engine/kernels, best first: for a dist and for sources beside one. */
const folder = fileURLToPath(new URL('../../../dist/engine/kernels/', import.meta.url))
const list = 'built.json'

interface Built {
  readonly arch: string
  readonly lanes: string
  readonly file: string
}

/** A library with operators of our own, by the instructions it uses; or why the runtime's serve. */
export type OwnKernels =
  | { readonly library: string; readonly lanes: string }
  | { readonly library: null; readonly why: string }

let found: OwnKernels | undefined

/** Our own operators for this processor, unless `DEAPD_PRODUCTS=runtime` asks for the runtime's. */
export function ownKernels(): OwnKernels {
  if (process.env.DEAPD_PRODUCTS === 'runtime') return { library: null, why: 'DEAPD_PRODUCTS asks for the runtime’s' }
  found ??= find()
  return found
}

function find(): OwnKernels {
  const built: readonly Built[] = existsSync(folder + list) ? JSON.parse(readFileSync(folder + list, 'utf8')) : []
  const mine = built.filter(({ arch }) => arch === process.arch)
  if (mine.length === 0) return { library: null, why: 'none were compiled: install a C compiler and build again' }
  try {
    for (const { lanes, file } of mine) {
      const library = folder + file
      if (koffi.load(library).func('int supported()')() === 1) return { library, lanes }
    }
  } catch (error) {
    return { library: null, why: detailOf(error) }
  }
  return { library: null, why: `this processor has none of ${mine.map(({ lanes }) => lanes).join(', ')}` }
}

/** The same graph with our own operators in place of the runtime's, for so many threads. */
export function withOwnKernels(graph: Graph, threads: number): Graph {
  const producers = new Map(graph.node.map((n) => [n.output[0], n]))
  const queryPads = new Set(graph.node.filter(readsBytes).flatMap(({ input }) => padsBehind(input[0], producers)))
  return {
    ...graph,
    initializer: queryPads.size === 0 ? graph.initializer : [...graph.initializer, leftOut],
    node: graph.node.map((n) => {
      if (n.opType === 'MatMulNBits') return ownProduct(n, threads)
      if (readsBytes(n)) return ownAttention(n)
      return queryPads.has(n) ? { ...n, input: [...n.input, leftOut.name] } : n
    }),
  }
}

/** What the queries of heads get that a level leaves out: zeros, as a gate gives by itself, could be those of a live head. */
const leftOut = {
  name: 'left_out',
  dims: [],
  dataType: elementType.float32,
  rawData: new Uint8Array(Float32Array.of(Number.POSITIVE_INFINITY).buffer),
}

/** The nodes that put the row of a closed gate before the queries of each segment (`gated` in models/onnx/builder.ts). */
function padsBehind(query: string, producers: ReadonlyMap<string, Node>): readonly Node[] {
  const whole = producers.get(query)
  const segments = whole?.opType === 'Concat' ? whole.input : [query]
  const rows = segments.map((name) => producers.get(name)).filter((n) => n?.opType === 'Gather')
  return rows.flatMap((n) => producers.get(n?.input[0] ?? '') ?? []).filter(({ opType }) => opType === 'Pad')
}

/** Whether a node is attention over int8 keys and values: it has their scales. */
const readsBytes = ({ opType, input }: Node): boolean => opType === 'GroupQueryAttention' && input.length > keyScalesAt

/** Its inputs are activations, codes, scales and maybe a bias; zero points and an order of columns our graphs do not have. */
function ownProduct({ input, output, attribute }: Node, threads: number): Node {
  const [activations, codes, scales, , , bias] = input
  const inputs = [activations, codes, scales, ...(bias === undefined ? [] : [bias])]
  const own = node(`${ownDomain}.MatMulBlocks`, inputs, output, { threads })
  return { ...own, attribute: [...own.attribute, ...attribute.filter(({ name }) => name !== 'accuracy_level')] }
}

/** Where the scales of int8 keys are among an attention's inputs. */
const keyScalesAt = 12
const attentionAttributes = ['num_heads', 'kv_num_heads', 'scale']

/** Its inputs are those of the runtime's, but for the longest sequence's length and what our graphs do not have. */
function ownAttention({ input, output, attribute }: Node): Node {
  const [queries, keys, values, pastKeys, pastValues, lastPositions, , cosines, sines] = input
  const inputs = [
    queries,
    keys,
    values,
    pastKeys,
    pastValues,
    lastPositions,
    cosines,
    sines,
    ...input.slice(keyScalesAt),
  ]
  const own = node(`${ownDomain}.CachedAttention`, inputs, output)
  return { ...own, attribute: attribute.filter(({ name }) => attentionAttributes.includes(name)) }
}
