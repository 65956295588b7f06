import type { ErrorCode, ErrorParams } from '../errors.ts'
import type { Manifest } from '../models/manifest.ts'
import type { RouteReport } from './complexity/report.ts'
import type { ProviderSetting } from './ort/providers.ts'

/** Messages between the daemon and the engine process. Both ends are built from this one file. */

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

export type Policy = 'exact' | 'balanced' | 'eco'

export interface Sampling {
  readonly maxTokens: number | null
  /** 0 is greedy. */
  readonly temperature: number
  readonly topP: number
  /** 0 is off. */
  readonly topK: number
  readonly minP: number
  readonly seed: number | null
  readonly stop: readonly string[]
  readonly presencePenalty: number
  readonly frequencyPenalty: number
  readonly repeatPenalty: number
  /** Tokens of prompt and answer that the repeat penalty looks back on; 0 is none, -1 all. */
  readonly repeatLastN: number
  /** Added to the logits of these token ids. */
  readonly logitBias: readonly (readonly [tokenId: number, bias: number])[]
  /** Alternatives to report per token; null for none. */
  readonly topLogprobs: number | null
}

/** Plain greedy decoding: nothing but the most likely token, until the model ends the answer. */
export const greedy: Sampling = {
  maxTokens: null,
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: null,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  repeatPenalty: 1,
  repeatLastN: 0,
  logitBias: [],
  topLogprobs: null,
}

export interface GenerateRequest {
  readonly id: string
  /** Who asks, as far as anyone knows: waiting requests are taken from each client in turn. */
  readonly client?: string
  /** A conversation for the chat template, a raw prompt, or token ids as they are. */
  readonly input:
    | { readonly messages: readonly ChatMessage[] }
    | { readonly prompt: string }
    | { readonly ids: readonly number[] }
  readonly sampling: Sampling
  readonly policy: Policy
  /** A level the caller pinned, or null for the policy's choice. */
  readonly level: number | null
  readonly maxJoules: number | null
}

/** Whether answers are drafted ahead and verified: only while it pays, never, or (for tests) whenever there is a draft. */
export type DraftMode = 'auto' | 'off' | 'always'

/** The governor's word to the engine. */
export interface Order {
  /** Highest level for anyone: the full one unless the budget cannot be met otherwise. */
  readonly capLevel: number
  /** Level for requests that allow any. */
  readonly ecoLevel: number
  /** Part of the time, 0 to 1, in which the engine may be busy; below 1 it pauses between steps. */
  readonly duty: number
  /** Answers made at once; without a word as many as there are slots. */
  readonly concurrency?: number
  /** Tokens of a prompt run at once; without a word `defaultPrefillChunk`. */
  readonly prefillChunk?: number
  /** Whether there is power for shadow runs; without a word there is. */
  readonly shadows?: boolean
}

/** Tokens of a prompt that run at once: a cancel or a clock change is seen after at most this many. */
export const defaultPrefillChunk = 64

export type ToEngine =
  | {
      readonly type: 'load'
      readonly modelDir: string
      readonly threads: number
      readonly provider: ProviderSetting
      readonly maxSequences: number
      readonly maxQueued: number
      readonly drafts: DraftMode
      readonly revoked: boolean
    }
  | { readonly type: 'generate'; readonly request: GenerateRequest }
  | { readonly type: 'cancel'; readonly id: string }
  | ({ readonly type: 'order' } & Order)
  /** As-if pacing on the simulated board; null runs at full speed. */
  | { readonly type: 'pace'; readonly pace: Pace | null }
  /** The certificate of this package was revoked (or never was): `balanced` is not routed (or is). */
  | { readonly type: 'revoked'; readonly revoked: boolean }
  | { readonly type: 'score'; readonly id: string; readonly text: string; readonly level: number | null }
  | ({ readonly type: 'bench'; readonly id: string } & BenchOptions)
  | { readonly type: 'shutdown' }

/** What the as-if model takes on the simulated board at its present clock: after the host's part a run lasts as long as the slower of memory and arithmetic. */
export interface Pace {
  /** Launching a run and sampling: the GPU waits meanwhile. */
  readonly hostSeconds: number
  /** Reading the weights once, by level, and the keys and values of one token. */
  readonly weightSeconds: readonly number[]
  readonly kvSecondsPerToken: number
  /** The arithmetic of one token, by level. */
  readonly arithmeticSecondsPerToken: readonly number[]
}

export interface TokenEvent {
  readonly id: string
  readonly tokenId: number
  /** The token as it is spelt. */
  readonly token: string
  /** Text that became certain with this token; may be empty (half a character, a possible stop string). */
  readonly text: string
  readonly level: number
  readonly logprob: number | null
  readonly topLogprobs: readonly { readonly tokenId: number; readonly token: string; readonly logprob: number }[] | null
}

/** One run of the graph, done or, when paced, being done: known at its start, so that the simulated board can draw the power in time. */
export interface StepEvent {
  readonly phase: 'prefill' | 'decode'
  readonly level: number
  /** Monotonic milliseconds. */
  readonly startedAtMs: number
  readonly seconds: number
  /** The answers it worked for; they share one pass over the weights. */
  readonly parts: readonly StepPart[]
}

/** One answer's part of a step. */
export interface StepPart {
  readonly requestId: string
  /** Tokens run, and tokens already in the cache. */
  readonly tokens: number
  readonly contextTokens: number
  /** Tokens of the answer that it decided: none, one, or with drafts several. */
  readonly emitted: number
}

export type FinishReason = 'stop' | 'length' | 'cancelled'

export interface DoneEvent {
  readonly id: string
  readonly finishReason: FinishReason
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly completionTokens: number
  readonly promptIds: readonly number[]
  /** Tokens per level that decided them. */
  readonly levels: Readonly<Record<number, number>>
  /** True when a token was decided below what the policy allows (brown-out). */
  readonly degraded: boolean
  /** How its levels were chosen; null where policy or caller had chosen already. */
  readonly routing?: RouteReport | null
  /** Seconds of queueing, prefill and decoding. */
  readonly queueSeconds: number
  readonly prefillSeconds: number
  readonly decodeSeconds: number
}

/** A balanced answer that the full network has read again afterwards: would it have said the same? */
export interface ShadowEvent {
  readonly id: string
  /** True when it prefers another token somewhere by more than rounding. */
  readonly differs: boolean
  /** Tokens that smaller levels decided, and how many of them the full network would have chosen otherwise. */
  readonly tokens: number
  readonly disagreements: number
}

/** What `deapd bench` wants timed. */
export interface BenchOptions {
  /** Length of the prompt, and the tokens of one run of it. */
  readonly promptTokens: number
  readonly chunkTokens: number
  readonly prefillRounds: number
  /** Cache slots filled when decode timing starts. */
  readonly contextTokens: number
  /** Decode steps per level. */
  readonly tokens: number
  /** Null for all. */
  readonly levels: readonly number[] | null
  /** Sizes of the runs timed as a draft is verified: that many tokens at once, logits for each. */
  readonly verify: readonly number[]
}

/** Every single time, so that the asker chooses the statistics; milliseconds. */
export interface BenchResult {
  readonly prefill: { readonly tokens: number; readonly ms: readonly number[] }
  readonly decode: readonly { readonly level: number; readonly share: number; readonly ms: readonly number[] }[]
  readonly verify: readonly { readonly tokens: number; readonly ms: readonly number[] }[]
  readonly memory: ProcessMemory | null
}

/** Of one process, in bytes. */
export interface ProcessMemory {
  /** Most that was ever resident, files included. */
  readonly peakBytes: number
  /** Now resident and not backed by a file: what no other process and no page cache can share or drop. */
  readonly privateBytes: number
}

export type FromEngine =
  | {
      readonly type: 'loaded'
      readonly manifest: Manifest
      readonly loadSeconds: number
      readonly provider: string
      readonly runtime: string
      readonly kvBytes: number
      readonly weightBytes: number
      /** Whether the package is still what its certificate was measured on. */
      readonly certificate: { readonly state: 'none' | 'void' | 'valid'; readonly reason: string }
    }
  | { readonly type: 'started'; readonly id: string; readonly promptTokens: number }
  | ({ readonly type: 'token' } & TokenEvent)
  | ({ readonly type: 'step' } & StepEvent)
  | ({ readonly type: 'done' } & DoneEvent)
  | ({ readonly type: 'shadow' } & ShadowEvent)
  | { readonly type: 'scored'; readonly id: string; readonly tokens: number; readonly meanNll: number }
  | { readonly type: 'benched'; readonly id: string; readonly result: BenchResult }
  | { readonly type: 'failed'; readonly id: string | null; readonly code: ErrorCode; readonly params: ErrorParams }

/** Monotonic milliseconds, the same clock in every process of this machine. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6
