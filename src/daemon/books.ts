import { requestJoules } from '../energy/ledger.ts'
import { monotonicMs } from '../engine/protocol.ts'
import type { Store } from '../store/db.ts'
import type { MachineState } from '../store/state.ts'
import type { Accountant } from './accountant.ts'
import type { Inference } from './inference.ts'
import type { Log } from './log.ts'

/** Totals are written this often: what a power cut can lose. At rest, where flash would wear for little, less often. */
const saveEveryMs = 10_000
const saveAtRestMs = 60_000

/** Keeps the installation's energy totals in the store while the daemon runs. Returns what stops and writes the last. */
export async function keepBooks(
  store: Store,
  accountant: Accountant,
  inference: Inference,
  log: Log,
): Promise<() => Promise<void>> {
  const earlier = { ...store.state.ledger }
  const since = new Date().toISOString()
  const unfinished = store.state.running_since
  if (unfinished) log.warn({ since: unfinished }, 'the last run did not end by itself: a kill or a power cut')

  const save = (running: string | null): Promise<void> => {
    accountant.settle(monotonicMs())
    const ledger = accountant.provisional()
    const { tokensTotal, requestsTotal } = inference.traffic()
    return store.update((state: MachineState) => {
      state.running_since = running
      state.ledger = {
        total_joules: earlier.total_joules + ledger.meterJoules,
        request_joules: earlier.request_joules + requestJoules(ledger),
        tokens: earlier.tokens + tokensTotal,
        requests: earlier.requests + requestsTotal,
      }
    })
  }
  // A full disk must not end the daemon; the totals live on in memory and the next write may succeed.
  const fault = (error: unknown): void => log.error({ err: error }, 'the energy totals could not be written')
  await store.update((state) => {
    state.starts++
  })
  await save(since)
  let saved = { requests: inference.traffic().requestsTotal, atMs: monotonicMs() }
  const timer = setInterval(() => {
    const { requestsTotal: requests } = inference.traffic()
    if (requests === saved.requests && monotonicMs() - saved.atMs < saveAtRestMs) return
    saved = { requests, atMs: monotonicMs() }
    void save(since).catch(fault)
  }, saveEveryMs)
  return async () => {
    clearInterval(timer)
    await save(null)
  }
}
