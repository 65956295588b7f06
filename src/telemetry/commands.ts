import { DeapdError, type ErrorCode } from '../errors.ts'

/** The budget as an order over MQTT may touch it; the daemon's budget control fits as it is. */
export interface OrderedBudget {
  readonly get: () => OrderedState
  /** Takes effect at the next tick; throws `budget_invalid` or `lease_invalid` and then nothing changes. */
  readonly set: (watts: unknown, leaseSeconds: unknown, source: string) => OrderedState
}

/** The same for a point held by hand. */
export interface OrderedHold {
  /** Takes effect at the next tick; throws `hold_invalid` or `lease_invalid` and then nothing changes. */
  readonly set: (
    point: { readonly gpuMhz: unknown; readonly level: unknown },
    leaseSeconds: unknown,
    source: string,
  ) => HeldState
  readonly release: () => HeldState
}

interface HeldState {
  readonly gpuHz: number | null
  readonly level: number | null
  readonly leaseUntil: Date | null
}

export interface Orderable {
  readonly budget: OrderedBudget
  readonly hold: OrderedHold
}

export interface OrderedState {
  readonly watts: number
  readonly leaseUntil: Date | null
  /** The local limit, which no order from outside may exceed. */
  readonly configuredWatts: number
}

export interface Response {
  readonly transaction: string | null
  readonly status: 'ok' | 'rejected' | 'error'
  readonly data?: Readonly<Record<string, unknown>>
  readonly error?: { readonly code: string; readonly message: string }
}

interface Order {
  readonly transaction?: unknown
  readonly deadline_ts?: unknown
  readonly issued_by?: unknown
  readonly data?: Readonly<Record<string, unknown>>
}

/**
 * Carries out one `cmd/<name>` and says what came of it. An order that was retained or is past its deadline is refused: it
 * may be from a fleet manager that is long gone. For the same reason a budget or hold from outside must carry a lease.
 */
export function obey(
  name: string,
  packet: { readonly payload: string; readonly retained: boolean },
  orderable: Orderable,
  now: Date,
): Response {
  const order = parse(packet.payload)
  const transaction = typeof order?.transaction === 'string' ? order.transaction.slice(0, 128) : null
  const rejected = (code: string, message: string): Response => ({
    transaction,
    status: 'rejected',
    error: { code, message },
  })
  if (!Object.hasOwn(commands, name)) {
    const known = Object.keys(commands).join(', ')
    return rejected('command_unknown', `There is no command "${name}". Known: ${known}.`)
  }
  if (order === null) return rejected('bad_request', 'The order is not a JSON object. Nothing was changed.')
  if (packet.retained) {
    return rejected('command_retained', 'Retained orders are refused: send it without the retain flag.')
  }
  if (transaction === null) return rejected('bad_request', 'The order needs a "transaction" text. Nothing was changed.')
  const deadline = deadlineOf(order.deadline_ts)
  if (deadline === null) {
    return rejected('bad_request', 'The order needs "deadline_ts" in ISO 8601 or Unix seconds. Nothing was changed.')
  }
  if (deadline < now.getTime()) {
    return rejected('deadline_past', `The deadline was ${new Date(deadline).toISOString()}. Nothing was changed.`)
  }
  try {
    const issued = typeof order.issued_by === 'string' ? order.issued_by.slice(0, 128) : null
    const data = commands[name as keyof typeof commands](order.data ?? {}, orderable, now)
    return { transaction, status: 'ok', data: { ...data, issued_by: issued } }
  } catch (thrown) {
    if (!(thrown instanceof DeapdError)) throw thrown
    const refusals: readonly ErrorCode[] = ['budget_invalid', 'hold_invalid', 'lease_invalid']
    return {
      transaction,
      status: refusals.includes(thrown.code) ? 'rejected' : 'error',
      error: { code: thrown.code, message: `${thrown.message} ${thrown.hint}` },
    }
  }
}

const commands = { set_budget: setBudget, set_hold: setHold }

type Data = Readonly<Record<string, unknown>>

function setBudget(data: Data, { budget }: Orderable, now: Date): Data {
  const { watts } = data
  const limit = budget.get().configuredWatts
  const held = typeof watts === 'number' && watts > limit ? limit : watts
  const state = budget.set(held, leaseOf(data, now), 'mqtt')
  return {
    watts: state.watts,
    lease_until: state.leaseUntil?.toISOString() ?? null,
    requested_watts: watts,
    local_limit_watts: limit,
    clamped: held !== watts,
  }
}

function setHold(data: Data, { hold }: Orderable, now: Date): Data {
  const { gpu_mhz: gpuMhz, level, release } = data
  const state = release === true ? hold.release() : hold.set({ gpuMhz, level }, leaseOf(data, now), 'mqtt')
  return { gpu_hz: state.gpuHz, level: state.level, lease_until: state.leaseUntil?.toISOString() ?? null }
}

/** For so many seconds, or `until` a time: several devices that get one order should end it together. */
function leaseOf({ lease_s: lease, until }: Data, now: Date): unknown {
  if (lease !== undefined && lease !== null) return lease
  const untilMs = deadlineOf(until)
  if (untilMs === null) throw new DeapdError('lease_invalid', { value: String(until ?? 'none') })
  return (untilMs - now.getTime()) / 1000
}

function parse(payload: string): Order | null {
  try {
    const value: unknown = JSON.parse(payload)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

function deadlineOf(value: unknown): number | null {
  const ms = typeof value === 'number' ? value * 1000 : typeof value === 'string' ? Date.parse(value) : Number.NaN
  // Beyond what a Date can hold it is no deadline either.
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? ms : null
}
