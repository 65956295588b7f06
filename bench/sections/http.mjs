import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { quantile, spread } from '../../dist/evaluate/statistics/quantiles.js'
import { calmly } from '../calm.mjs'
import { watchOthers } from '../others.mjs'
import { startSleeper } from '../sleeper.mjs'

const prompt = (tokens, salt) => Array.from({ length: tokens }, (_, i) => 300 + ((salt * 104_729 + i * 7919) % 200))

/** Tokens of an answer: the 99th percentile of five answers is then no single token's. */
const answerTokens = 96

/** Where daemon and client share the engine's cores somebody always waits: few tries, of long answers. */
const tries = 2

/** The client collects its garbage between answers: a pause of its own, in which a token waits to be seen, is not the daemon's. */
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

/** While others ran for longer than this, it was not only the daemon that a token waited for. */
const othersMs = 2

/**
 * What the daemon adds: the time between two tokens as a client sees them less the engine's time for the second, token by
 * token; and the time to the first byte less the engine's for the prompt. Tokens during which other programs ran are
 * counted and told of by themselves, and how late a thread that only sleeps is meanwhile.
 */
export async function http({ daemon, rounds, log }) {
  const alone = []
  const beside = []
  const first = []
  let salt = 1
  let watch
  const answer = async () => {
    await daemon.steps()
    const others = []
    collect()
    // Another prompt every time: what was read before would be reused.
    const seen = await daemon.complete(prompt(64, salt++), answerTokens, () => others.push(watch?.lookAside() ?? 0))
    return { ...seen, others, steps: await daemon.steps() }
  }
  watch = await watchOthers([...daemon.pids(), process.pid], answer)
  const sleeper = startSleeper()
  for (let round = 0; round < rounds; round++) {
    const { sentMs, arrivals, others, steps } = await calmly(daemon.pids(), answer, { tries })
    if (steps.length === 0)
      throw new Error('the engine announced no steps: step-tap.mjs no longer understands its messages')
    const prefill = steps.filter(({ phase }) => phase === 'prefill')
    // A step that shows nothing counts with the next one, and one that shows several tokens of a draft as a whole.
    let at = prefill.reduce((sum, { shown }) => sum + shown, -1)
    let spentMs = 0
    for (const { seconds, shown } of steps.filter(({ phase }) => phase === 'decode')) {
      spentMs += seconds * 1000
      if (shown === 0) continue
      const next = at + shown
      if (at >= 0 && next < arrivals.length) {
        const aside = others.slice(at + 1, next + 1).reduce((a, b) => a + b, 0)
        const cost = arrivals[next] - arrivals[at] - spentMs
        ;(aside > othersMs ? beside : alone).push(cost)
      }
      at = next
      spentMs = 0
    }
    first.push(arrivals[0] - sentMs - prefill.reduce((sum, { seconds }) => sum + seconds * 1000, 0))
    log(`http, round ${round + 1} of ${rounds}: ${arrivals.length} tokens in ${steps.length} steps`)
  }
  const all = [...alone, ...beside]
  const lateMs = sleeper.lateMs()
  await sleeper.close()
  watch.close()
  return {
    values: {
      http_median: quantile(all, 0.5),
      http_p99: quantile(all, 0.99),
      http_p99_alone: quantile(alone, 0.99),
      http_first: spread(first),
      sleeper_p99: quantile(lateMs, 0.99),
    },
    details: {
      tokens: all.length,
      beside_others: beside.length,
      comes_first: daemon.comesFirst(),
      cost_ms: { ...spread(all), p90: quantile(all, 0.9) },
    },
  }
}

/** One stream and four at once, in turns; tokens a second while all of them decode. */
export async function streams({ daemon, rounds, log }) {
  const count = 32
  const rates = { one: [], four: [] }
  const widths = []
  let salt = 1000
  for (let round = -1; round < rounds; round++) {
    for (const [name, width] of [
      ['one', 1],
      ['four', 4],
    ]) {
      const answer = async () => {
        await daemon.steps()
        const prompts = Array.from({ length: width }, () => prompt(4, salt++))
        const answers = await Promise.all(prompts.map((ids) => daemon.complete(ids, count)))
        return { answers, steps: await daemon.steps() }
      }
      const { answers, steps } = await calmly(daemon.pids(), answer, { tries })
      const fromMs = Math.max(...answers.map(({ arrivals }) => arrivals[0]))
      const toMs = Math.min(...answers.map(({ arrivals }) => arrivals[arrivals.length - 1]))
      const decided = answers.flatMap(({ arrivals }) => arrivals.filter((at) => at > fromMs && at <= toMs)).length
      if (round < 0) continue
      rates[name].push(decided / ((toMs - fromMs) / 1000))
      if (width === 4) widths.push(Math.max(...steps.map(({ parts }) => parts.length)))
      log(`streams, round ${round + 1} of ${rounds}, ${width}: ${rates[name].at(-1).toFixed(1)} tokens/s`)
    }
  }
  return {
    values: { streams_4: spread(rates.four.map((rate, i) => rate / rates.one[i])) },
    details: {
      tokens_per_second: { one: spread(rates.one), four: spread(rates.four) },
      widest_step: Math.max(...widths),
    },
  }
}
