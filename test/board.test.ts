import t from 'tap'
import { boards, findBoard } from '../src/board/boards/index.ts'
import { detectBoard } from '../src/board/detect.ts'
import { totalPower, withRuleFor, withRuleNamed } from '../src/board/reading.ts'
import { partShares, relativeVolts, runWork, stepWork, type Work, workSeconds, workWatts } from '../src/board/work.ts'

const decode7b: Work = { phase: 'decode', bytes: 3.4e9, flops: 13.2e9 }
const prefill7b: Work = { phase: 'prefill', bytes: 3.4e9, flops: 128 * 13.2e9 }

t.test('every row is complete and consistent', async (t) => {
  t.equal(new Set(boards.map((board) => board.id)).size, boards.length, 'ids are unique')
  const parts = boards.flatMap(({ partNumbers, firmware }) => partNumbers.map((part) => `${part} ${firmware}`))
  t.equal(new Set(parts).size, parts.length, 'a part number means one board of each firmware')
  for (const board of boards) {
    const labels = board.rails.map((rail) => rail.label)
    t.ok(
      board.total.rails.every((label) => labels.includes(label)),
      `${board.id}: the total is made of its rails`,
    )
    t.notOk(
      board.total.rails.some((label) => label.startsWith('VDDQ')),
      `${board.id}: DRAM is not counted twice`,
    )
    t.strictSame(
      board.gpu.pointsHz,
      [...board.gpu.pointsHz].sort((a, b) => a - b),
      `${board.id}: points ascend`,
    )
    t.ok(board.budget.minWatts < board.budget.defaultWatts && board.budget.defaultWatts <= board.budget.maxWatts)
    t.ok(board.budget.minWatts > board.model.idleWatts, `${board.id}: the least budget is above idle`)
    const peak = 2 * board.emc.maxHz * board.emc.busBytes
    const read = board.model.memoryBytesPerSecond / peak
    t.ok(read > 0.7 && read < 0.96, `${board.id}: memory gives ${read.toFixed(2)} of its peak`)
    t.equal(board.model.cpu.maxHz, board.cpu.maxHz, `${board.id}: one highest CPU clock`)
    t.ok(board.cpu.policies.at(-1) ?? 0 < board.cpu.cores)
    const counted = board.rails.filter((rail) => board.total.rails.includes(rail.label))
    const sum = (part: 'idleWatts' | 'gpuPart' | 'cpuPart' | 'busyPart' | 'dramPart') =>
      counted.reduce((total, rail) => total + rail[part], 0)
    t.ok(Math.abs(sum('idleWatts') - board.model.idleWatts) < 1e-9, `${board.id}: idle watts of the rails add up`)
    for (const part of ['gpuPart', 'cpuPart', 'busyPart', 'dramPart'] as const) {
      t.ok(Math.abs(sum(part) - 1) < 1e-9, `${board.id}: ${part} adds up to 1`)
    }
    t.equal(findBoard(board.id), board)
  }
  t.throws(() => findBoard('toaster'), { code: 'board_unknown' })
})

t.test('the power model of the AGX Orin 64GB gives published figures', async (t) => {
  const { model, gpu } = findBoard('agx-orin-64gb')
  const seconds = workSeconds(model, 1_300_500_000, decode7b)
  // TinyChat 25.9 ms, MLC 21.3 ms on this board (deap.md §7); TRT-LLM 8B int4 46.5 W (hardware.md §4.3).
  t.ok(seconds > 0.022 && seconds < 0.0262, `a decoded token takes ${seconds} s`)
  const total = model.idleWatts + workWatts(model, 1_300_500_000, decode7b)
  t.ok(total > 44 && total < 50, `decode draws ${total} W`)
  const prefill = model.idleWatts + workWatts(model, 1_300_500_000, prefill7b)
  t.ok(prefill > 50, `a prefill burst draws ${prefill} W: 50 W binds`)
  const within = gpu.pointsHz.filter((hz) => model.idleWatts + workWatts(model, hz, decode7b) <= 32)
  t.ok(within.length > 1, '32 W is reached by the clock alone')
  for (const work of [decode7b, prefill7b]) {
    const watts = gpu.pointsHz.map((hz) => workWatts(model, hz, work))
    t.strictSame(
      watts,
      [...watts].sort((a, b) => a - b),
      `${work.phase} watts rise with the clock`,
    )
  }
  t.equal(relativeVolts(model, 300e6), 1)
  t.ok(Math.abs(relativeVolts(model, 1300e6) - 1.35) < 0.001)
})

t.test('the Orin Nano row reproduces its measured decode point', async (t) => {
  // llama.cpp Llama-3.1-8B Q4_K_M at 612 MHz: 7.72 tokens/s, 13.68 W with locked clocks, idle 5.24 W (hardware.md §4.2).
  const { model } = findBoard('orin-nano-8gb')
  const work: Work = { phase: 'decode', bytes: 4.69e9, flops: 16e9 }
  t.ok(Math.abs(1 / workSeconds(model, 612e6, work) / 7.72 - 1) < 0.05)
  t.ok(Math.abs((5.24 + workWatts(model, 612e6, work)) / 13.68 - 1) < 0.1)
})

t.test('work of a step', async (t) => {
  const cost = { weightBytes: [4, 10], kvBytesPerContextToken: 1, flopsPerToken: 100 }
  const step = { level: 0, tokens: 1, contextTokens: 5 }
  t.strictSame(stepWork(cost, { ...step, phase: 'decode' }), { phase: 'decode', bytes: 10, flops: 40 })
  t.strictSame(stepWork(cost, { ...step, phase: 'prefill' }), { phase: 'prefill', bytes: 16, flops: 100 })
  t.equal(stepWork(cost, { ...step, phase: 'decode', level: 9 }).bytes, 16, 'an unknown level is the full network')
})

t.test('a total with a missing rail is unknown, and so is zero on every rail', async (t) => {
  const board = findBoard('agx-orin-64gb')
  const rails = { VDD_GPU_SOC: 5, VDD_CPU_CV: 0, VIN_SYS_5V0: 4, VDDQ_VDD2_1V8AO: 1 }
  t.same(totalPower(board, rails), { totalWatts: 9, totalWattsReason: null, totalRule: 'sum3' })
  t.match(totalPower(board, { VDD_CPU_CV: 1 }), {
    totalWatts: null,
    totalWattsReason: 'no reading of VDD_GPU_SOC, VIN_SYS_5V0',
  })
  t.match(totalPower(board, { VDD_GPU_SOC: 0, VDD_CPU_CV: 0, VIN_SYS_5V0: 0 }), { totalWatts: null })
})

t.test('a board with an input sensor falls back to its rails only where there is none', async (t) => {
  const thor = findBoard('agx-thor')
  const rails = { VDD_GPU: 1, VDD_CPU_SOC_MSS: 5, VIN_SYS_5V0: 5 }
  t.match(totalPower(thor, { ...rails, VIN: 17 }), { totalWatts: 17, totalRule: 'VIN' })
  t.match(totalPower(thor, rails), { totalWatts: 11, totalRule: 'sum3' })
  t.match(totalPower(withRuleFor(thor, ['VIN', 'VDD_GPU']), rails), {
    totalWatts: null,
    totalWattsReason: 'no reading of VIN',
    totalRule: 'VIN',
  })
})

t.test('a bill goes by the rule of the reading', async (t) => {
  const thor = findBoard('agx-thor')
  t.equal(withRuleNamed(thor, 'VIN'), thor)
  t.match(withRuleNamed(thor, 'sum3').total, { name: 'sum3', rails: ['VDD_GPU', 'VDD_CPU_SOC_MSS', 'VIN_SYS_5V0'] })
  t.match(withRuleNamed(thor, 'external_meter').total, { name: 'external_meter', rails: ['VIN'] })
})

t.test('detection: part number, then firmware by the GPU clock, then the rails', async (t) => {
  for (const board of boards) {
    for (const part of board.partNumbers) {
      const names = `nvidia,p3737-0000+${part}\0nvidia,${part}\0nvidia,${board.chip}\0`
      const gpuHz = board.gpu.pointsHz
      const { board: found, certain, why } = detectBoard(names, 'X\0', { rails: [], gpuHz })
      t.equal(found?.id, board.id)
      t.ok(certain)
      t.match(why, part)
    }
  }
  const nano = 'nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0'
  t.equal(detectBoard(nano, 'X').board?.id, 'orin-nano-8gb', 'without a list of clocks the plain firmware')
  t.match(detectBoard(nano, 'X', { rails: [], gpuHz: [306e6, 1020e6] }), {
    board: { id: 'orin-nano-8gb-super' },
    why: /Super firmware by its GPU clock/,
  })
  const odd = 'acme,box\0nvidia,tegra234\0'
  const rails = ['VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0', 'VDDQ_VDD2_1V8AO']
  t.match(detectBoard(odd, 'Box', { rails, gpuHz: [306e6, 930.75e6] }), {
    board: { id: 'agx-orin-32gb' },
    certain: false,
    why: /by its rails it is taken for Jetson AGX Orin 32GB/,
  })
  t.match(detectBoard(odd, 'Box', { rails: ['VDD_CPU_CV'], gpuHz: [] }), { board: undefined })
  t.match(detectBoard('nvidia,p9999-0001\0nvidia,tegra999\0', 'Jetson Next\0'), {
    board: undefined,
    why: 'Jetson Next (nvidia,p9999-0001) is a Jetson that deapd does not know yet',
  })
  t.match(detectBoard('raspberrypi,5-model-b\0', 'Raspberry Pi 5'), { board: undefined, why: /not a Jetson/ })
  t.match(detectBoard(undefined, undefined), { board: undefined, why: 'there is no device tree' })
})

t.test('a run for several sequences reads the weights once and each its own cache', async (t) => {
  const cost = { weightBytes: [50, 100], kvBytesPerContextToken: 2, flopsPerToken: 10 }
  const run = {
    phase: 'decode',
    level: 1,
    parts: [
      { tokens: 1, contextTokens: 9 },
      { tokens: 1, contextTokens: 29 },
    ],
  } as const
  t.same(runWork(cost, run), { phase: 'decode', bytes: 100 + 20 + 60, flops: 20 })
  t.same(partShares(cost, run), [120 / 280, 160 / 280], 'as what each would have moved alone')
  const chunks = { phase: 'prefill', level: 1, parts: [run.parts[0], { tokens: 3, contextTokens: 0 }] } as const
  t.same(partShares(cost, chunks), [1 / 4, 3 / 4])
})
