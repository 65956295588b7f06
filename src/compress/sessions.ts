import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ort } from '../engine/ort/api.ts'
import { type ElementType, openSession, type Session } from '../engine/ort/session.ts'
import { encodeModel, type Graph } from '../models/onnx/proto.ts'

type Data = Float32Array | Int32Array | BigInt64Array
export type Values = Readonly<Record<string, readonly [shape: readonly number[], data: Data]>>

/** A graph whose weights are inputs, run with whatever it is given. */
export interface Runner {
  /** Computes `outputs` from `inputs`, both over memory of the caller. */
  run(inputs: Values, outputs: Values): void
  close(): void
}

const typeOf = (data: Data): ElementType =>
  data instanceof Float32Array ? 'float32' : data instanceof Int32Array ? 'int32' : 'int64'

/** Opens a drawn graph; its file stays in `folder` for those who want to look at it. */
export function openRunner(ort: Ort, folder: string, name: string, graph: Graph, threads: number): Runner {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${name}.onnx`)
  writeFileSync(path, encodeModel(graph))
  const session: Session = openSession(ort, path, threads, { sharedArena: true })
  return {
    run(inputs, outputs) {
      const binding = session.bind()
      const bind = (values: Values, use: (name: string, tensor: ReturnType<Session['tensor']>) => void) =>
        Object.entries(values).map(([name, [shape, data]]) => {
          const tensor = session.tensor(typeOf(data), shape, data)
          use(name, tensor)
          return tensor
        })
      const tensors = [...bind(inputs, binding.input), ...bind(outputs, binding.output)]
      try {
        binding.run()
      } finally {
        binding.close()
        for (const tensor of tensors) session.releaseTensor(tensor)
      }
    },
    close: () => session.close(),
  }
}
