/** Text that may go out, and whether a stop string was met. */
export interface StopResult {
  readonly text: string
  readonly stopped: boolean
}

/**
 * Holds back text that could be the beginning of a stop string, which may be spread over tokens; the stop string itself is
 * never shown. `flush` gives what is still held when the answer ends otherwise.
 */
export function stopFilter(stops: readonly string[]): { push(text: string): StopResult; flush(): string } {
  const wanted = stops.filter((stop) => stop.length > 0)
  let held = ''
  return {
    push(text) {
      held += text
      const found = wanted.map((stop) => held.indexOf(stop)).filter((at) => at >= 0)
      if (found.length > 0) {
        const shown = held.slice(0, Math.min(...found))
        held = ''
        return { text: shown, stopped: true }
      }
      const keep = Math.max(0, ...wanted.map((stop) => overlap(held, stop)))
      const shown = held.slice(0, held.length - keep)
      held = held.slice(held.length - keep)
      return { text: shown, stopped: false }
    },
    flush() {
      const rest = held
      held = ''
      return rest
    },
  }
}

/** Length of the longest end of `text` that begins `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length
  }
  return 0
}
