import type { Graph, Node, TensorInfo } from './proto.ts'

/** One of several graphs that together do what one did: each but the last hands one tensor on to the next. */
export interface Part {
  readonly graph: Graph
  /** Names of what it takes and gives, the handed tensors included. */
  readonly inputs: ReadonlySet<string>
  readonly outputs: ReadonlySet<string>
  /** The tensor that the next part begins with; null for the last one. */
  readonly hands: string | null
}

/**
 * Cuts a graph, whose nodes stand in the order they run, into at most `wanted` parts whose weights take about as long to
 * pack. A cut is possible only where a single tensor is still needed later: in ours, between two layers.
 * `handed` describes that tensor as an input and output.
 */
export function cutGraph(graph: Graph, wanted: number, handed: (name: string) => object): readonly Part[] {
  const ends: readonly Cut[] = [...cuts(graph, wanted), { at: graph.node.length, hands: null }]
  return ends.map(({ at, hands }, i) => {
    const before = i === 0 ? { at: 0, hands: null } : ends[i - 1]
    const nodes = graph.node.slice(before.at, at)
    const uses = new Set(nodes.flatMap((node) => node.input))
    const makes = new Set(nodes.flatMap((node) => node.output))
    const input = graph.input.filter((info) => uses.has(nameOf(info)))
    const output = graph.output.filter((info) => makes.has(nameOf(info)))
    if (before.hands !== null) input.unshift(handed(before.hands))
    if (hands !== null) output.push(handed(hands))
    const initializer = graph.initializer.filter(({ name }) => uses.has(name))
    return {
      graph: { name: graph.name, node: nodes, initializer, input, output },
      inputs: new Set(input.map(nameOf)),
      outputs: new Set(output.map(nameOf)),
      hands,
    }
  })
}

const nameOf = (info: object): string => (info as { readonly name: string }).name

/** Before which node, and the one tensor made before it that is needed from there on. */
interface Cut {
  readonly at: number
  readonly hands: string | null
}

/** How long the library packs a byte of int8 weights (the output matrix of most models), over one of int4: as measured with a 7B. */
const int8Cost = 2.5

const isInt8 = ({ attribute }: Node): boolean => attribute.some(({ name, i }) => name === 'bits' && Number(i) === 8)

/** Of all places where a cut is possible those nearest to equal shares of the packing, in order. */
function cuts(graph: Graph, wanted: number): readonly Cut[] {
  const sizes = new Map(graph.initializer.map((tensor) => [tensor.name, lengthOf(tensor)]))
  const costOf = (node: Node): number => {
    if (!node.opType.startsWith('MatMul')) return 0
    return node.input.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0) * (isInt8(node) ? int8Cost : 1)
  }
  const lastUse = new Map(graph.node.flatMap(({ input }, at) => input.map((name) => [name, at] as const)))
  const needed = new Set<string>()
  const possible: (Cut & { readonly cost: number })[] = []
  let cost = 0
  for (const [at, node] of graph.node.entries()) {
    const [hands] = needed
    if (needed.size === 1) possible.push({ at, hands, cost })
    for (const name of node.input) if (lastUse.get(name) === at) needed.delete(name)
    for (const name of node.output) if (lastUse.has(name)) needed.add(name)
    cost += costOf(node)
  }
  if (possible.length === 0) return []
  const nearest = (share: number) =>
    possible.reduce((best, cut) => (Math.abs(cut.cost - share) < Math.abs(best.cost - share) ? cut : best))
  return [...new Set(Array.from({ length: wanted - 1 }, (_, i) => nearest(((i + 1) * cost) / wanted)))]
}

const lengthOf = ({ externalData }: TensorInfo): number =>
  Number(externalData?.find(({ key }) => key === 'length')?.value ?? 0)
