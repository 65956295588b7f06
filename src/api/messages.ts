import Type, { type Static } from 'typebox'
import type { ChatMessage } from '../engine/protocol.ts'
import { DeapdError } from '../errors.ts'
import { Maybe } from './body.ts'

const Part = Type.Object({ type: Type.String(), text: Type.Optional(Type.String()) })

export const WireMessage = Type.Object({
  role: Type.Enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
  content: Maybe(Type.Union([Type.String(), Type.Array(Part)])),
  tool_calls: Maybe(Type.Array(Type.Unknown())),
  images: Maybe(Type.Array(Type.Unknown())),
})
export type WireMessage = Static<typeof WireMessage>

/**
 * A conversation as the chat template of a LLaMA takes it: one system text at the start, then user and assistant in
 * turn. Developer is system; a system text in mid-dialogue and a tool's reply are folded into the user's turn; turns of
 * one speaker in a row are joined.
 */
export function toConversation(messages: readonly WireMessage[]): readonly ChatMessage[] {
  const turns: ChatMessage[] = []
  for (const [index, message] of messages.entries()) {
    const next = toTurn(message, index, turns)
    const last = turns.at(-1)
    if (last?.role === next.role) {
      turns[turns.length - 1] = { role: next.role, content: `${last.content}\n\n${next.content}` }
    } else {
      turns.push(next)
    }
  }
  return turns
}

function toTurn(message: WireMessage, index: number, before: readonly ChatMessage[]): ChatMessage {
  const content = textOf(message, index)
  const isOpening = before.every((turn) => turn.role === 'system')
  if (message.role === 'system' || message.role === 'developer') {
    return { role: isOpening ? 'system' : 'user', content }
  }
  if (message.role === 'tool' || message.role === 'function')
    return { role: 'user', content: `Tool result: ${content}` }
  if (message.role === 'assistant' && content === '' && message.tool_calls?.length) {
    return { role: 'assistant', content: `Tool calls: ${JSON.stringify(message.tool_calls)}` }
  }
  return { role: message.role, content }
}

function textOf(message: WireMessage, index: number): string {
  if (message.images?.length) {
    throw new DeapdError('unsupported', { detail: 'An image', param: `messages.${index}.images` })
  }
  if (typeof message.content === 'string') return message.content
  return (message.content ?? [])
    .map((part, at) => {
      if (part.type === 'text' && part.text !== undefined) return part.text
      if (part.type === 'refusal') return ''
      throw new DeapdError('unsupported', {
        detail: `A message part of type "${part.type}"`,
        param: `messages.${index}.content.${at}`,
      })
    })
    .join('')
}
