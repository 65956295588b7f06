/** What an answer under way needs next, as far as planning goes. */
export interface Candidate {
  readonly phase: 'prefill' | 'decode'
  /** The level its next token may be decided at; a prompt always runs at the full one. */
  readonly level: number
  /** True when the caller named the level: then no other will do. */
  readonly pinned: boolean
  /** True when it runs several tokens at once, which no other answer can share. */
  readonly alone: boolean
  /** Number of the run it was last part of; smaller is longer ago. */
  readonly lastRun: number
  /** Order of arrival. */
  readonly arrival: number
}

/** The next run of the graph: a piece of one prompt, or one token each for answers that share a level. */
export type Plan<T> =
  | { readonly phase: 'prefill'; readonly job: T }
  | { readonly phase: 'decode'; readonly level: number; readonly jobs: readonly T[] }

/**
 * Decides what runs next. Prompts, oldest first, form one lane; the answers that decode form one lane per level; the lane
 * that has waited longest runs. So a long prompt holds running answers up by one piece at a time, and they it by one token.
 *
 * Answers whose level is free join the highest of theirs: a run at that level happens anyway, and carrying another answer
 * costs only that one's keys and values, less than any run of its own.
 */
export function plan<T extends Candidate>(jobs: readonly T[], lastPrefill: number): Plan<T> | null {
  const prompts = jobs.filter((job) => job.phase === 'prefill').sort((a, b) => a.arrival - b.arrival)
  const lanes: Lane<T>[] = lanesOf(jobs.filter((job) => job.phase === 'decode'))
  if (prompts.length > 0) lanes.push({ since: lastPrefill, plan: { phase: 'prefill', job: prompts[0] } })
  if (lanes.length === 0) return null
  return lanes.reduce((first, lane) => (lane.since < first.since ? lane : first)).plan
}

interface Lane<T> {
  readonly since: number
  readonly plan: Plan<T>
}

function lanesOf<T extends Candidate>(decoding: readonly T[]): Lane<T>[] {
  const shared = decoding.filter(({ alone }) => !alone)
  const free = Math.max(...shared.filter((job) => !job.pinned).map((job) => job.level))
  const levels = new Map<number, T[]>()
  for (const job of shared) {
    const level = job.pinned ? job.level : free
    levels.set(level, [...(levels.get(level) ?? []), job])
  }
  const lanes = [...levels, ...decoding.filter(({ alone }) => alone).map((job) => [job.level, [job]] as const)]
  return lanes.map(([level, jobs]) => ({
    since: Math.min(...jobs.map((job) => job.lastRun)),
    plan: { phase: 'decode', level, jobs },
  }))
}
