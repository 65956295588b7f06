import { createInterface } from 'node:readline/promises'
import { Command, Option } from 'commander'
import { DeapdError } from '../errors.ts'
import { print } from './output.ts'
import { events, request, urlOption } from './remote.ts'

interface Message {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string } }[]
  readonly usage?: {
    readonly completion_tokens: number
    readonly energy: {
      readonly joules: number | null
      readonly method: string
      readonly levels: Record<string, number>
      readonly degraded: boolean
    }
  }
  readonly error?: { readonly message: string }
}

/** `deapd chat`: a conversation in the terminal, with the joules of each answer. */
export const chatCommand = (): Command =>
  new Command('chat')
    .description('talk to the running daemon; an empty line or Ctrl-D ends it')
    .argument('[question]', 'ask once and leave')
    .addOption(new Option('--policy <name>', 'energy policy').choices(['exact', 'balanced', 'eco']).default('balanced'))
    .option('--system <text>', 'system prompt (default: the model’s own)')
    .addOption(urlOption())
    .action(async (question: string | undefined, options: { policy: string; system?: string; url: string }) => {
      const messages: Message[] = options.system ? [{ role: 'system', content: options.system }] : []
      const ask = async (content: string): Promise<void> => {
        messages.push({ role: 'user', content })
        messages.push({ role: 'assistant', content: await answer(options.url, options.policy, messages) })
      }
      if (question !== undefined) return ask(question)
      const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' })
      terminal.prompt()
      for await (const line of terminal) {
        if (line.trim() === '') break
        await ask(line)
        terminal.prompt()
      }
      terminal.close()
    })

async function answer(url: string, policy: string, messages: readonly Message[]): Promise<string> {
  const body = JSON.stringify({ messages, stream: true, stream_options: { include_usage: true }, energy: policy })
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
  let text = ''
  for await (const data of events(await request(url, '/v1/chat/completions', init))) {
    if (data === '[DONE]') return text
    const chunk = JSON.parse(data) as Chunk
    if (chunk.error) throw new DeapdError('daemon_refused', { url, detail: chunk.error.message })
    const piece = chunk.choices[0]?.delta.content ?? ''
    process.stdout.write(piece)
    text += piece
    if (chunk.usage) {
      const { energy, completion_tokens: tokens } = chunk.usage
      const joules = energy.joules === null ? 'joules unknown' : `${energy.joules.toFixed(2)} J ${energy.method}`
      const levels = Object.entries(energy.levels)
        .map(([level, count]) => `${count} at level ${level}`)
        .join(', ')
      print(`\n  [${tokens} tokens (${levels}), ${joules}${energy.degraded ? ', degraded' : ''}]`)
    }
  }
  // The stream ended without its closing word: the answer is not whole.
  throw new DeapdError('engine_lost', { detail: 'the stream ended early' })
}
