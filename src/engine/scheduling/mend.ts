/** Most rows of an answer that are written anew for one token: as long as a piece of a prompt. */
const mostMended = 64

/**
 * From which of an answer's rows on its cache is written anew before a refused token is decided at `level`; `levels` are those
 * of the rows. A better network that reads the keys and values of a smaller one mostly says what the smaller one said; and the
 * weights are read once for all rows, so a run that mends costs the bytes of one that does not.
 */
export function mendFrom(levels: readonly number[], level: number): number {
  const first = Math.max(0, levels.length - mostMended + 1)
  const below = levels.findIndex((own, i) => i >= first && own < level)
  return below < 0 ? levels.length : below
}
