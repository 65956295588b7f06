import protobuf from 'protobufjs/light.js'

/**
 * The part of onnx.proto3 that our graphs use (ONNX 1.16, IR version 10), as a protobufjs descriptor. Field numbers are
 * ONNX's and never change.
 */
const descriptor = {
  nested: {
    Model: {
      fields: {
        irVersion: { id: 1, type: 'int64' },
        producerName: { id: 2, type: 'string' },
        graph: { id: 7, type: 'Graph' },
        opsetImport: { id: 8, type: 'OperatorSet', rule: 'repeated' },
      },
    },
    OperatorSet: { fields: { domain: { id: 1, type: 'string' }, version: { id: 2, type: 'int64' } } },
    Graph: {
      fields: {
        node: { id: 1, type: 'Node', rule: 'repeated' },
        name: { id: 2, type: 'string' },
        initializer: { id: 5, type: 'Tensor', rule: 'repeated' },
        input: { id: 11, type: 'ValueInfo', rule: 'repeated' },
        output: { id: 12, type: 'ValueInfo', rule: 'repeated' },
      },
    },
    Node: {
      fields: {
        input: { id: 1, type: 'string', rule: 'repeated' },
        output: { id: 2, type: 'string', rule: 'repeated' },
        name: { id: 3, type: 'string' },
        opType: { id: 4, type: 'string' },
        attribute: { id: 5, type: 'Attribute', rule: 'repeated' },
        domain: { id: 7, type: 'string' },
      },
    },
    Attribute: {
      fields: {
        name: { id: 1, type: 'string' },
        f: { id: 2, type: 'float' },
        i: { id: 3, type: 'int64' },
        s: { id: 4, type: 'bytes' },
        g: { id: 6, type: 'Graph' },
        ints: { id: 8, type: 'int64', rule: 'repeated' },
        type: { id: 20, type: 'int32' },
      },
    },
    Tensor: {
      fields: {
        dims: { id: 1, type: 'int64', rule: 'repeated' },
        dataType: { id: 2, type: 'int32' },
        name: { id: 8, type: 'string' },
        rawData: { id: 9, type: 'bytes' },
        externalData: { id: 13, type: 'Entry', rule: 'repeated' },
        dataLocation: { id: 14, type: 'int32' },
      },
    },
    Entry: { fields: { key: { id: 1, type: 'string' }, value: { id: 2, type: 'string' } } },
    ValueInfo: { fields: { name: { id: 1, type: 'string' }, type: { id: 2, type: 'Type' } } },
    Type: { fields: { tensorType: { id: 1, type: 'TensorType' } } },
    TensorType: { fields: { elemType: { id: 1, type: 'int32' }, shape: { id: 2, type: 'Shape' } } },
    Shape: { fields: { dim: { id: 1, type: 'Dim', rule: 'repeated' } } },
    Dim: { fields: { dimValue: { id: 1, type: 'int64' }, dimParam: { id: 2, type: 'string' } } },
  },
} as const

const Model = protobuf.Root.fromJSON(descriptor).lookupType('Model')

export const elementType = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 } as const
export type ElementType = keyof typeof elementType

interface Attribute {
  readonly name: string
  readonly type: number
  readonly f?: number
  readonly i?: number
  readonly s?: Uint8Array
  readonly g?: Graph
  readonly ints?: readonly number[]
}

export interface Node {
  readonly opType: string
  readonly domain: string
  readonly name: string
  readonly input: readonly string[]
  readonly output: readonly string[]
  readonly attribute: readonly Attribute[]
}

export interface TensorInfo {
  readonly name: string
  readonly dims: readonly number[]
  readonly dataType: number
  readonly rawData?: Uint8Array
  readonly externalData?: readonly { readonly key: string; readonly value: string }[]
  readonly dataLocation?: number
}

export interface Graph {
  readonly name: string
  readonly node: readonly Node[]
  readonly initializer: readonly TensorInfo[]
  readonly input: readonly object[]
  readonly output: readonly object[]
}

/** A graph input or output: a number is a fixed dimension, a string a free one. */
export function valueInfo(name: string, type: ElementType, dims: readonly (number | string)[]): object {
  const dim = dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }))
  return { name, type: { tensorType: { elemType: elementType[type], shape: { dim } } } }
}

const float = 1
const integer = 2
const text = 3
const graph = 5
const integers = 7

/** A node; `com.microsoft` operators are written with their domain, as `com.microsoft.MatMulNBits`. */
export function node(
  op: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, number | string | readonly number[] | { float: number } | Graph>> = {},
): Node {
  const at = op.lastIndexOf('.')
  const attribute = Object.entries(attributes).map(([name, value]): Attribute => {
    if (typeof value === 'number') return { name, type: integer, i: value }
    if (typeof value === 'string') return { name, type: text, s: Buffer.from(value) }
    if ('length' in value) return { name, type: integers, ints: value }
    return 'float' in value ? { name, type: float, f: value.float } : { name, type: graph, g: value }
  })
  return { opType: op.slice(at + 1), domain: op.slice(0, Math.max(0, at)), name: output[0], input, output, attribute }
}

/** Domain of the operators that deapd brings along (engine/kernels). */
export const ownDomain = 'deapd'

/** The bytes of a model.onnx around `graph` (opset 21, com.microsoft 1, and our own where it is used). */
export function encodeModel(graph: Graph): Uint8Array {
  const own = graph.node.some(({ domain }) => domain === ownDomain)
  return Model.encode(
    Model.fromObject({
      irVersion: 10,
      producerName: 'deapd',
      graph,
      opsetImport: [
        { domain: '', version: 21 },
        { domain: 'com.microsoft', version: 1 },
        ...(own ? [{ domain: ownDomain, version: 1 }] : []),
      ],
    }),
  ).finish()
}

/** Reads a model.onnx back that `encodeModel` wrote. */
export function decodeModel(bytes: Uint8Array): { graph: Graph } {
  return Model.toObject(Model.decode(bytes), { arrays: true }) as unknown as { graph: Graph }
}
