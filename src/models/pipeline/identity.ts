import { createHash, type Hash } from 'node:crypto'
import { statSync } from 'node:fs'
import type { Matrix } from '../onnx/matrix.ts'
import type { Part } from '../onnx/weights.ts'
import type { TensorTable } from '../source/tensors.ts'

/** Goes up when the same source would give other bytes, so that old halves are not continued. */
const revision = 2

/** Identifies an import: the same key means that a part written earlier is the part that would be written now. */
export function importKey(
  tensors: TensorTable,
  parts: readonly Part[],
  files: Readonly<Record<string, Uint8Array | string>>,
): string {
  const hash = createHash('sha256').update(`${revision}`)
  for (const content of Object.values(files)) hash.update(content)
  for (const path of new Set(Object.values(tensors).map((entry) => entry.path))) {
    const { size, mtimeMs, ino } = statSync(path)
    hash.update(`${path} ${size} ${mtimeMs} ${ino}\n`)
  }
  for (const part of parts) {
    if (part.kind === 'data') {
      hash.update(new Uint8Array(part.data.buffer, part.data.byteOffset, part.data.byteLength))
    } else {
      const { matrix, ...where } = part
      hash.update(JSON.stringify(where))
      addMatrix(hash, matrix)
    }
  }
  return hash.digest('hex')
}

function addMatrix(hash: Hash, matrix: Matrix): void {
  hash.update(`${matrix.kind} ${matrix.rows} ${matrix.columns}`)
  if (matrix.kind === 'tensor') hash.update(matrix.name)
  else if (matrix.kind === 'stack') for (const part of matrix.of) addMatrix(hash, part)
  else {
    hash.update(new Uint8Array(matrix.index.buffer, matrix.index.byteOffset, matrix.index.byteLength))
    addMatrix(hash, matrix.of)
  }
}
