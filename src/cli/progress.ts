const redrawMs = 100
const lineEveryMs = 10_000

/** Told how many of `total` are done; a new `what` begins a new bar. */
export type ShowProgress = (done: number, total: number, what: string) => void

/**
 * Shows progress on standard error: a bar redrawn in place on a terminal; elsewhere plain lines, at most one in ten seconds
 * and one at the end of what took longer than that.
 */
export function progressReporter(): ShowProgress {
  const terminal = process.stderr.isTTY === true
  let current = ''
  let startedAtMs = 0
  let shownAtMs = 0
  return (done, total, what) => {
    const nowMs = performance.now()
    if (what !== current) {
      current = what
      startedAtMs = nowMs
      shownAtMs = terminal ? 0 : nowMs
    }
    const ended = done >= total
    const due = nowMs - shownAtMs >= (terminal ? redrawMs : lineEveryMs)
    if (!due && !(ended && (terminal || nowMs - startedAtMs >= lineEveryMs))) return
    shownAtMs = nowMs
    const text = describe(done, total, what, (nowMs - startedAtMs) / 1000)
    if (terminal) process.stderr.write(`\r\u001b[K${bar(done / total)} ${text}${ended ? '\n' : ''}`)
    else process.stderr.write(`${text}\n`)
  }
}

function bar(share: number): string {
  const filled = Math.round(share * 30)
  return `[${'='.repeat(filled)}${' '.repeat(30 - filled)}]`
}

function describe(done: number, total: number, what: string, seconds: number): string {
  const amount = `${round(done)} of ${round(total)} ${what}`
  if (done >= total) return `${amount}, ${seconds.toFixed(1)} s`
  const secondsLeft = ((total - done) * seconds) / done
  return Number.isFinite(secondsLeft) ? `${amount}, ${secondsLeft.toFixed(0)} s left` : amount
}

const round = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1))
