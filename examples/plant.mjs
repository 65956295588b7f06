#!/usr/bin/env node
// A board from outside: a program that deapd knows nothing about plays the Jetson. It writes the sensor files (or prints
// tegrastats lines), reads the clock files that deapd writes, and learns from outside what the engine does: the CPU time of
// the process that /readyz names. Its physics are its own on purpose. Nothing of src/ is used; see README.md beside it.
//
//   plant.mjs --dir DIR --daemon URL [--budget W] [--sensor hwmon|tegrastats:MS] [--scale X] [--seed N]
//   plant.mjs --follow DIR          prints the lines of the plant in DIR: what `--tegrastats` is given
//
// SIGTERM ends it; it then prints one JSON line about the power that was really drawn.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'

const { values: given } = parseArgs({
  options: {
    dir: { type: 'string' },
    daemon: { type: 'string' },
    follow: { type: 'string' },
    budget: { type: 'string', default: '50' },
    sensor: { type: 'string', default: 'hwmon' },
    scale: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
  },
})

/** The board: an AGX Orin 64GB as R36.4 shows it. */
function layout(withHwmon) {
  const megahertz = [306, 408, 510, 612, 714, 816, 918, 1020, 1122, 1224, 1300.5]
  const files = {
    'proc/device-tree/compatible': 'nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0',
    'proc/device-tree/model': 'NVIDIA Jetson AGX Orin Developer Kit\0',
    'etc/nv_tegra_release': '# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n',
    'sys/class/devfreq/17000000.gpu/device/of_node/name': 'gpu\0',
    'sys/class/devfreq/17000000.gpu/available_frequencies': `${megahertz.map((mhz) => mhz * 1e6).join(' ')}\n`,
    'sys/class/devfreq/17000000.gpu/min_freq': '306000000\n',
    'sys/class/devfreq/17000000.gpu/max_freq': '1300500000\n',
    'sys/class/devfreq/17000000.gpu/cur_freq': '306000000\n',
    'sys/class/thermal/thermal_zone0/type': 'tj-thermal\n',
    'sys/class/thermal/thermal_zone0/temp': '40000\n',
    'sys/class/thermal/thermal_zone0/trip_point_0_type': 'passive\n',
    'sys/class/thermal/thermal_zone0/trip_point_0_temp': '99000\n',
  }
  for (const policy of [0, 4, 8]) {
    const folder = `sys/devices/system/cpu/cpufreq/policy${policy}`
    files[`${folder}/scaling_min_freq`] = '729600\n'
    files[`${folder}/scaling_max_freq`] = '2201600\n'
    files[`${folder}/scaling_cur_freq`] = '2201600\n'
  }
  for (let core = 1; core < 12; core += 1) files[`sys/devices/system/cpu/cpu${core}/online`] = '1\n'
  if (!withHwmon) return files
  files['sys/class/hwmon/hwmon3/name'] = 'ina3221\n'
  for (const [index, { label, volts }] of rails.entries()) {
    files[`sys/class/hwmon/hwmon3/in${index + 1}_label`] = `${label}\n`
    files[`sys/class/hwmon/hwmon3/in${index + 1}_input`] = `${volts * 1000}\n`
    files[`sys/class/hwmon/hwmon3/curr${index + 1}_input`] = '200\n'
  }
  return files
}

const rails = [
  { label: 'VDD_GPU_SOC', volts: 19.2, stepMilliamperes: 20 },
  { label: 'VDD_CPU_CV', volts: 19.2, stepMilliamperes: 20 },
  { label: 'VIN_SYS_5V0', volts: 5, stepMilliamperes: 20 },
]

/** Watts of each rail when the GPU is busy this part of the time, at these parts of its highest GPU and CPU clocks. */
function physics(scale, busy, gpu, cpu, celsius) {
  const leak = 1 + 0.004 * (celsius - 40)
  return [
    2.6 * leak + scale * busy * (12 * gpu + 24 * gpu ** 3),
    0.7 + scale * busy * 5 * cpu ** 2,
    4.6 + scale * busy * 9 * Math.sqrt(gpu),
  ]
}

function play(dir, daemon) {
  const [kind, interval] = given.sensor.split(':')
  const budgetWatts = Number(given.budget)
  const scale = Number(given.scale)
  const random = uniform(Number(given.seed))
  for (const [path, content] of Object.entries(layout(kind === 'hwmon'))) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), content)
  }
  const engine = watchEngine(daemon)
  const truth = createTruth(budgetWatts)
  let celsius = 40
  let gpuShare = 306 / 1300.5
  let sinceSensor = { seconds: 0, joules: [0, 0, 0] }
  let last = performance.now()

  const step = () => {
    const now = performance.now()
    const seconds = (now - last) / 1000
    last = now
    const cap = readNumber(join(dir, 'sys/class/devfreq/17000000.gpu/max_freq')) ?? 1300.5e6
    const cpuCap = readNumber(join(dir, 'sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq')) ?? 2201600
    const busy = engine.busy(seconds)
    // The clock follows its cap within some 15 ms.
    gpuShare += (cap / 1300.5e6 - gpuShare) * (1 - Math.exp(-seconds / 0.015))
    const watts = physics(scale, busy, gpuShare, cpuCap / 2201600, celsius)
    const total = watts[0] + watts[1] + watts[2]
    celsius += (25 + 0.55 * total - celsius) * (1 - Math.exp(-seconds / 60))
    truth.add(now, seconds, total, busy)
    sinceSensor.seconds += seconds
    watts.forEach((value, rail) => {
      sinceSensor.joules[rail] += value * seconds
    })
  }

  /** What the sensor makes of the time since its last conversion: a mean with noise, in whole steps of current. */
  const convert = () => {
    const { seconds, joules } = sinceSensor
    sinceSensor = { seconds: 0, joules: [0, 0, 0] }
    if (seconds === 0) return null
    return rails.map(({ volts, stepMilliamperes }, rail) => {
      const noisy = (joules[rail] / seconds) * (1 + 0.006 * (random() - 0.5))
      return Math.round(((noisy / volts) * 1000) / stepMilliamperes) * stepMilliamperes
    })
  }

  const timers = [setInterval(step, 15)]
  const zone = join(dir, 'sys/class/thermal/thermal_zone0/temp')
  timers.push(setInterval(() => replace(zone, `${Math.round(celsius * 1000)}\n`), 1000))
  if (kind === 'hwmon') {
    const refresh = () => {
      convert()?.forEach((milliamperes, rail) => {
        replace(join(dir, `sys/class/hwmon/hwmon3/curr${rail + 1}_input`), `${milliamperes}\n`)
      })
    }
    timers.push(setInterval(refresh, 45))
  } else {
    // A line shows the last conversion of some 45 ms before it, not the mean of its whole interval, as the real one does.
    let shown = null
    timers.push(
      setInterval(() => {
        shown = convert() ?? shown
      }, 45),
    )
    const readers = new Set()
    const server = createServer((reader) => {
      readers.add(reader)
      reader.on('error', () => undefined).on('close', () => readers.delete(reader))
    })
    rmSync(join(dir, 'plant.sock'), { force: true })
    server.listen(join(dir, 'plant.sock'))
    const print = () => {
      if (shown === null) return
      const zones = `cpu@${celsius.toFixed(3)}C tj@${celsius.toFixed(3)}C`
      const power = rails.map(({ label, volts }, rail) => {
        const milliwatts = Math.round(shown[rail] * volts)
        return `${label} ${milliwatts}mW/${milliwatts}mW`
      })
      for (const reader of readers)
        reader.write(`11-24-2026 12:00:00 RAM 9000/62841MB (lfb 4x4MB) GR3D_FREQ 0% ${zones} ${power.join(' ')}\n`)
    }
    timers.push(setInterval(print, Number(interval ?? 1000)))
  }
  process.once('SIGTERM', () => {
    for (const timer of timers) clearInterval(timer)
    console.log(JSON.stringify(truth.report()))
    process.exit(0)
  })
  console.log('plant ready')
}

/** The engine as anybody can see it: its process id from /readyz, its CPU time from /proc. */
function watchEngine(daemon) {
  let pid = null
  let before = null
  const ask = async () => {
    const reply = await fetch(`${daemon}/readyz`).then(
      (response) => response.json(),
      () => null,
    )
    if (reply?.engine?.pid !== pid) before = null
    pid = reply?.engine?.pid ?? null
  }
  setInterval(ask, 500)
  return {
    /** Part of the last `seconds` in which it computed: a quarter of a thread's time is enough to keep a GPU busy. */
    busy(seconds) {
      const now = pid === null ? null : cpuSeconds(pid)
      const used = now === null || before === null ? 0 : now - before
      before = now
      return seconds > 0 ? Math.min(1, Math.max(0, (4 * used) / seconds)) : 0
    },
  }
}

/** CPU seconds of all threads of a process, to the nanosecond where the kernel tells. */
function cpuSeconds(pid) {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    return (
      threads.reduce(
        (sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
        0,
      ) / 1e9
    )
  } catch {
    return null
  }
}

/** What was really drawn: every second of it, a tenth of a second apart, against the budget. */
function createTruth(budgetWatts) {
  const recent = []
  let nextMs = 0
  let windows = 0
  let over = 0
  let worstWatts = 0
  let joules = 0
  let seconds = 0
  let busySeconds = 0
  let excursionMs = 0
  let longestExcursionMs = 0
  return {
    add(now, length, watts, busy) {
      joules += watts * length
      seconds += length
      busySeconds += busy * length
      excursionMs = watts > 1.02 * budgetWatts ? excursionMs + length * 1000 : 0
      longestExcursionMs = Math.max(longestExcursionMs, excursionMs)
      recent.push({ now, length, watts })
      while (recent.length > 0 && recent[0].now <= now - 1000) recent.shift()
      if (seconds < 1.1 || now < nextMs) return
      nextMs = now + 100
      const time = recent.reduce((sum, one) => sum + one.length, 0)
      const mean = recent.reduce((sum, one) => sum + one.length * one.watts, 0) / time
      windows += 1
      if (mean > budgetWatts) over += 1
      worstWatts = Math.max(worstWatts, mean)
    },
    report: () => ({
      seconds,
      busy_seconds: busySeconds,
      windows,
      windows_over: over,
      share_over: windows === 0 ? null : over / windows,
      worst_second_watts: worstWatts,
      mean_watts: joules / seconds,
      longest_excursion_ms: longestExcursionMs,
    }),
  }
}

/** A reader finds the old value or the new one. Where the folder is gone (a driver that is not bound), nothing is shown. */
function replace(path, text) {
  try {
    writeFileSync(`${path}~`, text)
    renameSync(`${path}~`, path)
  } catch (thrown) {
    if (thrown.code !== 'ENOENT') throw thrown
  }
}

function readNumber(path) {
  try {
    const text = readFileSync(path, 'utf8').trim()
    return /^\d+$/.test(text) ? Number(text) : null
  } catch {
    return null
  }
}

/** Seeded numbers in [0, 1). */
function uniform(seed) {
  let state = (seed * 2654435761) % 4294967296 || 1
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296
    return state / 4294967296
  }
}

if (given.follow) {
  connect(join(given.follow, 'plant.sock'))
    .on('error', () => process.exit(1))
    .on('close', () => process.exit(0))
    .pipe(process.stdout)
} else if (given.dir && given.daemon) {
  play(given.dir, given.daemon)
} else {
  console.error('plant.mjs needs --dir DIR and --daemon URL, or --follow DIR')
  process.exit(2)
}
