import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { parseTegrastats } from '../src/power/tegrastats-parse.ts'
import { emit, type TegrastatsState } from '../src/twin/tegrastats.ts'
import { dialects } from '../src/twin/tegrastats-dialects.ts'

t.test('grammar: dialects', async (t) => {
  const r36 = parseTegrastats(
    '01-01-1970 00:00:07 RAM 10/20MB (lfb 6x512kB) SWAP 1/2MB (cached 0MB) CPU [3%@729,off] EMC_FREQ 2%@2133 GR3D_FREQ 12%@[1300,1301] NVENC   off APE 174 cpu@52.968C/60C VDD_IN 5139mW/1mW/9mW WHAT?',
  )
  t.match(r36, {
    date: '01-01-1970 00:00:07',
    railWatts: { VDD_IN: 5.139 },
    zoneCelsius: { cpu: 52.968 },
    gpu: { load: 0.12, hz: [1300e6, 1301e6] },
    emc: { load: 0.02, hz: [2133e6] },
    engines: { NVENC: null, APE: { load: null, hz: [174e6] } },
    unknown: ['WHAT?'],
  })
  t.strictSame(r36.cpus, [{ load: 0.03, hz: [729e6] }, null])
  t.match(parseTegrastats('GR3D_FREQ 62% cpu@42C').gpu, { load: 0.62 }, 'R36 measures the GPU without root')
  t.match(parseTegrastats('EMC_FREQ 0% GR3D_FREQ 0% CPU@42C'), { gpu: { load: null }, emc: { load: null } })
  t.match(parseTegrastats('GR3D_FREQ @[0,0,0]').gpu, { load: null, hz: [0, 0, 0] })
  t.same(parseTegrastats('GPU 463/463 GPU@30.5C'), {
    ...parseTegrastats(''),
    railWatts: { GPU: 0.463 },
    zoneCelsius: { GPU: 30.5 },
  })
})

t.test('grammar: never throws and keeps what it does not know', async (t) => {
  const piece = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom('RAM', 'CPU [', '1%@', ']', 'mW', '/', '@', 'C', 'off', '[0,0]', ' ', '\t', '-256C', '4940mW/1mW'),
  )
  const property = fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
    const line = pieces.join('')
    const parsed = parseTegrastats(line)
    return (
      Object.values(parsed.railWatts).every((watts) => watts >= 0) &&
      parsed.unknown.every((word) => line.includes(word))
    )
  })
  t.doesNotThrow(() => fc.assert(property, { seed: 11, numRuns: 2000 }))
})

t.test('grammar: linear in the length of a line, whatever it holds', async (t) => {
  // A pattern that goes over its input again for each start would need hours for these.
  const million = 1_000_000
  for (const line of [
    'CPU ['.repeat(million / 5),
    'A '.repeat(million / 2),
    `A${' '.repeat(million)}`,
    'A'.repeat(million),
    '9'.repeat(million),
    'A 1/'.repeat(million / 4),
    'RAM 1/1MB (lfb '.repeat(million / 16),
    `GR3D_FREQ 1%@[${'1,'.repeat(million / 2)}`,
  ]) {
    const { unknown } = parseTegrastats(line)
    t.ok(unknown.length > 0 || /^A\s*$/.test(line))
  }
  t.strictSame(parseTegrastats(`VDD_IN ${'9'.repeat(400)}mW/1mW`).railWatts, {}, 'no number overflows')
})

/** The state that a line describes, read by other means than the parser under test. */
function stateOf(line: string): TegrastatsState {
  const found = (pattern: RegExp): string[] => [...(pattern.exec(line) ?? [])].slice(1)
  const mb = (value: string): number => Number(value) * 1024 ** 2
  const [used, total, blocks, size, unit] = found(/\bRAM (\d+)\/(\d+)MB \(lfb (\d+)x(\d+)(kB|MB)\)/)
  const swap = found(/SWAP (\d+)\/(\d+)MB \(cached (\d+)MB\)/)
  const busy = (text: string) => ({ load: Number(text.split('%')[0]) / 100, hz: Number(text.split('@')[1] ?? 0) * 1e6 })
  const [load = '0', clocks = ''] = found(/GR3D_FREQ (?:(\d+)%)?(?:@\[?([\d,]+)\]?)?/)
  const engines: Record<string, { load: number | null; hz: number } | null> = {}
  for (const [, name, percent, hz] of line.matchAll(/(\b(?!GR3D|EMC)[A-Z]\w+) +(?:(\d+)%)?@?(\d+|off)(?= |$)/g)) {
    engines[name] = hz === 'off' ? null : { load: percent ? Number(percent) / 100 : null, hz: Number(hz) * 1e6 }
  }
  const zones: Record<string, number | null> = {}
  for (const [, name, celsius] of line.matchAll(/(\w+)@(-?[\d.]+)C/g)) {
    zones[name.toLowerCase()] = celsius === '-256' ? null : Number(celsius)
  }
  const rails = [...line.matchAll(/(\w+) (\d+)(?:mW)?\/(\d+)(?:mW)?(?:\/(\d+)mW)?(?= |$)/g)]
  return {
    date: found(/^(\d\d-\d\d-\d{4} [\d:]+)/)[0] ?? '',
    ram: {
      usedBytes: mb(used),
      totalBytes: mb(total),
      largestBlocks: Number(blocks),
      largestBlockBytes: Number(size) * (unit === 'kB' ? 1024 : 1024 ** 2),
    },
    swap: swap.length > 0 ? { usedBytes: mb(swap[0]), totalBytes: mb(swap[1]), cachedBytes: mb(swap[2]) } : null,
    cores: found(/CPU \[([^\]]*)\]/)[0]
      .split(',')
      .map((core) => (core === 'off' ? null : busy(core))),
    gpu: { load: Number(load) / 100, hz: clocks.split(',').map((hz) => Number(hz) * 1e6) },
    emc: busy(found(/EMC_FREQ (\S+)/)[0] ?? '0%'),
    engines,
    zones,
    rails: rails.map(([, label, watts, mean, max]) => ({
      label,
      watts: Number(watts) / 1000,
      meanWatts: Number(mean) / 1000,
      maxWatts: Number(max ?? watts) / 1000,
    })),
  }
}

/** A busy Orin, for the dialects without a line of a real board beside the repository. */
const busy: TegrastatsState = {
  date: '01-01-1970 00:00:07',
  ram: { usedBytes: 2448 * 1024 ** 2, totalBytes: 62_840 * 1024 ** 2, largestBlocks: 6, largestBlockBytes: 512 * 1024 },
  swap: { usedBytes: 1024 ** 2, totalBytes: 31_420 * 1024 ** 2, cachedBytes: 0 },
  cores: [{ load: 0.03, hz: 2_201_600_000 }, null, { load: 1, hz: 729_600_000 }],
  gpu: { load: 0.97, hz: [1_300_500_000, 1_300_500_000] },
  emc: { load: 0.43, hz: 3_199_000_000 },
  engines: {
    APE: { load: null, hz: 174e6 },
    NVENC: { load: 0.79, hz: 166e6 },
    NVDLA0_FREQ: { load: null, hz: 1600e6 },
  },
  zones: { cpu: 52.968, soc0: 49.5, soc1: 48.25, soc2: 48, gpu: 55.062, tj: 55.062, cv0: null, cv1: null, cv2: null },
  rails: [
    { label: 'VDD_GPU_SOC', watts: 25.135, meanWatts: 20.1, maxWatts: 31.2 },
    { label: 'VDD_CPU_CV', watts: 0, meanWatts: 0.4, maxWatts: 0.8 },
    { label: 'VIN_SYS_5V0', watts: 11.1, meanWatts: 9, maxWatts: 12 },
    { label: 'NC', watts: 0, meanWatts: 0, maxWatts: 0 },
    { label: 'NC', watts: 0, meanWatts: 0, maxWatts: 0 },
  ],
}

t.test('what the twin prints in every dialect is read back as it was meant', async (t) => {
  for (const dialect of dialects) {
    const parsed = parseTegrastats(emit(dialect, busy))
    t.strictSame(parsed.unknown, [], `${dialect.id}: nothing left over`)
    t.equal(parsed.date, dialect.date ? busy.date : null, dialect.id)
    t.match(parsed.memory.RAM, { usedBytes: busy.ram.usedBytes, largestBlockBytes: 512 * 1024, largestBlocks: 6 })
    t.strictSame(parsed.cpus, [{ load: 0.03, hz: [2201e6] }, null, { load: 1, hz: [729e6] }], dialect.id)
    const known = { clock: [0.97, [1300e6]], clocks: [0.97, [1300e6, 1300e6]], load: [0.97, []] } as const
    const gpu = { ...known, fake: [null, []], 'clocks only': [null, [1300e6, 1300e6]], omitted: null }[dialect.gpu]
    t.strictSame(parsed.gpu, gpu && { load: gpu[0], hz: gpu[1] }, `${dialect.id}: a made-up zero is unknown`)
    const emc = { clock: { load: 0.43, hz: [3199e6] }, fake: { load: null, hz: [] }, omitted: null }[dialect.emc]
    t.strictSame(parsed.emc, emc, dialect.id)
    const rails = { VDD_GPU_SOC: 25.135, VDD_CPU_CV: 0, VIN_SYS_5V0: 11.1 }
    t.strictSame(parsed.railWatts, dialect.rails === 'omitted' ? {} : rails, dialect.id)
    const live = Object.values(parsed.zoneCelsius).filter((celsius) => celsius !== null)
    t.ok(live.length >= 3 && live.includes(52.968), `${dialect.id}: zones`)
    if (dialect.offZones === 'omitted') t.notOk('cv0' in parsed.zoneCelsius, 'a zone that is off is not printed')
  }
  t.throws(() => emit('r99', busy), /no tegrastats dialect/)
})

t.test('any subset of the tokens of a line is read', async (t) => {
  const lines = dialects.map((dialect) => emit({ ...dialect, date: false }, busy))
  const whole =
    /[A-Z]*RAM [^)]*\)|SWAP [^)]*\)|CPU \[[^\]]*\]|MTS fg \d+% bg \d+%|\S+@-?[\d.]+C\S*|\w+ +(?:off|\S*[\d\]%W])/g
  const property = fc.property(fc.constantFrom(...lines), fc.infiniteStream(fc.boolean()), (line, keep) => {
    const tokens = (line.match(whole) ?? []).filter(() => keep.next().value)
    const parsed = parseTegrastats(tokens.join(' '))
    return parsed.unknown.length === 0
  })
  t.doesNotThrow(() => fc.assert(property, { seed: 12, numRuns: 500 }))
})

/** Which dialect each file of the corpus is written in. */
const spoken: Readonly<Record<string, string>> = {
  'agx-orin-32gb-jp50-plain': 'jp50-orin',
  'agx-orin-32gb-r35-nosudo-norails': 'r35-orin-user',
  'agx-orin-32gb-r36-nosudo-offcpus': 'r36-orin-user',
  'agx-orin-32gb-r36-sudo-padded': 'r36-agx-orin-padded',
  'agx-orin-64gb-r35-sudo-gr3d-array': 'r35-orin',
  'agx-orin-64gb-r35-sudo-idle': 'r35-orin-early',
  'agx-orin-64gb-r35-sudo-load-dla': 'r35-orin',
  'agx-orin-64gb-r36-nosudo': 'r36-orin-user',
  'agx-orin-64gb-r36.4.4-sudo': 'r36-agx-orin',
  'agx-orin-64gb-r39.2-sudo': 'r39-orin',
  'agx-thor-r38-nosudo-idle': 'r38-thor-user',
  'agx-thor-r38.4-sudo': 'r38-thor',
  'agx-thor-r38.4.0-sudo-idle': 'r38-thor',
  'agx-thor-r39.2-nosudo-triples': 'r39-thor-user',
  'agx-xavier-r32-nosudo': 'r32-xavier-user',
  'agx-xavier-r32-sudo-offcpus': 'r32-xavier',
  'nano-r32-nosudo-offcpus': 'r32-nano-user',
  'nano-r32-sudo-iram': 'r32-nano',
  'nano-r32-sudo-offcpus': 'r32-nano',
  'orin-nano-4gb-r36-sudo-missing-vdd-soc': 'r36-orin-nano',
  'orin-nano-8gb-r35-sudo-7w-offcpus': 'r35-orin-early',
  'orin-nano-8gb-r36-nosudo': 'r36-orin-user',
  'orin-nano-8gb-r36-sudo-idle': 'r36-orin-nano',
  'orin-nano-8gb-r36-sudo-load': 'r36-orin-nano',
  'orin-nano-8gb-r36.5.0-nosudo-llm-decode': 'r36-orin-user',
  'orin-nano-super-r36.4.7-nosudo-idle': 'r36-orin-user',
  'orin-nano-super-r36.4.7-nosudo-load': 'r36-orin-user',
  'orin-nx-16gb-r35-nosudo-norails': 'r35-orin-nx-user',
  'orin-nx-16gb-r35-sudo-offcpus': 'r35-orin-nx',
  'orin-nx-16gb-r36-nosudo': 'r36-orin-user',
  'tx1-r32-sudo-iram': 'r32-tx1',
  'tx2-4gb-r32-sudo-noswap': 'r32-tx2-mts',
  'tx2-nx-r32-nosudo-norails': 'r32-tx2-nx-user',
  'tx2-r32-nosudo-2019': 'r32-tx2-user',
  'tx2-r32-nosudo-log': 'r32-tx2-user',
  'tx2-r32-sudo-mts': 'r32-tx2-mts',
  'tx2-r32-sudo-offcpus': 'r32-tx2',
  'xavier-nx-r32-sudo': 'r32-xavier',
  'xavier-nx-r35-sudo': 'r35-xavier-nx',
}

/** Without what no state holds: padding, the load of the Denver cores, and the date that some authors cut off. */
const bare = (line: string): string =>
  line
    .trim()
    .replace(/ +/g, ' ')
    .replace(/MTS fg \d+% bg \d+%/, 'MTS')

const corpus = join(import.meta.dirname, '../../shared/tegrastats')
t.test('the corpus of real lines', { skip: existsSync(corpus) ? false : '../shared is not present' }, async (t) => {
  let lines = 0
  const files = readdirSync(corpus).filter((file) => /^[a-z].*\.txt$/.test(file))
  t.strictSame(files.map((file) => file.slice(0, -4)).sort(), Object.keys(spoken).sort())
  for (const name of files) {
    const dialect = spoken[name.slice(0, -4)]
    for (const line of readFileSync(join(corpus, name), 'utf8').split('\n')) {
      if (line.trim() === '') continue
      lines += 1
      const parsed = parseTegrastats(line)
      t.strictSame(parsed.unknown, [], `${name}: nothing left over`)
      t.ok(parsed.cpus.length > 0 && parsed.memory.RAM.largestBlockBytes !== null, name)
      t.equal(Object.keys(parsed.railWatts).length === 0, name.includes('norails'), `${name}: rails`)
      t.equal(bare(emit(dialect, stateOf(line))), bare(line), `${name}: the twin prints the same line`)
    }
  }
  t.equal(lines, 124)
  t.equal(new Set(Object.values(spoken)).size, dialects.length, 'every dialect was heard on a real board')
})
