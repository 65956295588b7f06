import { readFileSync, writeFileSync } from 'node:fs'
import { bar } from './rows.mjs'

const cell = ({ digits }, value) => (value === undefined ? '' : value.toFixed(digits))
const table = (head, body) => [head, head.map(() => '---'), ...body].map((row) => `| ${row.join(' | ')} |\n`).join('')

/** The results as Markdown: bars, absolute figures, quality, and where each section was measured. */
export function report({ rows, sections }) {
  const parts = [
    table(
      ['what', 'measured', 'middle half', 'bar', 'verdict'],
      rows.map((row) => [
        row.what,
        cell(row, row.value),
        row.low === undefined ? '' : `${cell(row, row.low)}–${cell(row, row.high)}`,
        bar(row),
        row.verdict,
      ]),
    ),
    sections.quality
      ? quality(sections.quality.details)
      : 'Quality was not measured: the speeds above claim nothing.\n',
    figures(sections),
    table(
      ['section', 'shape', 'CPU', 'threads', 'deapd', 'when (UTC)', 'disturbed'],
      Object.entries(sections).map(([name, s]) => [
        name,
        s.shape,
        s.cpu,
        s.threads,
        s.commit,
        s.measured.slice(0, 16).replace('T', ' '),
        `${s.disturbance.disturbed}, at worst ${(s.disturbance.worst * 100).toFixed(0)} %`,
      ]),
    ),
  ]
  return parts.join('\n')
}

/** What the weights' forms cost, which belongs to every speed: mean NLL in nats of real models on the same tokens. */
const quality = (models) =>
  table(
    ['model', 'form', 'mean NLL', 'over fp32', 'tokens', 'note'],
    Object.entries(models).flatMap(([name, forms]) =>
      forms.map(({ form, tokens, mean_nll, over_fp32, note }) => [
        name,
        form,
        mean_nll.toFixed(4),
        over_fp32.toFixed(4),
        tokens,
        note,
      ]),
    ),
  )

const say = ({ median, low, high }, digits) =>
  `${median.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`

/** The absolute figures behind the ratios. */
function figures({ speed, prefill, levels, memory, start, http, streams }) {
  const rows = []
  if (speed) {
    const { ms_per_token: ms, flash_attention_of_llama: flash, read_bandwidth_gb_per_s: bandwidth } = speed.details
    for (const context of [128, 16]) {
      rows.push([
        `decode, context ${context}, ms/token`,
        say(ms[`deapd_${context}`], 1),
        theirs(ms, context, flash[context]),
      ])
    }
    rows.push(['decode, smallest level, ms/token', say(ms.deapd_low, 1), ''])
    if (bandwidth) rows.push(['read bandwidth of the machine, GB/s', say(bandwidth, 1), ''])
  }
  for (const [tokens, { tokens_per_second: rate, flash_attention_of_llama: flash }] of Object.entries(
    prefill?.details ?? {},
  )) {
    rows.push([
      `prefill ${tokens}, tokens/s`,
      `${say(rate.chunked, 0)}; in one run ${rate.whole.median.toFixed(0)}`,
      `${say(flash ? rate.fa : rate.no_fa, 0)}, flash attention ${flash ? 'on' : 'off'}`,
    ])
  }
  if (levels) {
    const list = levels.details.ms_per_token.map(
      ({ share, median }) => `${(share * 100).toFixed(0)} % ${median.toFixed(1)}`,
    )
    rows.push(['levels: weights read and ms/token', list.join(', '), ''])
  }
  if (memory) {
    const { details: d } = memory
    const need = `weights ${d.weights_mb.toFixed(0)}, KV ${d.kv_mb.toFixed(0)}`
    rows.push([
      'private memory at context 4,096, MB',
      `${d.deapd_private_mb.toFixed(0)} (${need})`,
      d.llama_private_mb.toFixed(0),
    ])
  }
  if (start) rows.push(['start, s', say(start.values.warm_start, 1), start.details.llama_seconds.toFixed(1)])
  if (http) {
    const { tokens, beside_others, comes_first } = http.details
    rows.push([
      'tokens over HTTP, and those beside which other programs ran more than 2 ms',
      `${tokens}, ${beside_others}`,
      '',
    ])
    rows.push(['the governor’s thread had real-time priority', comes_first ? 'yes' : 'no', ''])
  }
  if (streams) {
    const { one, four } = streams.details.tokens_per_second
    rows.push(['tokens/s over HTTP, one stream and four', `${say(one, 1)} and ${say(four, 1)}`, ''])
  }
  return table(['figure', 'deapd', 'llama.cpp'], rows)
}

const theirs = (ms, context, flash) =>
  `${say(ms[`${flash ? 'fa' : 'no_fa'}_${context}`], 1)}, flash attention ${flash ? 'on' : 'off'}`

/** Puts the report between the markers of bench/README.md. */
export function writeReport(results) {
  const path = new URL('README.md', import.meta.url)
  const text = readFileSync(path, 'utf8')
  const [begin, end] = ['<!-- results -->', '<!-- /results -->']
  const [before] = text.split(begin)
  writeFileSync(path, `${before}${begin}\n${report(results)}${text.slice(text.indexOf(end))}`)
}
