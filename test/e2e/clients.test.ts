import { Ollama } from 'ollama'
import OpenAI from 'openai'
import t from 'tap'
import { type Bill, startDaemon } from './support/daemon.ts'

t.test('the openai client', async (t) => {
  const daemon = await startDaemon(t)
  const client = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: 'none', maxRetries: 0 })
  const models = await client.models.list()
  const model = models.data[0].id
  const messages = [{ role: 'user' as const, content: 'Where is my order?' }]

  t.test('lists one model and shows it', async (t) => {
    t.equal(models.data.length, 1)
    t.equal((await client.models.retrieve(model)).id, model)
    t.equal((await client.models.retrieve(`${model}:latest`)).id, model)
    await t.rejects(client.models.retrieve('gpt-4o'), { status: 404, code: 'model_not_found' })
  })

  t.test('gets a whole answer with its joules', async (t) => {
    const reply = await client.chat.completions.create({ model, messages, max_tokens: 16 })
    t.ok((reply.choices[0].message.content ?? '').length > 0, 'there is text')
    t.match(reply.choices[0].finish_reason, /^(stop|length)$/)
    const usage = reply.usage as OpenAI.CompletionUsage & { energy: Bill }
    t.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
    t.match(usage.energy, { method: 'simulated', degraded: false })
    t.ok(usage.energy.joules > 0 && usage.energy.gco2eq > 0, 'joules and grams')
    const counted = Object.values(usage.energy.levels).reduce((a, b) => a + b, 0)
    t.equal(counted, usage.completion_tokens, 'every token has its level')
  })

  t.test('gets the same answer in pieces', async (t) => {
    const options = { model, messages, max_tokens: 16, temperature: 0 }
    const whole = await client.chat.completions.create(options)
    const stream = await client.chat.completions.create({
      ...options,
      stream: true,
      stream_options: { include_usage: true },
    })
    let text = ''
    let usage: unknown = null
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      usage = chunk.usage ?? usage
    }
    t.equal(text, whole.choices[0].message.content)
    t.match(usage, { energy: { joules: Number, method: 'simulated' } }, 'the last chunk carries the joules')
  })

  t.test('continues a text, piece by piece', async (t) => {
    const options = { model, prompt: 'Returns within', max_tokens: 24, temperature: 0 }
    const whole = await client.completions.create(options)
    const pieces: string[] = []
    for await (const chunk of await client.completions.create({ ...options, stream: true })) {
      if (chunk.choices[0]?.text) pieces.push(chunk.choices[0].text)
    }
    t.equal(pieces.join(''), whole.choices[0].text)
    t.ok(pieces.length > 1, `${pieces.length} pieces`)
  })

  t.test('gets errors that it understands', async (t) => {
    await t.rejects(client.chat.completions.create({ model: 'gpt-4o', messages }), {
      status: 404,
      code: 'model_not_found',
    })
    const long = [{ role: 'user' as const, content: 'word '.repeat(5000) }]
    await t.rejects(client.chat.completions.create({ model, messages: long }), {
      status: 400,
      code: 'context_length_exceeded',
    })
    await t.rejects(client.chat.completions.create({ model, messages: 'hello' as unknown as typeof messages }), {
      status: 400,
      message: /messages/,
    })
    const reply = await fetch(`${daemon.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"model":',
    })
    t.equal(reply.status, 400, 'malformed JSON')
    t.match(await reply.json(), { error: { message: String } })
  })

  t.test('stops an answer that nobody waits for', async (t) => {
    const stream = await client.chat.completions.create({ model, messages, max_tokens: 200, stream: true })
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break
    const { engine } = await daemon.powerWhen((power) => power.engine.active_requests === 0)
    t.equal(engine.state, 'ready')
  })
})

t.test('the ollama client', async (t) => {
  const daemon = await startDaemon(t)
  const client = new Ollama({ host: daemon.url })
  const { models } = await client.list()
  const model = models[0].model
  const messages = [{ role: 'user', content: 'Where is my order?' }]
  const options = { num_predict: 16, temperature: 0 }

  t.test('lists, shows and sees the resident model', async (t) => {
    t.equal(models.length, 1)
    t.match(model, /:latest$/)
    const shown = await client.show({ model })
    t.equal(shown.details.family, 'llama')
    t.match((await client.ps()).models, [{ model }])
    t.match(await client.version(), { version: String })
    await t.rejects(client.show({ model: 'llama3' }), { status_code: 404, message: /not found/ })
  })

  t.test('chats, whole and in pieces', async (t) => {
    const whole = await client.chat({ model, messages, options })
    t.match(whole, { done: true, message: { role: 'assistant', content: /./ }, eval_count: Number })
    let text = ''
    let done = false
    for await (const part of await client.chat({ model, messages, options, stream: true })) {
      text += part.message.content
      done ||= part.done
    }
    t.equal(text, whole.message.content)
    t.ok(done, 'the last part says so')
  })

  t.test('generates', async (t) => {
    const whole = await client.generate({ model, prompt: 'Where is my order?', options })
    t.match(whole, { done: true, response: /./ })
    let text = ''
    for await (const part of await client.generate({ model, prompt: 'Where is my order?', options, stream: true })) {
      text += part.response
    }
    t.equal(text, whole.response)
  })

  t.test('is told of a model that is not there', async (t) => {
    await t.rejects(client.chat({ model: 'llama3', messages }), { status_code: 404, message: /not found/ })
  })
})
