import type { ChatMessage } from '../../engine/protocol.ts'
import type { LaneAnswer } from '../answers.ts'

/** A lane as plain data, so that it can be sent to another process. */
export type LaneSpec =
  | { readonly kind: 'level'; readonly level: number }
  | { readonly kind: 'routed'; readonly policy: 'balanced' | 'eco' }

/** A prompt as the model reads it, and as it was asked: routers look at both. */
export interface Asked {
  readonly promptIds: readonly number[]
  readonly messages: readonly ChatMessage[]
}

/** Neighbouring prompts that one process answers in all lanes of a package. */
export interface Block {
  /** Index of its first prompt. */
  readonly from: number
  /** answers[lane][prompt − from]. */
  readonly answers: readonly (readonly LaneAnswer[])[]
  readonly prefillSeconds: number
  readonly laneSeconds: readonly number[]
}

/** Prompts in a block: two batches, so that a kill loses less than a second of work. */
export const blockSize = 32

export type ToAnswerer =
  | { readonly type: 'open'; readonly dir: string; readonly lanes: readonly LaneSpec[]; readonly maxTokens: number }
  | { readonly type: 'answer'; readonly from: number; readonly prompts: readonly Asked[] }

export type FromAnswerer =
  | { readonly type: 'ready' }
  | { readonly type: 'answered'; readonly block: Block }
  | { readonly type: 'failed'; readonly code: string | null; readonly params: object; readonly detail: string }
