/** A process that answers blocks of prompts: native code, a core of its own, and an end that gives all memory back. */
import { loadOrt } from '../../engine/ort/api.ts'
import { DeapdError, detailOf } from '../../errors.ts'
import { type Answerer, type Lane, openAnswerer } from '../answers.ts'
import type { Asked, FromAnswerer, ToAnswerer } from './block.ts'
import { lanesOf } from './lanes.ts'

let answerer: Answerer | undefined
let lanesFor: (prompts: readonly Asked[]) => readonly Lane[] = () => []

const send = (message: FromAnswerer): void => {
  if (process.connected) process.send?.(message)
}

function handle(message: ToAnswerer): void {
  if (message.type === 'open') {
    const { dir, maxTokens } = message
    answerer?.close()
    answerer = openAnswerer(loadOrt(), dir, { maxTokens })
    lanesFor = lanesOf(dir, message.lanes)
    return send({ type: 'ready' })
  }
  if (!answerer) return
  const { from, prompts } = message
  const { answers: exact, seconds } = answerer.answer(
    prompts.map(({ promptIds }) => promptIds),
    lanesFor(prompts),
  )
  // Two digits are enough to tell a close choice, and the journal stays small.
  const answers = exact.map((lane) => lane.map((one) => ({ ...one, leads: one.leads.map(twoDigits) })))
  send({
    type: 'answered',
    block: { from, answers, prefillSeconds: seconds.prefill, laneSeconds: seconds.lanes },
  })
}

const twoDigits = (value: number): number => Math.round(value * 100) / 100

process.on('message', (message: ToAnswerer) => {
  try {
    handle(message)
  } catch (error) {
    const known = error instanceof DeapdError ? error : null
    send({ type: 'failed', code: known?.code ?? null, params: known?.params ?? {}, detail: detailOf(error) })
  }
})
// Whoever asked is gone: nobody wants the answers any more.
process.on('disconnect', () => process.exit(0))
