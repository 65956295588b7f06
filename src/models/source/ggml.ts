import { singles } from '../half.ts'
import type { Dtype } from './dtype.ts'

/** ggml's numbers for how a tensor is stored (ggml.h, enum ggml_type); those without a decoder are named in the refusal. */
const typeNames: Readonly<Record<number, string>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  29: 'IQ1_M',
  30: 'BF16',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
}

export const ggmlTypeName = (type: number): string => typeNames[type] ?? `type ${type}`

const half = (raw: Buffer, at: number): number => singles[raw[at] | (raw[at + 1] << 8)]

/** A dtype whose blocks are decoded one at a time, by where the block and its weights begin. */
const blocks = (
  blockWeights: number,
  blockBytes: number,
  decode: (raw: Buffer, at: number, into: Float32Array, start: number) => void,
): Dtype => ({
  blockWeights,
  blockBytes,
  decode(raw, into) {
    for (let at = 0, start = 0; at < raw.byteLength; at += blockBytes, start += blockWeights)
      decode(raw, at, into, start)
  },
})

/**
 * Blocks of 32 as llama.cpp lays them out: f16 scale, perhaps f16 minimum, perhaps 32 fifth bits, then nibbles of which the
 * low halves are weights 0 to 15 and the high halves 16 to 31.
 */
const smallBlock = (bits: 4 | 5, hasMinimum: boolean): Dtype => {
  const high = hasMinimum ? 4 : 2
  const nibbles = bits === 5 ? high + 4 : high
  const offset = hasMinimum ? 0 : 2 ** (bits - 1)
  return blocks(32, nibbles + 16, (raw, at, into, start) => {
    const scale = half(raw, at)
    const minimum = hasMinimum ? half(raw, at + 2) : 0
    const fifths = bits === 5 ? raw.readUInt32LE(at + high) : 0
    for (let i = 0; i < 16; i++) {
      const byte = raw[at + nibbles + i]
      const low = (byte & 15) | (((fifths >>> i) & 1) << 4)
      const upper = (byte >> 4) | (((fifths >>> (i + 16)) & 1) << 4)
      into[start + i] = (low - offset) * scale + minimum
      into[start + i + 16] = (upper - offset) * scale + minimum
    }
  })
}

const q80 = blocks(32, 34, (raw, at, into, start) => {
  const scale = half(raw, at)
  for (let i = 0; i < 32; i++) into[start + i] = scale * raw.readInt8(at + 2 + i)
})

/** Six-bit scales and minima of the eight groups of a K block, packed into twelve bytes. */
function groupScale(raw: Buffer, at: number, group: number): readonly [scale: number, minimum: number] {
  if (group < 4) return [raw[at + group] & 63, raw[at + group + 4] & 63]
  const both = raw[at + group + 4]
  return [(both & 15) | ((raw[at + group - 4] >> 6) << 4), (both >> 4) | ((raw[at + group] >> 6) << 4)]
}

/** 256 weights in eight groups of 32, each scale·q − minimum: Q4_K, and Q5_K with 32 more bytes of fifth bits. */
const kBlock = (bits: 4 | 5): Dtype => {
  const nibbles = bits === 5 ? 48 : 16
  return blocks(256, nibbles + 128, (raw, at, into, start) => {
    const scaleOfScales = half(raw, at)
    const scaleOfMinima = half(raw, at + 2)
    for (let group = 0; group < 8; group++) {
      const [scale, minimum] = groupScale(raw, at + 4, group)
      const step = scaleOfScales * scale
      const base = scaleOfMinima * minimum
      // Two groups share 32 bytes: the even one has the low halves.
      const from = at + nibbles + (group >> 1) * 32
      const shift = (group & 1) * 4
      for (let i = 0; i < 32; i++) {
        const fifth = bits === 5 ? ((raw[at + 16 + i] >> group) & 1) << 4 : 0
        into[start + group * 32 + i] = step * (((raw[from + i] >> shift) & 15) | fifth) - base
      }
    }
  })
}

/** 256 weights in sixteen groups of 16: low nibbles, two high bits apart, int8 group scales, and one f16 over all. */
const q6k = blocks(256, 210, (raw, at, into, start) => {
  const overall = half(raw, at + 208)
  for (let i = 0; i < 256; i++) {
    // Each half of 128 weights has four rows of 32; rows 0 and 1 are low nibbles, 2 and 3 the high ones of the same bytes.
    const side = i >> 7
    const row = (i >> 5) & 3
    const column = i & 31
    const nibble = (raw[at + side * 64 + (row & 1) * 32 + column] >> ((row >> 1) * 4)) & 15
    const high = (raw[at + 128 + side * 32 + column] >> (row * 2)) & 3
    into[start + i] = overall * raw.readInt8(at + 192 + (i >> 4)) * ((nibble | (high << 4)) - 32)
  }
})

/** The quantised forms of llama.cpp that we read. */
export const ggmlDtypes: Readonly<Record<string, Dtype>> = {
  Q4_0: smallBlock(4, false),
  Q4_1: smallBlock(4, true),
  Q5_0: smallBlock(5, false),
  Q5_1: smallBlock(5, true),
  Q8_0: q80,
  Q4_K: kBlock(4),
  Q5_K: kBlock(5),
  Q6_K: q6k,
}
