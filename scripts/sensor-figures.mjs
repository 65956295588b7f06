/**
 * Prints what reading the sensors costs on the machine that runs it: CPU time and wall time of one reading of every board's
 * simulated tree (plain files; a real i2c bus adds waiting, not CPU), and of one tegrastats line.
 * Run as `node scripts/sensor-figures.mjs` after `npm run build`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { boards } from '../dist/board/boards/index.js'
import { discoverPower } from '../dist/power/discover.js'
import { parseTegrastats } from '../dist/power/tegrastats-parse.js'
import { createTwin } from '../dist/twin/board.js'
import { emit } from '../dist/twin/tegrastats.js'

const readings = 4000
const everyMs = 50
const root = mkdtempSync(join(tmpdir(), 'deapd-sensors-'))
const now = () => Number(process.hrtime.bigint()) / 1e6
const cpuMicros = () => {
  const { user, system } = process.cpuUsage()
  return user + system
}

process.stdout.write(`${cpus()[0]?.model ?? 'unknown processor'}, ${readings} readings a board, simulated trees\n\n`)
process.stdout.write('| board | CPU µs/reading | wall µs, median | wall µs, 99 % |\n| --- | --- | --- | --- |\n')
for (const board of boards) {
  const twin = createTwin({ board, root: join(root, board.id), now: () => 0 })
  twin.refresh(45)
  const source = discoverPower(board, { root: join(root, board.id), tegrastats: null, now })
  for (let index = 0; index < 200; index += 1) await source.read(index)
  const walls = []
  const before = cpuMicros()
  for (let index = 0; index < readings; index += 1) {
    const from = now()
    await source.read(1000 + index * everyMs)
    walls.push((now() - from) * 1000)
  }
  const cpu = (cpuMicros() - before) / readings
  walls.sort((a, b) => a - b)
  const at = (share) => walls[Math.floor(share * (walls.length - 1))].toFixed(0)
  process.stdout.write(`| ${board.id} | ${cpu.toFixed(0)} | ${at(0.5)} | ${at(0.99)} |\n`)
  await source.close()
  twin.stop()
}
rmSync(root, { recursive: true })

const line = emit('r36-agx-orin', {
  date: '01-01-1970 00:00:07',
  ram: { usedBytes: 2e9, totalBytes: 6e10, largestBlocks: 6, largestBlockBytes: 4 * 1024 ** 2 },
  swap: null,
  cores: Array.from({ length: 12 }, () => ({ load: 0.1, hz: 2_201_600_000 })),
  gpu: { load: 0.9, hz: [1_300_500_000, 1_300_500_000] },
  emc: { load: 0.4, hz: 3_199_000_000 },
  engines: {},
  zones: { cpu: 50, gpu: 51, soc0: 48, soc1: 48, soc2: 47, tj: 51 },
  rails: ['VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0'].map((label) => ({ label, watts: 9, meanWatts: 9, maxWatts: 9 })),
})
const before = cpuMicros()
for (let index = 0; index < 20_000; index += 1) parseTegrastats(line)
process.stdout.write(
  `\na tegrastats line of ${line.length} characters: ${((cpuMicros() - before) / 20_000).toFixed(1)} µs CPU\n`,
)
