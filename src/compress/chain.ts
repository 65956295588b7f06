import type { Groups, Subnet } from './groups.ts'

/** One dropped group, in the order of the chain. */
export interface Link {
  /** Its number. */
  readonly group: number
  /** What dropping it was thought to cost, in nats of KL a token. */
  readonly loss: number
  readonly joules: number
  /** Whether `loss` was measured or estimated. */
  readonly measured: boolean
}

/** Sub-networks after each link, from the full one down: nested by construction. */
export function* subnetsOf({ all }: Groups, links: readonly Pick<Link, 'group'>[]): Generator<Subnet> {
  const subnet: Subnet = new Uint8Array(all.length).fill(1)
  yield subnet.slice()
  for (const { group } of links) {
    subnet[group] = 0
    yield subnet.slice()
  }
}

export const bytesOf = ({ all, otherBytes }: Groups, subnet: Subnet): number =>
  all.reduce((sum, { bytes }, i) => sum + (subnet[i] === 1 ? bytes : 0), otherBytes)

/** Follows a fixed order of all groups until at most `floorBytes` are left. */
export function follow(groups: Groups, order: readonly number[], floorBytes: number): number[] {
  let bytes = groups.bytes
  return order.filter((group) => {
    if (bytes <= floorBytes) return false
    bytes -= groups.all[group].bytes
    return true
  })
}

/** Numbers of the groups that run. */
export const running = ({ all }: Groups, subnet: Subnet): number[] =>
  all.flatMap((_, i) => (subnet[i] === 1 ? [i] : []))

/** Places of about `count` subnets of a chain of `length` links, evenly spaced by bytes, both ends among them. */
export function sampled(bytes: readonly number[], count: number): number[] {
  const [full, floor] = [bytes[0], bytes[bytes.length - 1]]
  const wanted = Array.from({ length: count }, (_, i) => full + ((floor - full) * i) / Math.max(1, count - 1))
  const nearest = (target: number): number =>
    bytes.reduce((best, value, i) => (Math.abs(value - target) < Math.abs(bytes[best] - target) ? i : best), 0)
  return [...new Set(wanted.map(nearest))].sort((a, b) => a - b)
}
