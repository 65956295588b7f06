import type { EnergyWindow, EnergyWindows } from '../api/ports.ts'
import type { Ledger } from '../energy/ledger.ts'
import type { RequestEnergy } from '../energy/request.ts'

/** Closed windows that are kept for the list. */
const windowsKept = 100

interface Mark {
  readonly joules: number
  readonly unknownSeconds: number
}

interface Window {
  readonly name: string
  readonly startedAt: string
  readonly from: Mark
  endedAt: string | null
  to: Mark | null
}

/** Named windows over the meter: joules between their two ends, and the seconds of them whose energy is unknown. */
export function createWindows(ledger: () => Ledger, method: RequestEnergy['method']): EnergyWindows {
  const windows: Window[] = []
  const mark = (): Mark => ({ joules: ledger().meterJoules, unknownSeconds: ledger().unknownSeconds })

  const shown = ({ name, startedAt, endedAt, from, to }: Window): EnergyWindow => {
    const end = to ?? mark()
    const unknownSeconds = end.unknownSeconds - from.unknownSeconds
    return { name, startedAt, endedAt, joules: end.joules - from.joules, unknownSeconds, method }
  }

  return {
    open(name) {
      if (windows.length >= windowsKept) windows.splice(0, 1)
      const window: Window = { name, startedAt: new Date().toISOString(), from: mark(), endedAt: null, to: null }
      windows.push(window)
      return shown(window)
    },
    close(name) {
      const window = windows.findLast((row) => row.name === name && row.endedAt === null)
      if (!window) return undefined
      window.to = mark()
      window.endedAt = new Date().toISOString()
      return shown(window)
    },
    list: () => windows.map(shown),
  }
}
