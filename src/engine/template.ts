import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Template } from '@huggingface/jinja'
import { DeapdError, detailOf } from '../errors.ts'
import type { Manifest } from '../models/manifest.ts'
import type { ChatMessage } from './protocol.ts'
import type { Tokenizer } from './tokenizer.ts'

/** Renders a conversation to the ids the model was trained on, ready for the assistant's answer unless it is `complete`. */
export type ChatEncoder = (messages: readonly ChatMessage[], complete?: boolean) => number[]

/** Loads a package's chat template; throws `package_damaged`. */
export function openTemplate(
  dir: string,
  manifest: Pick<Manifest, 'bos_token_id' | 'eos_token_ids' | 'default_system_prompt'>,
  tokenizer: Tokenizer,
): ChatEncoder {
  const template = parse(dir)
  const bosToken = tokenizer.token(manifest.bos_token_id)
  const eosToken = tokenizer.token(manifest.eos_token_ids[0])
  // A user who types `<|assistant|>` must not be able to speak as the assistant.
  const disarm = (text: string): string =>
    tokenizer.special.reduce((clean, token) => clean.replaceAll(token, `${token[0]} ${token.slice(1)}`), text)
  const system = manifest.default_system_prompt
  return (given, complete = false) => {
    // As with Ollama's SYSTEM: a conversation that brings no system prompt gets the model's own.
    const bare = system !== null && given[0]?.role !== 'system'
    const messages: readonly ChatMessage[] = bare ? [{ role: 'system', content: system }, ...given] : given
    const text = template.render({
      messages: messages.map(({ role, content }) => ({ role, content: disarm(content) })),
      add_generation_prompt: !complete,
      bos_token: bosToken,
      eos_token: eosToken,
    })
    const ids = tokenizer.encode(text)
    return ids[0] === manifest.bos_token_id ? ids : [manifest.bos_token_id, ...ids]
  }
}

function parse(dir: string): Template {
  try {
    return new Template(readFileSync(join(dir, 'chat_template.jinja'), 'utf8'))
  } catch (error) {
    throw new DeapdError('package_damaged', { path: dir, file: 'chat_template.jinja', detail: detailOf(error) }, error)
  }
}
