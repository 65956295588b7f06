import type { ElementType, Session, Tensor } from './session.ts'

/** One of several sessions that run one after the other. */
export interface Link {
  readonly session: Session
  readonly inputs: ReadonlySet<string>
  readonly outputs: ReadonlySet<string>
  /** The tensor it hands on to the next link; null for the last. */
  readonly hands: string | null
}

/** What links hand on: [batch, tokens, width], with the first two dimensions of input `like`. */
export interface Handed {
  readonly like: string
  readonly width: number
  readonly type: Extract<ElementType, 'float32' | 'float16'>
}

const arrays = { float32: Float32Array, float16: Uint16Array } as const

/** One session over several that run one after the other, in ordinary memory. */
export function chain(links: readonly Link[], { like, width, type }: Handed): Session {
  const [{ session: first }] = links
  return {
    tensor: first.tensor,
    deviceTensor: null,
    releaseTensor: first.releaseTensor,
    bind() {
      const bindings = links.map(({ session }) => session.bind())
      let handed: Tensor[] = []
      const hand = ([batch, tokens]: readonly number[]): void => {
        for (const tensor of handed) first.releaseTensor(tensor)
        handed = links.flatMap(({ hands }, i) => {
          if (hands === null) return []
          const tensor = first.tensor(type, [batch, tokens, width], new arrays[type](batch * tokens * width))
          bindings[i].output(hands, tensor)
          bindings[i + 1].input(hands, tensor)
          return [tensor]
        })
      }
      return {
        input(name, tensor) {
          if (name === like && 'shape' in tensor) hand((tensor as Tensor).shape)
          for (const [i, { inputs }] of links.entries()) if (inputs.has(name)) bindings[i].input(name, tensor)
        },
        output(name, tensor) {
          for (const [i, { outputs }] of links.entries()) if (outputs.has(name)) bindings[i].output(name, tensor)
        },
        run() {
          for (const binding of bindings) binding.run()
        },
        close() {
          for (const binding of bindings) binding.close()
          for (const tensor of handed) first.releaseTensor(tensor)
        },
      }
    },
    placement: () => ({}),
    close() {
      for (const { session } of links) session.close()
    },
  }
}
