import type { ModelCost, Work } from '../../board/work.ts'
import type { TrialColumns } from '../records.ts'
import { type Cost, costAt, decodeWork, prefillWork, type Run, type Setting } from './cost.ts'
import type { Trace } from './traces.ts'

/** Costs of runs in one setting, each kind of run computed once. */
function pricing(cost: ModelCost, { model, prefill, decode }: Setting) {
  const known = new Map<number, Cost>()
  const price = (key: number, clocks: Setting['prefill'], work: () => Work): Cost => {
    const found = known.get(key) ?? costAt(model, clocks, work())
    known.set(key, found)
    return found
  }
  return {
    run: (run: Run): Cost =>
      price(((run.level + 1) * 64 + run.rows) * 2 ** 20 + run.contextTokens, decode(run.level), () =>
        decodeWork(cost, run),
      ),
    prompt: (tokens: number): Cost => price(tokens, prefill, () => prefillWork(cost, tokens)),
  }
}

/** What each answer cost in a setting, and what the same work would have cost in the ideal one. */
export function trialColumns(traces: readonly Trace[], cost: ModelCost, at: Setting, ideal: Setting): TrialColumns {
  const here = pricing(cost, at)
  const best = pricing(cost, ideal)
  const column = (): Float64Array => new Float64Array(traces.length)
  const columns = {
    decodeJoules: column(),
    requestJoules: column(),
    decodeSeconds: column(),
    requestSeconds: column(),
    weightBytes: column(),
    idealJoules: column(),
  }
  for (const [i, { promptTokens, tokens, runs }] of traces.entries()) {
    for (const run of runs) {
      const { joules, seconds } = here.run(run)
      columns.decodeJoules[i] += joules
      columns.decodeSeconds[i] += seconds
      columns.idealJoules[i] += best.run(run).joules
      columns.weightBytes[i] += cost.weightBytes[run.level] / tokens
    }
    const prompt = here.prompt(promptTokens)
    columns.requestJoules[i] = columns.decodeJoules[i] + prompt.joules
    columns.requestSeconds[i] = columns.decodeSeconds[i] + prompt.seconds
  }
  return columns
}
