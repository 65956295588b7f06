import { agxOrin64gb } from '../board/boards/agx-orin-64gb.ts'
import { orinNano8gb } from '../board/boards/orin-nano-8gb.ts'
import {
  agxMax,
  decode,
  fp16,
  groupOf,
  int4,
  llamacpp,
  nano15,
  nanoModes,
  type PublishedRow,
  row,
} from './published-case.ts'

/** llama.cpp Q4_K_M on the Orin Nano in its 15 W mode: name, gigabytes per token, tokens per second, VDD_IN. */
const nanoDecode = [
  ['Qwen2.5-0.5B', 0.38, 71.1, 11.171],
  ['Llama-3.2-1B', 0.77, 34.9, 12.409],
  ['Qwen2.5-1.5B', 0.94, 26.5, 11.746],
  ['Gemma-2-2B', 1.63, 15.9, 12.28],
  ['Qwen2.5-3B', 1.84, 14.9, 12.478],
  ['Llama-3.2-3B', 2.02, 14.5, 12.517],
  ['Phi-3.5-mini', 2.28, 12.8, 12.991],
  ['Mistral-7B', 4.17, 8.36, 13.68],
  ['Qwen2.5-7B', 4.47, 7.86, 13.443],
  ['Llama-3.1-8B', 4.69, 7.72, 13.68],
] as const

export function* nanoRows(): Generator<PublishedRow> {
  for (const [name, gigabytes, speed, watts] of nanoDecode) {
    const ours = decode(orinNano8gb, llamacpp, nano15, gigabytes)
    const group = groupOf(gigabytes)
    const use = name === 'Llama-3.1-8B' ? 'fitted' : 'held out'
    yield row(use, '§4.2 jfdg01', `Nano 15W, ${name}`, 'tok/s', speed, ours.tokensPerSecond, '', group)
    yield row(
      'fitted',
      '§4.2 jfdg01',
      `Nano 15W, ${name}, VDD_IN`,
      'W',
      watts,
      ours.watts,
      'DRAM slopes use all ten',
      group,
    )
  }
}

/** The two models of smolhub whose bytes per token are known: watts of VDD_CPU_GPU_CV and tokens per second by mode. */
const smolhub = {
  'Qwen2.5-0.5B': { gigabytes: 0.38, watts: [2.22, 5.34, 7.05, 8.73], speed: [27.4, 68.3, 92.6, 100.5] },
  'Llama-3.2-1B': { gigabytes: 0.77, watts: [2.26, 6.04, 8.56, 10.54], speed: [12.1, 32.3, 47, 51.9] },
} as const

export function* smolhubRows(): Generator<PublishedRow> {
  for (const [name, { gigabytes, watts, speed }] of Object.entries(smolhub)) {
    for (const [index, [mode, clocks]] of Object.entries(nanoModes).entries()) {
      const { rails, tokensPerSecond } = decode(orinNano8gb, llamacpp, clocks, gigabytes)
      const note = 'quantisation taken to be Q4_K_M'
      const small = groupOf(gigabytes)
      yield row(
        'held out',
        '§4.2 smolhub',
        `Nano ${mode}, ${name}`,
        'tok/s',
        speed[index],
        tokensPerSecond,
        note,
        small,
      )
      const what = `Nano ${mode}, ${name}, CPU_GPU_CV`
      yield row('held out', '§4.2 smolhub', what, 'W', watts[index], rails.VDD_CPU_GPU_CV, note, small)
    }
  }
}

/** Decode on the AGX Orin, clocks locked: name, kernel, gigabytes per token, tokens per second, watts of three rails. */
const agxDecode = [
  ['llama.cpp 1B Q4_K_M', llamacpp, 0.77, 87.2, 41.8, ''],
  ['llama.cpp 1B Q8_0', llamacpp, 1.32, 63.6, 38.3, 'bytes from the format'],
  ['llama.cpp 1B f16', llamacpp, 2.47, 47.2, 41.3, 'bytes from the format'],
  ['llama.cpp 8B Q4_K_M', llamacpp, 4.92, 23.6, 52.8, ''],
  ['TRT-LLM 8B int4', int4, 4.65, 33.1, 46.5, 'bytes estimated: fp16 head'],
  ['TRT-LLM 1B int4', int4, 1.04, 122.3, 38.1, 'bytes estimated: fp16 head'],
  ['TRT-LLM 1B fp16', fp16, 2.84, 61.3, 39.8, ''],
  ['vLLM 8B fp16', fp16, 16.1, 10.9, 43.5, ''],
] as const

export function* agxRows(): Generator<PublishedRow> {
  const source = '§4.3 kevinhe5'
  for (const [name, kernel, gigabytes, speed, watts, note] of agxDecode) {
    const ours = decode(agxOrin64gb, kernel, agxMax, gigabytes)
    const group = groupOf(gigabytes)
    // Activities of int4 and fp16 were read off these two rows; llama.cpp's parameters all come from the Nano.
    const use = name === 'TRT-LLM 8B int4' || name === 'vLLM 8B fp16' ? 'fitted' : 'held out'
    yield row('held out', source, `AGX, ${name}`, 'tok/s', speed, ours.tokensPerSecond, note, group)
    yield row(use, source, `AGX, ${name}, three rails`, 'W', watts, ours.watts, note, group)
    yield row('held out', source, `AGX, ${name}`, 'J/token', watts / speed, ours.joulesPerToken, note, group)
  }
}
