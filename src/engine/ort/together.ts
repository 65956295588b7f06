import { availableParallelism } from 'node:os'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { DeapdError, detailOf } from '../../errors.ts'
import type { Handle, Ort } from './api.ts'
import { createSession, type SessionOptions, type Source } from './create.ts'

/** A session to make. */
export interface Opening {
  readonly source: Source
  readonly options: SessionOptions
}

/** What a worker thread is given. */
export interface OpenerOrder {
  readonly library: string
  readonly openings: readonly Opening[]
  readonly threads: number
  /** [how many openings somebody has taken, how many are done] */
  readonly counters: Int32Array
  readonly port: MessagePort
}

interface Turn {
  readonly index: number
  readonly handle?: Handle
  readonly failure?: string
}

const [next, done] = [0, 1]

/**
 * Makes sessions at the same time, each in a thread: the library packs weights in one, even those that it then takes from a file.
 * Whoever is free takes the next, this thread too; so nothing waits for a thread that does not start. Handles in the order
 * of the openings, which are taken from the last on: what packing its output matrix frees serves the others. Throws `engine_failed`.
 */
export function openTogether(ort: Ort, openings: readonly Opening[], threads: number): readonly Handle[] {
  const counters = new Int32Array(new SharedArrayBuffer(8))
  const turns: Turn[] = []
  const helpers = Math.min(openings.length, availableParallelism()) - 1
  const ports = Array.from({ length: helpers }, () => {
    const { port1, port2 } = new MessageChannel()
    const order: OpenerOrder = { library: ort.path, openings, threads, counters, port: port2 }
    const path = new URL(`./opener${import.meta.url.slice(-3)}`, import.meta.url)
    // One that cannot start takes nothing, and costs time only.
    new Worker(path, { workerData: order, transferList: [port2] }).on('error', process.emitWarning).unref()
    return port1
  })
  takeTurns(ort, { openings, threads, counters }, (turn) => turns.push(turn))
  for (let seen = Atomics.load(counters, done); seen < openings.length; seen = Atomics.load(counters, done)) {
    Atomics.wait(counters, done, seen)
  }
  for (const port of ports) {
    for (let reply = receiveMessageOnPort(port); reply; reply = receiveMessageOnPort(port)) turns.push(reply.message)
    port.close()
  }
  const failed = turns.find(({ failure }) => failure !== undefined)
  if (failed) {
    for (const { handle } of turns) if (handle !== undefined) ort.release('ReleaseSession', handle)
    throw new DeapdError('engine_failed', { detail: failed.failure ?? '' })
  }
  return turns.sort((a, b) => a.index - b.index).map(({ handle }) => handle)
}

/** Makes one session after the other until all are taken. */
export function takeTurns(
  ort: Ort,
  { openings, threads, counters }: Pick<OpenerOrder, 'openings' | 'threads' | 'counters'>,
  tell: (turn: Turn) => void,
): void {
  for (let taken = Atomics.add(counters, next, 1); taken < openings.length; taken = Atomics.add(counters, next, 1)) {
    const index = openings.length - 1 - taken
    const { source, options } = openings[index]
    try {
      tell({ index, handle: createSession(ort, source, threads, options) })
    } catch (error) {
      tell({ index, failure: detailOf(error) })
    }
    Atomics.add(counters, done, 1)
    Atomics.notify(counters, done)
  }
}
