import { agxOrin64gb } from '../board/boards/agx-orin-64gb.ts'
import { orinNano8gb } from '../board/boards/orin-nano-8gb.ts'
import { orinNx16gb } from '../board/boards/orin-nx-16gb.ts'
import { cpuWatts, gpuDraw, gpuWatts, type Work } from '../board/work.ts'
import { advance, initialPlant, tjCelsius } from './plant.ts'
import { agxMax, decode, int4, mlc, nano15, nanoModes, type PublishedRow, row } from './published-case.ts'
import { agxRows, nanoRows, smolhubRows } from './published-decode.ts'

/** Stress maxima of the AGX Orin by power mode: GPU clock, SM left by the mask, CPU cores and clock, watts of both rails. */
const stress = [
  ['MAXN', 1.3005e9, 16, 12, 2.2016e9, 40.4, 15.2],
  ['50W', 816e6, 16, 12, 1.4976e9, 18.4, 6],
  ['30W', 612e6, 8, 8, 1.728e9, 7.6, 5.6],
  ['15W', 408e6, 6, 4, 1.1136e9, 5.2, 1.6],
] as const

function* stressRows(): Generator<PublishedRow> {
  const { rails, model } = agxOrin64gb
  for (const [mode, gpuHz, smCount, cores, cpuHz, gpu, cpu] of stress) {
    const full: Work = { phase: 'prefill', bytes: 0, flops: 1e15 }
    const gpuOurs = rails[0].idleWatts + gpuWatts({ ...model, smCount }, gpuHz, full)
    const cpuOurs = rails[1].idleWatts + cpuWatts(model, cpuHz, cores)
    yield row('fitted', '§4.3 forum 323456', `AGX ${mode}, stress, GPU_SOC`, 'W', gpu, gpuOurs)
    yield row('fitted', '§4.3 forum 323456', `AGX ${mode}, stress, CPU_CV`, 'W', cpu, cpuOurs)
  }
}

function* otherRows(): Generator<PublishedRow> {
  const tinychat = 1000 / decode(agxOrin64gb, int4, agxMax, 3.407).tokensPerSecond
  yield row('fitted', 'TinyChat README', 'AGX, LLaMA-2-7B int4', 'ms/token', 25.94, tinychat, '', '7 to 8 B')
  const fast = { ...mlc, memoryShare: 0.86 }
  const agx = decode(agxOrin64gb, fast, agxMax, 3.407)
  yield row(
    'held out',
    'MLC, dusty-nv',
    'AGX, LLaMA-2-7B int4, MLC',
    'ms/token',
    21.3,
    1000 / agx.tokensPerSecond,
    '',
    '7 to 8 B',
  )
  const kernels = 'its kernels reach the memory limit, which the p-norm never lets any reach'
  const original = decode(orinNano8gb, mlc, { ...nano15, gpuHz: 624.75e6 }, 4.5)
  yield row(
    'held out',
    '§4.2 AI Lab',
    'Nano, Llama-3.1-8B, MLC',
    'tok/s',
    14,
    original.tokensPerSecond,
    kernels,
    '7 to 8 B',
  )
  const better = decode(orinNano8gb, { ...mlc, memoryShare: 0.84 }, nanoModes.MAXN_SUPER, 4.5)
  yield row(
    'held out',
    '§4.2 AI Lab',
    'Nano Super, Llama-3.1-8B, MLC',
    'tok/s',
    19.1,
    better.tokensPerSecond,
    kernels,
    '7 to 8 B',
  )

  const usual = decode(agxOrin64gb, int4, agxMax, 3.407)
  const emc = decode(agxOrin64gb, int4, { ...agxMax, peakBytesPerSecond: (204.8e9 * 665.6) / 3199 }, 3.407)
  const low = decode(agxOrin64gb, int4, { ...agxMax, gpuHz: 408e6 }, 3.407)
  const modes = 'other clocks of the mode not known, taken to be the highest'
  const study = '§4.3 arXiv 2506.09554'
  const latency = usual.tokensPerSecond / emc.tokensPerSecond
  yield row('held out', study, 'AGX, EMC at 665 MHz, latency', '× of full', 4.7, latency, modes)
  yield row('held out', study, 'AGX, EMC at 665 MHz, power', '× of full', 0.48, emc.watts / usual.watts, modes)
  yield row('held out', study, 'AGX, GPU at 400 MHz, power', '× of full', 0.49, low.watts / usual.watts, modes)

  const { model } = orinNx16gb
  const worst = (gpuHz: number): number => {
    const { watts } = gpuDraw(model, gpuHz, { phase: 'prefill', bytes: 0, flops: 1e15 })
    return model.idleWatts + watts + model.activeWatts + cpuWatts(model, 1.4976e9, 8)
  }
  const load = 'load not known, taken to be the GPU and all cores'
  yield row('held out', '§3.5 ark', 'NX, 25W mode, VDD_IN', 'W', 16.9, worst(408e6), load)
  yield row('held out', '§3.5 ark', 'NX, 40W mode, VDD_IN', 'W', 27.6, worst(1173e6), load)

  const hot = { ...orinNx16gb.model, idleWatts: 29, leak: { ...orinNx16gb.model.leak, watts: 0 } }
  const conditions = { gpuHz: 0, cpuHz: 1e9, ambientCelsius: 25, hostCores: 0 }
  const slow = tjCelsius(
    advance(
      initialPlant(0, 25),
      { ...hot, fan: { ...hot.fan, fromCelsius: 1000, toCelsius: 2000 } },
      3.6e6,
      conditions,
    ),
  )
  const fan = 'air of 25 °C and the slowest fan assumed'
  yield row('held out', '§2.3 ark', 'NX, 29 W sustained, Tj', '°C', 92, slow, fan)
}

/** Every published figure of the boards we simulate that names its case well enough to be computed. */
export const publishedRows = (): readonly PublishedRow[] => [
  ...stressRows(),
  ...nanoRows(),
  ...smolhubRows(),
  ...agxRows(),
  ...otherRows(),
]
