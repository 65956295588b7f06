import { execFile } from 'node:child_process'

/**
 * Tells systemd how we are (sd_notify). Node has no datagram sockets for local paths, so its own tool carries the message;
 * outside systemd nothing happens. The unit needs NotifyAccess=all.
 */
export interface Notify {
  ready(status: string): void
  stopping(): void
  /** Called from the control loop, never from a bare timer: a stuck loop must be noticed. */
  alive(): void
}

export function createNotify(env: Readonly<Record<string, string | undefined>>, now: () => number): Notify {
  if (!env.NOTIFY_SOCKET) return { ready() {}, stopping() {}, alive() {} }
  const intervalMs = Number(env.WATCHDOG_USEC ?? 0) / 1000 / 2
  let lastMs = Number.NEGATIVE_INFINITY
  const send = (...words: string[]): void => {
    // A message that cannot be sent must not stop us; the watchdog itself is the consequence.
    execFile('systemd-notify', words, () => undefined)
  }
  return {
    ready: (status) => send('--ready', `--status=${status}`),
    stopping: () => send('--stopping'),
    alive() {
      if (intervalMs <= 0 || now() - lastMs < intervalMs) return
      lastMs = now()
      send('WATCHDOG=1')
    },
  }
}
