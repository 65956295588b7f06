import type { Loaded } from '../engine/generation.ts'
import { openModel, type Sequence } from '../engine/model.ts'
import type { Ort } from '../engine/ort/api.ts'
import type { ChatMessage } from '../engine/protocol.ts'
import { mendFrom } from '../engine/scheduling/mend.ts'
import { argmax, lead } from '../engine/select.ts'
import { openTemplate } from '../engine/template.ts'
import { openTokenizer } from '../engine/tokenizer.ts'
import { DeapdError } from '../errors.ts'
import { openPackage } from '../models/package.ts'

/** Chooses the levels of one answer. A router of the engine is one; see `fixedLane` for the simplest. */
export interface Chooser {
  /** Level of the next run. */
  level(): number
  /** Takes note of the prompt's last row, which decides the first token. */
  begin(logits: Float32Array): void
  /** Looks at a row computed at `level`: false when its token shall be decided again, at `level()`. */
  accepts(logits: Float32Array, level: number): boolean
  /** The token that was taken. */
  add(tokenId: number): void
}

/** A way to answer: `start` is called once an answer, before anything of it is decided. */
export interface Lane {
  readonly start: (promptIds: readonly number[]) => Chooser
  /** Prompts whose answer is known without running: theirs is left empty. */
  readonly skips?: (promptIds: readonly number[]) => boolean
}

/** Every token after the first at one level. */
export const fixedLane = (level: number): Lane => ({
  start: () => ({ level: () => level, begin: () => undefined, accepts: () => true, add: () => undefined }),
})

export interface LaneAnswer {
  readonly text: string
  /** Decided tokens, the end token included when the model ended its answer. */
  readonly ids: readonly number[]
  /** The level that decided each token; the first comes from the prompt's run, at the full level. */
  readonly levels: readonly number[]
  /** How far each token's logit was ahead of the second largest. */
  readonly leads: readonly number[]
  /** Runs whose row was refused: they cost as much as any other. */
  readonly refused: readonly Refused[]
}

/** A run whose row decided nothing: before which token, at which level, and the rows of the run that decided it instead. */
export interface Refused {
  readonly at: number
  readonly level: number
  readonly mended: number
}

export interface Answerer {
  readonly levels: number
  /** Prompts answered side by side. */
  readonly batch: number
  /** The ids of a conversation, ready for the assistant's answer. */
  encode(messages: readonly ChatMessage[]): readonly number[]
  /**
   * Greedy answers in every lane: answers[lane][prompt]. Each prompt runs once, at the full level, and every lane goes on
   * from that cache, as in the daemon. Throws `context_length_exceeded` before anything runs.
   */
  answer(
    prompts: readonly (readonly number[])[],
    lanes: readonly Lane[],
  ): { readonly answers: readonly (readonly LaneAnswer[])[]; readonly seconds: Seconds }
  close(): void
}

/** What the runs took: reading the prompts, and decoding in each lane. */
export interface Seconds {
  readonly prefill: number
  readonly lanes: readonly number[]
}

export interface AnswererOptions {
  readonly batch?: number
  readonly threads?: number
  /** Most tokens of an answer, the end token included. */
  readonly maxTokens?: number
}

/** Opens a package for answering many prompts in this process. Throws `package_missing`, `package_invalid` or `package_damaged`. */
export function openAnswerer(ort: Ort, dir: string, options: AnswererOptions = {}): Answerer {
  const { batch = 16, threads = 1, maxTokens = 32 } = options
  const { manifest } = openPackage(dir)
  const model = openModel(ort, dir, manifest, threads, { slots: batch })
  const tokenizer = openTokenizer(dir)
  const loaded: Loaded = { model, tokenizer, encodeChat: openTemplate(dir, manifest, tokenizer) }
  const sequences = Array.from({ length: batch }, () => model.newSequence())
  return {
    levels: model.levels,
    batch,
    encode: loaded.encodeChat,
    answer(prompts, lanes) {
      const long = prompts.find((ids) => ids.length >= model.contextTokens)
      if (long) {
        const { contextTokens } = model
        throw new DeapdError('context_length_exceeded', { promptTokens: long.length, contextTokens })
      }
      const answers: LaneAnswer[][] = lanes.map(() => [])
      const seconds = { prefill: 0, lanes: lanes.map(() => 0) }
      for (let from = 0; from < prompts.length; from += batch) {
        const some = prompts.slice(from, from + batch)
        const startedAt = performance.now()
        const begun = some.map((promptIds, i) => prefill(sequences[i], promptIds, model.levels - 1))
        seconds.prefill += (performance.now() - startedAt) / 1000
        for (const [at, lane] of lanes.entries()) {
          const laneAt = performance.now()
          answers[at].push(...decode(loaded, begun, lane, maxTokens))
          seconds.lanes[at] += (performance.now() - laneAt) / 1000
        }
      }
      return { answers, seconds }
    },
    close: () => model.close(),
  }
}

interface Begun {
  readonly sequence: Sequence
  readonly promptIds: readonly number[]
  /** The prompt's last row, which decides the first token. */
  readonly first: Float32Array
}

function prefill(sequence: Sequence, promptIds: readonly number[], full: number): Begun {
  sequence.truncate(0)
  return { sequence, promptIds, first: sequence.run(promptIds, full, promptIds.length - 1).slice() }
}

interface Job extends Begun {
  readonly ids: number[]
  readonly levels: number[]
  readonly leads: number[]
  readonly refused: Refused[]
  /** The level that wrote each row of the answer in the cache. */
  readonly rows: number[]
  readonly chooser: Chooser
  readonly limit: number
  ended: boolean
}

/** Decodes one lane for prompts that have been read, side by side; answers that want the same level share a run. */
function decode({ model, tokenizer }: Loaded, begun: readonly Begun[], lane: Lane, maxTokens: number): LaneAnswer[] {
  const ends = model.manifest.eos_token_ids
  const full = model.levels - 1
  const take = (job: Job, logits: Float32Array, level: number): void => {
    const id = argmax(logits)
    job.ids.push(id)
    job.levels.push(level)
    job.leads.push(lead(logits))
    job.chooser.add(id)
    job.ended = ends.includes(id) || job.ids.length >= job.limit
  }
  const jobs = begun.map((one): Job => {
    const limit = Math.min(maxTokens, model.contextTokens - one.promptIds.length)
    one.sequence.truncate(one.promptIds.length)
    const ended = lane.skips?.(one.promptIds) ?? false
    const chooser = lane.start(one.promptIds)
    const job: Job = { ...one, ids: [], levels: [], leads: [], refused: [], rows: [], chooser, limit, ended }
    if (ended) return job
    chooser.begin(one.first)
    take(job, one.first, full)
    return job
  })
  /** Decides a token whose row was refused, as the engine does: what was written below that level is written anew first. */
  const mend = (job: Job, refusedAt: number): void => {
    const level = job.chooser.level()
    const from = mendFrom(job.rows, level)
    const pending = job.ids.slice(from)
    job.refused.push({ at: job.ids.length, level: refusedAt, mended: pending.length })
    job.sequence.truncate(job.promptIds.length + from)
    job.rows.splice(from, job.rows.length, ...pending.map(() => level))
    const logits = job.sequence.run(pending, level, pending.length - 1)
    if (!job.chooser.accepts(logits, level)) throw new Error('a token was refused by the network it was left to')
    take(job, logits, level)
  }
  for (;;) {
    const waiting = jobs.filter(({ ended }) => !ended)
    if (waiting.length === 0) break
    // The level that most ask for: the weights are read once for all of them.
    const level = mostCommon(waiting.map(({ chooser }) => chooser.level()))
    const group = waiting.filter(({ chooser }) => chooser.level() === level)
    const rows = model.decodeBatch(
      group.map(({ sequence }) => sequence),
      group.map(({ ids }) => ids[ids.length - 1]),
      level,
    )
    for (const [i, job] of group.entries()) {
      if (job.chooser.accepts(rows[i], level)) {
        job.rows.push(level)
        take(job, rows[i], level)
      } else mend(job, level)
    }
  }
  return jobs.map(({ ids, levels, leads, refused }) => {
    const said = ends.includes(ids[ids.length - 1]) ? ids.slice(0, -1) : ids
    // Chat templates end in a word border, so the first word brings a space that is not part of the answer.
    const text = tokenizer.decode(said)
    return { text: text.startsWith(' ') ? text.slice(1) : text, ids, levels, leads, refused }
  })
}

function mostCommon(levels: readonly number[]): number {
  const counts = new Map<number, number>()
  for (const level of levels) counts.set(level, (counts.get(level) ?? 0) + 1)
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0]
}
