import type { Board } from '../board/types.ts'
import { workSeconds, workWatts } from '../board/work.ts'
import { DeapdError } from '../errors.ts'
import { runningPhases } from '../governor/choose.ts'
import { initialState } from '../governor/initial.ts'
import { type Point, thriftiest } from '../governor/points.ts'
import { step } from '../governor/step.ts'
import { tuning } from '../governor/tuning.ts'
import type { Decision, Inputs, Ladder } from '../governor/types.ts'

export type Orders = Omit<Decision, 'explanation' | 'predictedWatts'>

/** A governor under test: the law itself, or one it is compared with. */
export interface Law {
  decide(inputs: Inputs): Orders
}

export interface LawContext {
  /** The board as the law knows it, and as it really is. */
  readonly board: Board
  readonly truth: Board
  readonly shares: readonly number[]
  readonly budgetWatts: number
}

/** Steps of the CPU clock on every Orin (hardware.md §3.2). */
const cpuStepHz = 76.8e6

export function ladderOf(board: Board, shares: readonly number[]): Ladder {
  const { minHz, maxHz } = board.cpu
  const steps = Math.floor((maxHz - minHz) / cpuStepHz)
  const cpuHz = [...Array.from({ length: steps + 1 }, (_, i) => minHz + i * cpuStepHz), maxHz]
  return { gpuHz: board.gpu.pointsHz, cpuHz, shares }
}

/** One row per value of `--governor`; `fixed` takes a clock. */
const laws: Readonly<Record<string, (context: LawContext, argument: number) => Law>> = {
  deapd: ({ board, shares, budgetWatts }) => {
    const ladder = ladderOf(board, shares)
    let state = initialState({ atMs: 0, ladder, budgetWatts, idleWatts: board.model.idleWatts })
    return {
      decide(inputs) {
        const stepped = step(state, inputs)
        state = stepped.state
        return stepped.decision
      },
    }
  },
  none: ({ board, shares }) => capped(board.gpu.pointsHz[board.gpu.pointsHz.length - 1], shares, 'none'),
  maxn: ({ board, shares }) => capped(board.gpu.pointsHz[board.gpu.pointsHz.length - 1], shares, 'maxn'),
  fixed: ({ shares }, hz) => capped(hz, shares, 'fixed'),
  pid: ({ board, shares }) => pid(board, shares),
  oracle: ({ truth, shares }) => oracle(truth, shares),
}

export function createLaw(name: string, context: LawContext): Law {
  const [kind, argument] = name.split(':')
  const hz = Number(argument)
  const row = laws[kind]
  const points = context.board.gpu.pointsHz
  const usable = kind === 'fixed' ? points.includes(hz) : argument === undefined
  if (row !== undefined && usable) return row(context, hz)
  const detail =
    kind === 'fixed'
      ? `--governor ${name}: the clock must be one of ${points.join(', ')} Hz.`
      : `There is no governor "${name}". Known: ${Object.keys(laws).join(', ').replace('fixed', 'fixed:HZ')}.`
  throw new DeapdError('bad_usage', { detail })
}

const usual = { cpuHz: null, duty: 1, prefillChunk: 64, conditions: [] } as const

/** The same cap whatever happens, as a power mode or `jetson_clocks` would set it. */
function capped(gpuHz: number, shares: readonly number[], reason: string): Law {
  const full = shares.length - 1
  return {
    decide: ({ limits }) => ({
      ...usual,
      gpuHz,
      capLevel: full,
      ecoLevel: full,
      concurrency: limits.maxSequences,
      reason: reason as Orders['reason'],
    }),
  }
}

/** What one would write first: a PID on the watts, whose output is a cap. Gains by hand on the nominal plant, for little overshoot. */
function pid(board: Board, shares: readonly number[]): Law {
  const points = board.gpu.pointsHz
  const top = points[points.length - 1]
  const gains = { proportional: 6e6, integral: 25e6, derivative: 0.4e6 }
  const full = shares.length - 1
  let integral = points[0]
  let before: { readonly atMs: number; readonly error: number } | null = null
  return {
    decide({ limits, reading, load }) {
      const error = 0.98 * limits.budgetWatts - (reading?.totalWatts ?? Number.POSITIVE_INFINITY)
      const busy = load.active + load.queued > 0
      let hz = points[0]
      if (Number.isFinite(error) && reading !== null && busy) {
        const seconds = Math.min(1, (reading.atMs - (before?.atMs ?? reading.atMs)) / 1000)
        integral = Math.min(top, Math.max(points[0], integral + gains.integral * error * seconds))
        const slope = seconds > 0 && before !== null ? (error - before.error) / seconds : 0
        hz = integral + gains.proportional * error + gains.derivative * slope
        before = { atMs: reading.atMs, error }
      }
      return {
        ...usual,
        gpuHz: points.findLast((point) => point <= hz) ?? points[0],
        capLevel: full,
        ecoLevel: full,
        concurrency: limits.maxSequences,
        reason: 'pid' as Orders['reason'],
      }
    },
  }
}

/** Knows the plant, needs no sensor and no margin: at once the thriftiest point in time that is exactly within the budget. */
function oracle(truth: Board, shares: readonly number[]): Law {
  const { model } = truth
  const points = truth.gpu.pointsHz
  const full = shares.length - 1
  return {
    decide(inputs) {
      const { load, limits } = inputs
      const phases = runningPhases(inputs)
      const idle = load.active + load.queued === 0
      const choices = phases.map((phase) => {
        const { work } = load[phase]
        const rows = points.map((gpuHz): Point => {
          const watts = model.idleWatts + workWatts(model, gpuHz, work)
          return { gpuHz, watts, mostWatts: watts, seconds: workSeconds(model, gpuHz, work) }
        })
        const highest = Math.max(
          0,
          rows.findLastIndex((row) => row.watts <= limits.budgetWatts),
        )
        const steps = Math.max(1, load.promptTokens / load.prefill.tokens)
        const seconds =
          phase === 'decode' || limits.tokenSeconds === 0 ? limits.tokenSeconds : limits.firstTokenSeconds / steps
        const aim = { seconds, idleWatts: model.idleWatts, backlog: load.queued > 0 ? 1 : 0 }
        return { highest, wanted: thriftiest(rows, highest, aim) }
      })
      const rung = Math.min(Math.max(...choices.map(({ wanted }) => wanted)), ...choices.map(({ highest }) => highest))
      return {
        ...usual,
        gpuHz: idle ? points[0] : points[rung],
        capLevel: full,
        ecoLevel: 0,
        concurrency: limits.maxSequences,
        prefillChunk: tuning.chunkLeastTokens * 8,
        reason: 'oracle' as Orders['reason'],
      }
    },
  }
}

/** What holds before anybody has decided: a board as it comes up, and an engine that may do what it likes. */
export function unordered(board: Board, full: number, maxSequences: number): Orders {
  const gpuHz = board.gpu.pointsHz[board.gpu.pointsHz.length - 1]
  return { ...usual, gpuHz, capLevel: full, ecoLevel: full, concurrency: maxSequences, reason: 'start' }
}
