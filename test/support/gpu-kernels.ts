/**
 * Element types that the GPU kernels of ONNX Runtime take, for the operators our graphs use: ONNX Runtime 1.30,
 * docs/OperatorKernels.md for CUDA, kernel registrations of the WebGPU provider. An operator that is not here has no kernel we know of.
 */
import type { Graph, Node } from '../../src/models/onnx/proto.ts'

type Type = 'float32' | 'float16' | 'int32' | 'int64' | 'uint8'

interface Kernel {
  /** Types of the operands in general, and of single inputs where they differ. */
  readonly operands: readonly Type[]
  readonly inputs?: Readonly<Record<number, readonly Type[]>>
}

const indices: readonly Type[] = ['int32', 'int64']
const half: readonly Type[] = ['float16']
const floats: readonly Type[] = ['float32', 'float16']
const lengths = { 5: ['int32'], 6: ['int32'] } as const
const sliced = { 1: indices, 2: indices, 3: indices, 4: indices }

export const gpuKernels: Readonly<Record<'cuda' | 'webgpu', Readonly<Record<string, Kernel>>>> = {
  cuda: {
    Add: { operands: [...floats, 'int32', 'int64'] },
    Cast: { operands: [...floats, 'int32', 'int64', 'uint8'] },
    Concat: { operands: [...floats, 'int32', 'int64', 'uint8'] },
    Gather: { operands: [...floats, 'int32', 'int64', 'uint8'], inputs: { 1: indices } },
    GroupQueryAttention: { operands: half, inputs: lengths },
    MatMul: { operands: floats },
    MatMulNBits: { operands: floats, inputs: { 1: ['uint8'] } },
    Mul: { operands: [...floats, 'int32', 'int64'] },
    Pad: { operands: floats, inputs: { 1: ['int64'] } },
    QuickGelu: { operands: floats },
    ReduceSum: { operands: [...floats, 'int32'], inputs: { 1: ['int64'] } },
    SimplifiedLayerNormalization: { operands: floats },
    Slice: { operands: [...floats, 'int32', 'int64', 'uint8'], inputs: sliced },
    Split: { operands: [...floats, 'int32', 'int64', 'uint8'], inputs: { 1: ['int64'] } },
    Unsqueeze: { operands: [...floats, 'int32', 'int64', 'uint8'], inputs: { 1: ['int64'] } },
  },
  webgpu: {
    Add: { operands: [...floats, 'int32'] },
    Cast: { operands: [...floats, 'int32'] },
    Concat: { operands: [...floats, 'int32'] },
    Gather: { operands: [...floats, 'int32'], inputs: { 1: indices } },
    GroupQueryAttention: { operands: floats, inputs: lengths },
    MatMul: { operands: [...floats, 'int32'] },
    MatMulNBits: { operands: floats, inputs: { 1: ['uint8'] } },
    Mul: { operands: [...floats, 'int32'] },
    Pad: { operands: floats, inputs: { 1: ['int64'] } },
    QuickGelu: { operands: floats },
    ReduceSum: { operands: [...floats, 'int32'], inputs: { 1: ['int64'] } },
    SimplifiedLayerNormalization: { operands: floats },
    Slice: { operands: [...floats, 'int32'], inputs: sliced },
    Split: { operands: [...floats, 'int32'], inputs: { 1: ['int64'] } },
    Unsqueeze: { operands: floats, inputs: { 1: ['int64'] } },
  },
}

const onnxTypes: Readonly<Record<number, Type>> = {
  1: 'float32',
  2: 'uint8',
  6: 'int32',
  7: 'int64',
  10: 'float16',
}

interface Typed {
  readonly name: string
  readonly type?: { readonly tensorType?: { readonly elemType: number } }
  readonly dataType?: number
}

/** What the provider's kernels would not take, one line each; types are followed through the graph. */
export function misfits(graph: Graph, provider: keyof typeof gpuKernels): string[] {
  const types = new Map<string, Type | undefined>(
    ([...graph.initializer, ...graph.input] as unknown as readonly Typed[]).map(({ name, dataType, type }) => [
      name,
      onnxTypes[Number(dataType ?? type?.tensorType?.elemType)],
    ]),
  )
  return graph.node.flatMap((n) => {
    const kernel = gpuKernels[provider][n.opType]
    const found = n.input.map((name) => (name === '' ? undefined : (types.get(name) ?? 'unknown')))
    for (const output of n.output) types.set(output, resultType(n, types))
    if (!kernel) return [`${n.name}: no ${n.opType}`]
    return found.flatMap((type, i) => {
      const accepted: readonly string[] = kernel.inputs?.[i] ?? kernel.operands
      return type === undefined || accepted.includes(type)
        ? []
        : [`${n.name}: ${n.opType} takes no ${type} as input ${i}`]
    })
  })
}

const resultType = (n: Node, types: ReadonlyMap<string, Type | undefined>): Type | undefined =>
  n.opType === 'Cast' ? onnxTypes[Number(n.attribute.find(({ name }) => name === 'to')?.i)] : types.get(n.input[0])
