import { uniform } from '../../twin/noise.ts'
import type { LaneAnswer } from '../answers.ts'

/**
 * What the router would be worth if it knew nothing: every prompt is answered at the level that most tokens of some other,
 * randomly drawn routed answer had. Then random prompts move to the full level, or to the lowest one in use, until the whole
 * costs as much as the routed answers did; `joules` are those of a lane answer to a prompt. Levels per prompt; seeded.
 */
export function randomRouting(
  routed: readonly LaneAnswer[],
  byLevel: readonly (readonly LaneAnswer[])[],
  joules: (answer: LaneAnswer, prompt: number) => number,
  seed: number,
): number[] {
  const random = uniform(seed)
  const full = byLevel.length - 1
  const used = routed.map((answer) => usualLevel(answer, full))
  const levels = shuffled(used, random)
  const at = (prompt: number, level: number): number => joules(byLevel[level][prompt], prompt)
  const wanted = routed.reduce((sum, answer, prompt) => sum + joules(answer, prompt), 0)
  let spent = levels.reduce((sum, level, prompt) => sum + at(prompt, level), 0)
  const toward = spent < wanted ? full : Math.min(...used)
  for (const prompt of shuffled([...levels.keys()], random)) {
    const change = at(prompt, toward) - at(prompt, levels[prompt])
    // The move that would cross the mark is made when that comes nearer to it.
    if (Math.abs(spent + change - wanted) > Math.abs(spent - wanted)) break
    spent += change
    levels[prompt] = toward
  }
  return levels
}

/** The level that decided most tokens after the first; the full one when there are none. */
function usualLevel({ levels }: LaneAnswer, full: number): number {
  const counts = new Map<number, number>()
  for (const level of levels.slice(1)) counts.set(level, (counts.get(level) ?? 0) + 1)
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best), [full, 0])[0]
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const out = [...items]
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[out[i], out[j]] = [out[j], out[i]]
  }
  return out
}
