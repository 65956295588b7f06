import { createChart } from '/ui/chart.js'

const keptDecisions = 30
const element = (id) => document.getElementById(id)
const show = (id, text) => {
  // Only real changes are written, so that a screen reader is not told the same thing twice a second.
  const target = element(id)
  if (target.textContent !== text) target.textContent = text
}

/** The right-hand side: every figure comes from the one stream of snapshots. */
export function startBoard() {
  const chart = createChart(element('plot'))
  let before = null
  const stream = new EventSource('/v1/power/stream')
  stream.onmessage = (event) => {
    element('banner').hidden = true
    const now = JSON.parse(event.data)
    chart.push({ atMs: now.mono_ms, watts: now.power.total_watts, budget: now.power.budget_watts })
    showBoard(now)
    noteDecision(before, now)
    before = now
  }
  stream.onerror = () => {
    show('engine-state', 'no connection')
    element('engine-state').className = 'badge bad'
    show('banner', 'The connection to deapd is lost: the figures below are old. Trying again…')
    element('banner').hidden = false
  }
  startBudget()
}

function showBoard({ board, power, thermal, clocks, governor, alarms, engine, energy }) {
  show('board-name', board.name)
  element('simulated').hidden = !board.simulated
  show('engine-state', engine.state === 'ready' && engine.active_requests > 0 ? 'answering' : engine.state)
  element('engine-state').className = `badge ${engineTone[engine.state] ?? 'bad'}`
  element('engine-state').title = engine.detail

  const over = power.total_watts !== null && power.total_watts > power.budget_watts
  show(
    'watts',
    known(power.total_watts, (watts) => watts.toFixed(1)),
  )
  element('watts').closest('.big').classList.toggle('over', over)
  show('budget', trim(power.budget_watts))
  show('power-rule', power.total_rule)
  const lease = power.lease_until === null ? '' : ` until ${clockTime(power.lease_until)}`
  const why = power.total_watts === null ? `Unknown: ${power.total_watts_reason}. ` : ''
  show('watts-note', `${why}Budget set by ${power.budget_source}${lease}.`)

  show('level', `${governor.level} of ${governor.levels - 1}`)
  show('level-note', `${Math.round(governor.share * 100)} % of the weights; eco uses ${governor.eco_level}`)
  show('cap', gigahertz(clocks.gpu_cap_hz))
  const now = known(clocks.gpu_hz, (hz) => `running at ${gigahertz(hz)}`)
  show('cap-note', clocks.gpu_hz === null ? `clock unknown: ${clocks.gpu_hz_reason}` : now)
  show('speed', `${engine.tokens_per_second.toFixed(1)} tok/s`)
  show('speed-note', `${engine.active_requests} running, ${engine.queued_requests} waiting`)
  show(
    'tj',
    known(thermal.tj_celsius, (celsius) => `${celsius.toFixed(1)} °C`),
  )
  show('tj-note', thermal.tj_celsius === null ? `unknown: ${thermal.tj_celsius_reason}` : '')
  show('joules', joules(energy.request_joules))
  const each = known(energy.joules_per_token, (value) => `${value.toPrecision(3)} J/token, `)
  show('joules-note', `for answers, ${energy.joules_per_token === null ? '' : each}${energy.method}`)
  show('over', `${energy.unknown_seconds > 0 ? '≥ ' : ''}${power.seconds_over_budget.toFixed(1)} s`)

  element('alarms').replaceChildren(
    ...Object.entries(alarms.text).map(([id, text]) =>
      make('li', alarms.severity[id] > 1 ? 'bad' : 'warn', `${words(id)}: ${text}`),
    ),
  )

  show('reason', words(governor.reason))
  element('reason').className = `badge ${governor.degraded ? 'warn' : 'good'}`
  const byHand = governor.hold_source === 'none' ? '' : `Held by hand (${governor.hold_source}). `
  show('explanation', byHand + (governor.degraded ? `Brown-out: ${governor.explanation}` : governor.explanation))
}

const engineTone = { ready: 'good', starting: 'warn', restarting: 'warn' }

function noteDecision(before, now) {
  if (before === null) return
  const changes = [
    before.power.budget_watts !== now.power.budget_watts &&
      `budget ${trim(before.power.budget_watts)} → ${trim(now.power.budget_watts)} W`,
    before.governor.level !== now.governor.level && `level ${before.governor.level} → ${now.governor.level}`,
    before.governor.eco_level !== now.governor.eco_level &&
      `eco level ${before.governor.eco_level} → ${now.governor.eco_level}`,
    before.clocks.gpu_cap_hz !== now.clocks.gpu_cap_hz &&
      `GPU cap ${gigahertz(before.clocks.gpu_cap_hz)} → ${gigahertz(now.clocks.gpu_cap_hz)}`,
    before.engine.state !== now.engine.state && `engine ${now.engine.state}`,
  ].filter(Boolean)
  if (changes.length === 0) return
  const item = document.createElement('li')
  item.append(
    make('time', '', clockTime(now.ts)),
    make('span', 'what', changes.join(', ')),
    make('span', 'why', words(now.governor.reason)),
  )
  const list = element('decisions')
  list.querySelector('.note')?.remove()
  list.prepend(item)
  while (list.children.length > keptDecisions) list.lastElementChild.remove()
}

function startBudget() {
  const field = element('budget-watts')
  fetch('/v1/power/budget')
    .then((reply) => reply.json())
    .then((budget) => {
      field.min = budget.min_watts
      field.max = budget.max_watts
      field.value = budget.watts
      show('budget-note', `${trim(budget.min_watts)} to ${trim(budget.max_watts)} W on this board.`)
    })
    .catch(() => show('budget-note', 'The limits of this board could not be read.'))
  element('budget-form').addEventListener('submit', async (event) => {
    event.preventDefault()
    const lease = element('budget-lease').value
    const order = {
      watts: field.value.trim() === '' ? null : Number(field.value),
      lease_s: lease === '' ? null : Number(lease),
    }
    try {
      const reply = await fetch('/v1/power/budget', { method: 'PUT', body: JSON.stringify(order) })
      const said = await reply.json()
      show('budget-note', reply.ok ? `Set to ${trim(said.watts)} W.` : said.error.message)
    } catch {
      show('budget-note', 'deapd did not answer; the budget was not changed.')
    }
  })
}

const known = (value, format) => (value === null ? '–' : format(value))
const trim = (watts) => String(Math.round(watts * 10) / 10)
const gigahertz = (hz) => (hz >= 1e9 ? `${(hz / 1e9).toFixed(2)} GHz` : `${Math.round(hz / 1e6)} MHz`)
const joules = (value) => (value >= 1e4 ? `${(value / 1000).toFixed(1)} kJ` : `${value.toFixed(value < 100 ? 1 : 0)} J`)
const words = (reason) => reason.replaceAll('_', ' ')
const clockTime = (iso) => new Date(iso).toLocaleTimeString([], { hour12: false })

function make(name, className, text) {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}
