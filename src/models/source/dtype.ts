/** How weights are stored in a file, and how to get float32 out of it. */
export interface Dtype {
  /** Weights that are stored together, and the bytes they take. */
  readonly blockWeights: number
  readonly blockBytes: number
  /** Decodes whole blocks; `raw` and `into` match in length. */
  decode(raw: Buffer, into: Float32Array): void
}
