import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import koffi from 'koffi'
import { detailOf } from '../../errors.ts'
import { type Graph, type Node, node, ownDomain } from '../../models/onnx/proto.ts'

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
export const withOwnKernels = (graph: Graph, threads: number): Graph => ({
  ...graph,
  node: graph.node.map((n) => {
    if (n.opType === 'MatMulNBits') return ownProduct(n, threads)
    return n.opType === 'GroupQueryAttention' && n.input.length > keyScalesAt ? ownAttention(n) : n
  }),
})

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
