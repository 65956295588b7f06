import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { stepWork, workSeconds, workWatts } from '../src/board/work.ts'
import { type Cell, type CellOrder, type CellRig, planCells } from '../src/calibrate/cells.ts'
import { fitCells } from '../src/calibrate/fit.ts'
import { regress } from '../src/calibrate/regress.ts'
import { sweep } from '../src/calibrate/sweep.ts'
import { energyOf } from '../src/cli/prune.ts'
import { tokenEnergy } from '../src/compress/joules.ts'
import { loadSettings } from '../src/config/load.ts'
import { calibrate } from '../src/daemon/calibrate.ts'
import { createVirtualRig } from '../src/daemon/calibrate-virtual.ts'
import { createLog } from '../src/daemon/log.ts'
import { DeapdError } from '../src/errors.ts'
import { importModel } from '../src/models/import.ts'
import { calibratedModel, parametersOf, readCalibration, writeCalibration } from '../src/store/calibration.ts'
import { asIfCost } from '../src/twin/as-if.ts'
import { perturbed } from '../src/twin/perturb.ts'
import { tinyConfig, tinyWeights, writeCheckpoint } from './support/tiny-llama.ts'

const shares = [0.4, 0.55, 0.7, 0.85, 1]
const cost = asIfCost('llama-2-7b', shares)
if (cost === undefined) throw new Error('the 7B is a row of the table')
const never = new AbortController().signal

/** A sweep of the simulated board, with what `change` makes of each cell. */
const sweptWith = (id: string, change: (cell: Cell, order: CellOrder) => Cell, seed = 1) => {
  const board = findBoard(id)
  const rig = createVirtualRig(board, cost, { seed, plantError: 0.3 })
  const changed: CellRig = { run: async (order, ...rest) => change(await rig.run(order, ...rest), order) }
  const options = { levels: shares.length, pointsHz: board.gpu.pointsHz, secondsPerCell: 4, signal: never }
  return sweep(changed, board.model, options)
}
const swept = (id: string, seed: number) => sweptWith(id, (cell) => cell, seed)

t.test('on plants off by up to 30 % the fit predicts cells it has not seen', async (t) => {
  for (const id of ['agx-orin-64gb', 'orin-nano-8gb']) {
    const board = findBoard(id)
    for (let seed = 101; seed <= 106; seed += 1) {
      const { fit } = await swept(id, seed)
      const really = perturbed(board, 0.3, seed).model
      let power = 0
      let time = 0
      // Every clock, and contexts and levels of which the sweep saw only some.
      for (const gpuHz of board.gpu.pointsHz) {
        for (const phase of ['decode', 'prefill'] as const) {
          for (const contextTokens of [0, 1000, 3000]) {
            const work = stepWork(cost, { phase, level: 2, tokens: phase === 'prefill' ? 64 : 1, contextTokens })
            const watts = really.idleWatts + workWatts(really, gpuHz, work)
            power = Math.max(power, Math.abs((fit.model.idleWatts + workWatts(fit.model, gpuHz, work)) / watts - 1))
            time = Math.max(time, Math.abs(workSeconds(fit.model, gpuHz, work) / workSeconds(really, gpuHz, work) - 1))
          }
        }
      }
      t.ok(power < 0.03, `${id} ${seed}: power within ${(100 * power).toFixed(2)} %`)
      t.ok(time < 0.03, `${id} ${seed}: time within ${(100 * time).toFixed(2)} %`)
      const { value, halfWidth } = fit.figures.idle_watts
      t.ok(halfWidth !== null && halfWidth < 0.05 * value, 'idle watts with a narrow interval')
      t.ok(fit.energy.rSquared > 0.9 && Math.abs((fit.energy.elasticity ?? 0) - 0.99) < 0.03)
    }
  }
})

t.test('a sweep that no such board could have made is refused', async (t) => {
  const { model } = findBoard('agx-orin-64gb')
  const { cells } = await swept('agx-orin-64gb', 1)
  t.throws(() => fitCells(model, cells.slice(0, 4)), { code: 'calibration_poor', message: /3 cells with work/ })
  // A clock that does not obey: every cell at the highest.
  const deaf = (cell: Cell): Cell => ({ ...cell, watts: 40, step: cell.step && { ...cell.step, seconds: 0.03 } })
  await t.rejects(sweptWith('agx-orin-64gb', deaf), { code: 'calibration_poor' })
})

t.test('a cell that was disturbed is run again; one that is always off refuses the sweep', async (t) => {
  const undisturbed = await swept('agx-orin-64gb', 1)
  t.equal(undisturbed.repeats, 0)
  const stalled = (cell: Cell): Cell => ({
    ...cell,
    step: cell.step && { ...cell.step, seconds: 2 * cell.step.seconds },
  })
  const busier = (cell: Cell): Cell => ({ ...cell, watts: 1.6 * cell.watts })
  const [first, second] = [undisturbed.cells[5].order, undisturbed.cells[20].order]
  const seen = new Set<unknown>()
  const once = await sweptWith('agx-orin-64gb', (cell, order) => {
    if (seen.has(order)) return cell
    seen.add(order)
    return isDeepStrictEqual(order, first) ? stalled(cell) : isDeepStrictEqual(order, second) ? busier(cell) : cell
  })
  t.ok(once.repeats >= 2 && once.repeats <= 4, `${once.repeats} cells were run again`)
  t.ok(once.fit.powerRSquared > 0.99 && once.fit.timeRSquared > 0.99)
  const always = sweptWith('agx-orin-64gb', (cell, order) => (isDeepStrictEqual(order, second) ? busier(cell) : cell))
  await t.rejects(always, { code: 'calibration_poor', message: /a cell's power is off/ })

  /** As of an engine that stood still for the whole cell, so many times. */
  const blind = (times: number) => {
    let left = times
    return (cell: Cell, order: CellOrder): Cell => {
      if (isDeepStrictEqual(order, second) && left-- > 0)
        throw new DeapdError('calibration_poor', { detail: 'no step' })
      return cell
    }
  }
  t.equal((await sweptWith('agx-orin-64gb', blind(2))).repeats, 2)
  await t.rejects(sweptWith('agx-orin-64gb', blind(9)), { code: 'calibration_poor', message: /no step/ })
})

t.test('non-negative least squares: exact on exact data, never below zero, intervals that cover', async (t) => {
  const rows = [
    [1, 0, 5],
    [1, 1e9, 3],
    [1, 2e9, 8],
    [1, 5e9, 1],
    [1, 7e9, 2],
  ]
  const exact = regress(
    rows,
    rows.map(([a, b, c]) => 3 * a + 2e-9 * b + 0.5 * c),
    [1, 1, 1, 1, 1],
  )
  for (const [index, value] of [3, 2e-9, 0.5].entries()) {
    t.ok(Math.abs(exact.coefficients[index] / value - 1) < 1e-6)
  }
  t.ok(exact.rSquared > 1 - 1e-9)
  const falling = regress(
    rows,
    rows.map(([, b]) => 10 - 1e-9 * b),
    [1, 1, 1, 1, 1],
  )
  t.equal(falling.coefficients[1], 0)
  t.equal(falling.halfWidths[1], null, 'a coefficient at its bound has no interval')
})

t.test('the plan: idle first and last, every level at clocks from the lowest up', async (t) => {
  const orders = planCells(3, findBoard('agx-orin-64gb').gpu.pointsHz)
  t.equal(orders.length, 2 + 6 * 4)
  t.match([orders[0].kind, orders.at(-1)?.kind], ['idle', 'idle'])
  const clocks = orders.slice(0, -1).map(({ gpuHz }) => gpuHz)
  t.strictSame(
    clocks,
    [...clocks].sort((a, b) => a - b),
  )
  t.equal(planCells(3, [1, 2]).length, 2 + 2 * 4)
})

const key = { board: 'agx-orin-64gb', simulated: true, model: 'support-s as llama-2-7b' }

const calibrationOf = ({
  fit,
  cells,
}: Pick<Awaited<ReturnType<typeof swept>>, 'fit' | 'cells'>): Parameters<typeof writeCalibration>[1] => ({
  schema: 'deapd-calibration/1',
  ...key,
  date: '2026-11-24T00:00:00.000Z',
  sensor: 'hwmon',
  cells: cells.length,
  parameters: parametersOf(fit.model),
  figures: {},
  quality: { power_r_squared: 0.9991, time_r_squared: 1, largest_power_error: 0, largest_time_error: 0 },
  energy_priors: { joules_per_byte: 0, joules_per_flop: 0, static_watts: 0, elasticity: null, r_squared: 1 },
})

t.test('a calibration is stored whole, and used for its own board and model only', async (t) => {
  const folder = t.testdir({})
  const { fit, cells } = await swept('agx-orin-64gb', 7)
  t.match(readCalibration(folder, key), { calibration: null, why: 'not calibrated' })
  writeCalibration(folder, calibrationOf({ fit, cells }))
  const { calibration, why } = readCalibration(folder, key)
  t.equal(why, 'calibrated 2026-11-24, R² 0.999')
  t.strictSame(calibration && calibratedModel(findBoard(key.board).model, calibration), fit.model)
  t.match(readCalibration(folder, { ...key, model: 'other' }), { calibration: null, why: /the calibration is of/ })
  writeFileSync(join(folder, 'calibration.json'), '{"schema"')
  t.match(readCalibration(folder, key), { calibration: null, why: /cannot be read/ })
  writeFileSync(join(folder, 'calibration.json'), '{}')
  t.match(readCalibration(folder, key), { calibration: null, why: /is not a calibration/ })
})

t.test(
  'pruning counts with a calibration of its board, says so, and refuses one it was told to use and cannot',
  async (t) => {
    const folder = t.testdir({})
    const { fit, cells } = await swept('agx-orin-64gb', 7)
    const flags = { board: 'agx-orin-64gb', state: folder }
    t.throws(() => energyOf(flags), { code: 'calibration_unusable', message: /not calibrated/ })
    writeCalibration(folder, calibrationOf({ fit, cells }))
    const found = energyOf(flags)
    t.equal(found.source, 'calibration of 2026-11-24T00:00:00.000Z with support-s as llama-2-7b, simulated')
    const full = { bytes: 4e9, weights: 7e9, kvBytesPerToken: 5e5 }
    const calibrated = tokenEnergy(found, full, 300)
    const { gpuHz } = calibrated
    t.equal(calibrated.source, found.source)
    t.not(calibrated.joules(4e9), tokenEnergy({ board: found.board }, full, 300).joules(4e9))
    const work = { phase: 'decode', bytes: 4e9 + 300 * 5e5, flops: 14e9 } as const
    const joules = workSeconds(fit.model, gpuHz, work) * (fit.model.idleWatts + workWatts(fit.model, gpuHz, work))
    t.ok(Math.abs(calibrated.joules(4e9) / joules - 1) < 1e-9, 'the joules of the model that was fitted')
    t.throws(() => energyOf({ ...flags, board: 'orin-nano-8gb' }), { message: /calibration is of agx-orin-64gb/ })
    writeFileSync(join(folder, 'calibration.json'), '{"schema"')
    t.throws(() => energyOf(flags), { message: /cannot be read/ })
    process.env.STATE_DIRECTORY = folder
    t.teardown(() => delete process.env.STATE_DIRECTORY)
    t.match(energyOf({ ...flags, state: undefined }).source, /^priors of the board \(calibration.json cannot be read/)
  },
)

t.test('through the daemon’s own engine, files and adapters: fitted, cancelled, clocks put back', async (t) => {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), { ...tinyConfig, context: 512 }, tinyWeights(tinyConfig, 1))
  await importModel({ source, out: join(root, 'tiny'), quantisation: 'int8', block: 32, levels: 2 })
  const state = join(root, 'state')
  const { settings } = loadSettings({ state, model: join(root, 'tiny'), twin: 'agx-orin-64gb' }, {})
  const gpu = join(state, 'twin/sys/class/devfreq/17000000.gpu')
  // A ladder of three: eleven clocks would take half a minute.
  mkdirSync(gpu, { recursive: true })
  writeFileSync(join(gpu, 'available_frequencies'), '306000000 816000000 1300500000\n')
  const cap = () => readFileSync(join(gpu, 'max_freq'), 'utf8')
  const options = { secondsPerCell: 0.8, realTime: true, seed: 1, plantError: 0, dryRun: false }
  const cancel = new AbortController()
  const cancelled = calibrate(settings, {}, createLog('silent'), {
    ...options,
    signal: cancel.signal,
    onCell: (done) => done === 2 && cancel.abort(new Error('enough')),
  })
  await t.rejects(cancelled)
  t.equal(cap(), '1300500000\n', 'the cap is back')
  t.notOk(existsSync(join(state, 'calibration.json')), 'nothing is stored')

  // A machine that starves us in one sweep is refused, rightly; not in three.
  const sweptInTurn = async (left: number): ReturnType<typeof calibrate> => {
    const seen: Cell[] = []
    const onCell = (_done: number, _all: number, cell: Cell) => seen.push(cell)
    try {
      return await calibrate(settings, {}, createLog('silent'), { ...options, signal: never, onCell })
    } catch (error) {
      t.comment(`${error}: ${JSON.stringify(seen)}`)
      if (left === 1 || (error as DeapdError).code !== 'calibration_poor') throw error
      return sweptInTurn(left - 1)
    }
  }
  const { calibration, path } = await sweptInTurn(3)
  t.equal(cap(), '1300500000\n')
  t.match(calibration, { board: 'agx-orin-64gb', simulated: true, sensor: 'hwmon', model: 'tiny as llama-2-7b' })
  t.ok(calibration.quality.power_r_squared > 0.95, `R² ${calibration.quality.power_r_squared}`)
  t.ok(path !== null && existsSync(path))
})
