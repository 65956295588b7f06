import type { ChatMessage } from '../../engine/protocol.ts'
import { makePrompts } from '../support/dialogue.ts'
import { seededRandom } from '../support/random.ts'
import { normalise } from '../support/score.ts'

/** A question with its one right answer. */
export interface Question {
  readonly messages: readonly ChatMessage[]
  readonly answer: string
  /** How hard it is: `easy`, `medium` or `hard`. */
  readonly stratum: string
  readonly kind: string
  readonly heldOutWording?: boolean
}

/** Held-out customer-service questions, a third of each stratum; the seed fixes them. */
export const supportQuestions = (count: number, seed: number): Question[] =>
  makePrompts(seededRandom(seed), 'test', count).map(({ system, question, ...rest }) => ({
    messages: [
      { role: 'system', content: system },
      { role: 'user', content: question },
    ],
    ...rest,
  }))

export const isRight = (text: string, { answer }: Question): boolean => normalise(text) === normalise(answer)
