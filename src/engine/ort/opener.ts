import { workerData } from 'node:worker_threads'
import { loadOrt } from './api.ts'
import { type OpenerOrder, takeTurns } from './together.ts'

/** Worker thread of `openTogether`. */
const order = workerData as OpenerOrder
takeTurns(loadOrt(order.library), order, (turn) => order.port.postMessage(turn))
