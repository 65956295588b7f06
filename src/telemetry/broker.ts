import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { Aedes } from 'aedes'
import { DeapdError, detailOf } from '../errors.ts'

export interface Broker {
  readonly host: string
  readonly port: number
  readonly url: string
  /** Ends every connection and frees the port. */
  close(): Promise<void>
}

/** An MQTT 3.1.1 broker inside the daemon, for machines that have none; memory only. Port 0 takes any free port. */
export async function startBroker({ host = '127.0.0.1', port }: { host?: string; port: number }): Promise<Broker> {
  const aedes = await Aedes.createBroker()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // A peer that resets is reported by 'close'; without a listener it would end the daemon.
    socket.on('error', () => undefined)
    aedes.handle(socket)
  })
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (thrown) {
    aedes.close()
    throw listenFault(thrown, host, port)
  }
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    host,
    port: bound,
    url: `mqtt://${host}:${bound}`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      await new Promise<void>((resolve) => aedes.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function listenFault(thrown: unknown, host: string, port: number): DeapdError {
  const what = 'the embedded MQTT broker'
  const option = '--mqtt embedded:PORT'
  if ((thrown as NodeJS.ErrnoException).code === 'EADDRINUSE') {
    return new DeapdError('port_busy', { port, host, what, option }, thrown)
  }
  return new DeapdError('address_unusable', { port, host, what, option, detail: detailOf(thrown) }, thrown)
}
