import { type Logger, pino } from 'pino'
import pretty from 'pino-pretty'

export type Log = Logger

/** The log on standard error: readable lines on a terminal, JSON for machines. Standard output is for answers. */
export function createLog(level: string): Log {
  const options = { level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }
  if (!process.stderr.isTTY) return pino(options, pino.destination(2))
  return pino(options, pretty({ destination: 2, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', sync: true }))
}
