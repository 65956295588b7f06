/** Requests that wait. One client's flood holds up that client: the others are taken in turn, each in order of arrival. */
export interface FairQueue<T> {
  readonly length: number
  push(item: T): void
  /** When more wait than may: the last item of the client that has most waiting, taken out. */
  overflow(): T | undefined
  /** The next one in turn. */
  shift(): T | undefined
  /** Takes one out wherever it stands. */
  remove(isIt: (item: T) => boolean): T | undefined
}

/** `bound` is the number of items that may wait. Items without a client count as one client's. */
export function createFairQueue<T extends { readonly client: string | undefined }>(bound: number): FairQueue<T> {
  const items: T[] = []
  /** Clients in the order in which they were last served; who is not in it has not been served while somebody waited. */
  const served: (string | undefined)[] = []

  const take = (at: number): T | undefined => (at < 0 ? undefined : items.splice(at, 1)[0])
  const waitingOf = (client: string | undefined): number => items.filter((item) => item.client === client).length

  return {
    get length() {
      return items.length
    },
    push: (item) => void items.push(item),
    overflow() {
      if (items.length <= bound) return undefined
      // Of equals the one who came last gives way.
      const most = items.reduce((a, b) => (waitingOf(b.client) >= waitingOf(a.client) ? b : a))
      return take(items.findLastIndex(({ client }) => client === most.client))
    },
    shift() {
      const rank = ({ client }: T): number => served.indexOf(client)
      const next = items.reduce<T | undefined>((a, b) => (a && rank(a) <= rank(b) ? a : b), undefined)
      if (!next) return undefined
      const at = served.indexOf(next.client)
      if (at >= 0) served.splice(at, 1)
      served.push(next.client)
      const taken = take(items.indexOf(next))
      // Turns matter only among those who wait; names nobody waits under are forgotten.
      if (items.length === 0) served.length = 0
      return taken
    },
    remove: (isIt) => take(items.findIndex(isIt)),
  }
}
