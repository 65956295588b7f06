/**
 * Loaded into the daemon's process by `--import`: writes down the steps that its engine process announces, and hands them
 * over when asked. So what a token cost the engine is known from inside while an HTTP client times it from outside.
 */
import { ChildProcess } from 'node:child_process'

const steps = []
const emit = ChildProcess.prototype.emit
ChildProcess.prototype.emit = function (event, message, ...rest) {
  if (event === 'message') {
    const said = [message].flat()
    // Half a character decides no text yet: a client sees nothing of that token.
    const shown = said.filter((one) => one?.type === 'token' && one.text !== '').length
    for (const one of said) if (one?.type === 'step') steps.push({ ...one, shown })
  }
  return emit.call(this, event, message, ...rest)
}

// The engine process inherits the flag; only the daemon has a parent that asks.
if (process.env.DEAPD_STEP_TAP === String(process.ppid) && process.send) {
  process.on('message', (message) => {
    if (message === 'steps') process.send({ steps: steps.splice(0) })
  })
  process.channel.unref()
}
