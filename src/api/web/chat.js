const element = (id) => document.getElementById(id)

/** The left-hand side: a conversation over the same public route that every other client uses. */
export function startChat(model) {
  let turns = []
  let running = null
  /** Tokens of the last prompt with its answer, and characters per token, learned from the replies. */
  let size = { tokens: 0, charactersPerToken: 3 }

  const systemText = () => element('system').value.trim()
  const reset = () => {
    running?.abort()
    running = null
    setBusy(false)
    turns = []
    size = { ...size, tokens: 0 }
    for (const child of [...element('log').children]) if (child.id !== 'empty') child.remove()
    element('empty').hidden = false
    element('question').focus()
  }

  element('system').value = model.default_system_prompt ?? ''
  element('system-reset').addEventListener('click', () => {
    element('system').value = model.default_system_prompt ?? ''
  })
  element('samples').replaceChildren(...model.sample_questions.map(sampleButton))
  element('new-chat').addEventListener('click', reset)
  element('stop').addEventListener('click', () => running?.abort())
  element('question').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    element('ask').requestSubmit()
  })
  element('ask').addEventListener('submit', (event) => {
    event.preventDefault()
    const question = element('question').value.trim()
    if (question === '' || running !== null) return
    element('question').value = ''
    void ask(question)
  })

  async function ask(question) {
    element('empty').hidden = true
    addTurn('user', question)
    turns = [...turns, { role: 'user', content: question }]
    const answer = addTurn('assistant', '')
    const mine = new AbortController()
    running = mine
    setBusy(true)
    answer.classList.add('busy')
    let fault = null
    try {
      dropWhatWillNotFit(answer, question)
      const usage = await attempt(answer, mine.signal)
      addBill(answer, usage)
    } catch (thrown) {
      fault = thrown
    }
    // A new chat was begun in the meantime: this answer belongs to no conversation any more.
    if (running !== mine) return
    if (fault !== null) giveUp(answer, question, mine.signal.aborted ? null : fault.message)
    answer.classList.remove('busy')
    running = null
    setBusy(false)
  }

  /** Half an answer stays in the conversation; a question without any answer goes back to where it was typed. */
  function giveUp(answer, question, message) {
    const text = answer.querySelector('.text').textContent
    addFault(answer, message)
    if (text !== '') {
      turns = [...turns, { role: 'assistant', content: text }]
      return
    }
    turns = turns.slice(0, -1)
    if (element('question').value === '') element('question').value = question
  }

  /** Sends; when the daemon says the conversation is too long, drops the oldest turn and sends again. */
  async function attempt(answer, signal) {
    for (;;) {
      try {
        const { text, usage } = await send(answer, signal)
        turns = [...turns, { role: 'assistant', content: text }]
        const characters = systemText().length + turns.reduce((sum, turn) => sum + turn.content.length, 0)
        size = { tokens: usage.total_tokens, charactersPerToken: Math.max(1, characters / usage.total_tokens) }
        return usage
      } catch (thrown) {
        if (thrown.code !== 'context_length_exceeded' || turns.length <= 1) throw thrown
        dropOldest(answer)
      }
    }
  }

  function dropWhatWillNotFit(answer, question) {
    // Room for the question and for an answer of a quarter of the context.
    const needed = question.length / size.charactersPerToken + model.context_tokens / 4
    if (size.tokens === 0 || size.tokens + needed <= model.context_tokens) return
    if (turns.length > 1) dropOldest(answer)
  }

  function dropOldest(answer) {
    const cut = turns[1]?.role === 'assistant' ? 2 : 1
    const gone = turns.slice(0, cut).reduce((sum, turn) => sum + turn.content.length, 0)
    turns = turns.slice(cut)
    size = { ...size, tokens: Math.max(0, size.tokens - gone / size.charactersPerToken) }
    const text = `The conversation reached the model's ${model.context_tokens} tokens: the oldest turn is no longer sent.`
    answer.before(make('p', 'notice', text))
  }

  async function send(answer, signal) {
    const system = systemText()
    const body = {
      model: model.id,
      messages: [...(system === '' ? [] : [{ role: 'system', content: system }]), ...turns],
      stream: true,
      stream_options: { include_usage: true },
      energy: element('policy').value,
    }
    let reply
    try {
      reply = await fetch('/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal,
      })
    } catch (thrown) {
      throw signal.aborted ? thrown : new Error('deapd cannot be reached. Is it still running?')
    }
    if (!reply.ok) throw faultFrom(await reply.json().catch(() => null), reply.status)
    const target = answer.querySelector('.text')
    let text = ''
    let usage = null
    for await (const chunk of events(reply.body)) {
      if (chunk.error) throw faultFrom(chunk, 0)
      text += chunk.choices[0]?.delta.content ?? ''
      usage = chunk.usage ?? usage
      if (target.textContent !== text) {
        target.textContent = text
        follow()
      }
    }
    if (usage === null) throw new Error('The connection ended in the middle of the answer.')
    return { text, usage }
  }

  function setBusy(busy) {
    element('stop').hidden = !busy
    element('send').disabled = busy
    for (const button of element('samples').children) button.disabled = busy
    if (!busy) element('question').focus({ preventScroll: true })
  }

  function sampleButton(question) {
    const button = make('button', '', question)
    button.type = 'button'
    button.addEventListener('click', () => running === null && ask(question))
    return button
  }
}

/** The `data:` lines of a server-sent event stream, parsed; ends at [DONE]. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    const lines = (rest + value).split('\n')
    rest = lines.pop()
    for (const line of lines) {
      if (!line.startsWith('data: ')) continue
      if (line === 'data: [DONE]') return
      yield JSON.parse(line.slice(6))
    }
  }
}

function faultFrom(body, status) {
  const message = body?.error?.message ?? `deapd answered with status ${status}.`
  return Object.assign(new Error(message), { code: body?.error?.code })
}

function addTurn(role, text) {
  const turn = make('div', `turn ${role}`, '')
  turn.append(make('span', 'sr', role === 'user' ? 'You: ' : 'Model: '), make('div', 'text', text))
  element('log').append(turn)
  follow()
  return turn
}

function addFault(answer, message) {
  answer.append(message === null ? make('p', 'bill', 'Stopped.') : make('p', 'fault', message))
  follow()
}

/** What the answer cost, under it. */
function addBill(answer, { completion_tokens: tokens, energy }) {
  const levels = Object.entries(energy.levels).map(([level, count]) => `level ${level} × ${count}`)
  const bill = make('p', 'bill', '')
  const cost = energy.joules === null ? 'energy unknown' : `${amount(energy.joules)} J`
  bill.append(make('b', '', cost))
  const parts = [
    energy.joules === null ? energy.joules_reason : `± ${amount(energy.uncertainty_joules)} J, ${energy.method}`,
    `${tokens} tokens`,
    ...levels,
    energy.joules_per_token === null ? '' : `${amount(energy.joules_per_token)} J/token`,
    energy.gco2eq === null ? '' : `${amount(energy.gco2eq * 1000)} mg CO₂eq`,
  ]
  bill.append(...parts.filter(Boolean).map((part) => make('span', '', part)))
  if (energy.degraded) bill.append(make('span', 'badge warn', 'degraded'))
  answer.append(bill)
  follow()
}

const amount = (value) => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))))

function follow() {
  const log = element('log')
  log.scrollTop = log.scrollHeight
}

function make(name, className, text) {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}
