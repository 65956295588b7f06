import type { Question } from '../../src/evaluate/protocol/questions.ts'

/** Questions for models of random weights, which never end an answer, whatever is asked. */
export const shortQuestions: readonly Question[] = Array.from({ length: 40 }, (_, i) => ({
  messages: [{ role: 'user', content: `${i}?` }],
  answer: String(i),
  stratum: ['easy', 'medium', 'hard'][i % 3],
  kind: 'number',
}))
