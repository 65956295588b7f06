import type { ModelCost } from '../board/work.ts'
import type { StepEvent } from '../engine/protocol.ts'
import type { Load } from '../governor/types.ts'
import { createWorks } from '../governor/works.ts'

/** What the governor is told of the engine's work; made of the steps it announces and of who waits. */
export interface Workload {
  /** An answer was begun. */
  started(requestId: string, promptTokens: number): void
  addStep(step: StepEvent): void
  ended(requestId: string): void
  load(now: {
    readonly fromMs: number
    readonly toMs: number
    readonly active: number
    readonly queued: number
    readonly told: Load['told']
    readonly busy: { readonly prefillSeconds: number; readonly decodeSeconds: number }
    readonly prefillChunk: number
    /** When the GPU clock last changed: a step that began before says nothing about the present one. */
    readonly changedAtMs: number
  }): Load
}

interface Open {
  promptLeft: number
  contextTokens: number
}

/** `onEdge` is called when prompts begin or end: what may run next changes, and with it the cap that holds. */
export function createWorkload(cost: ModelCost, onEdge: () => void): Workload {
  const open = new Map<string, Open>()
  const works = createWorks(cost)
  const full = cost.weightBytes.length - 1
  let level = full
  const last: Record<StepEvent['phase'], StepEvent | null> = { prefill: null, decode: null }
  const reading = (): number => [...open.values()].filter(({ promptLeft }) => promptLeft > 0).length

  const watched = (change: () => void): void => {
    const before = reading()
    change()
    if (before > 0 !== reading() > 0) onEdge()
  }

  return {
    started: (id, promptTokens) => watched(() => open.set(id, { promptLeft: promptTokens, contextTokens: 0 })),
    ended: (id) => watched(() => open.delete(id)),
    addStep: (step) =>
      watched(() => {
        last[step.phase] = step
        if (step.phase === 'decode') level = step.level
        for (const { requestId, tokens, contextTokens } of step.parts) {
          const answer = open.get(requestId)
          if (answer === undefined) continue
          // Tokens that were in the cache already need no reading.
          const total = answer.promptLeft + answer.contextTokens
          answer.contextTokens = contextTokens + tokens
          answer.promptLeft = step.phase === 'decode' ? 0 : Math.max(0, total - answer.contextTokens)
        }
      }),
    load({ fromMs, toMs, active, queued, told, busy, prefillChunk, changedAtMs }) {
      const answers = [...open.values()]
      const decoding = answers.filter(({ promptLeft }) => promptLeft === 0)
      const contextTokens = decoding.reduce((sum, answer) => sum + answer.contextTokens, 0)
      const shape = { level, sequences: decoding.length, contextTokens, prefillChunk }
      const { decode, prefill } = works(shape)
      const measured = (phase: StepEvent['phase']): number | null => {
        const step = last[phase]
        last[phase] = null
        return step !== null && step.startedAtMs >= changedAtMs ? step.seconds : null
      }
      const chunk = last.prefill?.parts.reduce((sum, { tokens }) => sum + tokens, 0)
      // The last chunk of a prompt is shorter and says little.
      const prefillSeconds = chunk === prefillChunk ? measured('prefill') : null
      return {
        active,
        queued,
        prefilling: reading(),
        promptTokens: answers.reduce((sum, { promptLeft }) => sum + promptLeft, 0),
        sequenceBytes: decoding.length === 0 ? 0 : (cost.kvBytesPerContextToken * contextTokens) / decoding.length,
        decode: { work: decode, seconds: busy.decodeSeconds, stepSeconds: measured('decode') },
        prefill: { work: prefill, seconds: busy.prefillSeconds, stepSeconds: prefillSeconds, tokens: prefillChunk },
        intervalSeconds: (toMs - fromMs) / 1000,
        told,
      }
    },
  }
}
