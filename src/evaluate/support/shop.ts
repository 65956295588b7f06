import type { Random } from './random.ts'

/** Which entities and templates a prompt may use. The test split shares neither order ids, names, cities nor items with training. */
export type Split = 'train' | 'validation' | 'calibration' | 'test'

export type Status = 'pending' | 'shipped' | 'delivered' | 'cancelled'

export interface Order {
  readonly id: string
  readonly item: string
  /** Whole euros. */
  readonly price: number
  readonly customer: string
  readonly city: string
  readonly carrier: string
  readonly status: Status
  /** Day of the last status change, counted from the start of the season. */
  readonly day: number
}

/** What a record says of an order, in this sequence. */
const fields = ['item', 'price', 'customer', 'city', 'carrier', 'status', 'day'] as const
export type Field = (typeof fields)[number]

export interface Shop {
  readonly today: number
  readonly returnDays: number
  /** Whole euros kept back from a refund. */
  readonly returnFee: number
  /** Items of this kind cannot be returned. */
  readonly finalKind: string
  readonly phones: Readonly<Record<string, string>>
  readonly orders: readonly Order[]
}

const heads = [
  'Ma',
  'Lo',
  'Vi',
  'Ta',
  'Ne',
  'Su',
  'Ra',
  'Ki',
  'Bo',
  'El',
  'Da',
  'Pe',
  'Jo',
  'Mi',
  'An',
  'Ce',
  'Or',
  'Hu',
]
const tails = [
  'ra',
  'lin',
  'dek',
  'mo',
  'sa',
  'ven',
  'tis',
  'nor',
  'lia',
  'bert',
  'na',
  'rik',
  'la',
  'wen',
  'mas',
  'ton',
]
const cityHeads = [
  'Lor',
  'Vel',
  'Bran',
  'Nor',
  'Ash',
  'Mont',
  'Kel',
  'Sand',
  'Oak',
  'West',
  'Grim',
  'Hol',
  'Fair',
  'Stone',
]
const cityTails = ['bach', 'mont', 'ford', 'ville', 'stad', 'dale', 'burg', 'wick', 'port', 'ham', 'field', 'ton']
const colours = ['red', 'blue', 'green', 'black', 'white', 'grey', 'gold', 'pink', 'brown', 'silver']
const kinds = ['lamp', 'kettle', 'chair', 'mug', 'clock', 'radio', 'scarf', 'desk', 'vase', 'bag', 'fan', 'rug']
const carriers = ['DHL', 'UPS', 'GLS', 'Hermes', 'Fedex', 'Posta']
const statuses: readonly Status[] = ['pending', 'shipped', 'delivered', 'cancelled', 'delivered', 'pending']

/** Every fifth combination belongs to the pool of test and calibration; training and validation never draw from it. */
const held = (a: number, b: number): boolean => (a * 7 + b * 3) % 5 === 0
const wantsHeld = (split: Split): boolean => split === 'test' || split === 'calibration'

function pair(random: Random, split: Split, first: readonly string[], second: readonly string[], join: string): string {
  for (;;) {
    const a = random.int(0, first.length - 1)
    const b = random.int(0, second.length - 1)
    if (held(a, b) === wantsHeld(split)) return `${first[a]}${join}${second[b]}`
  }
}

function orderId(random: Random, split: Split): string {
  for (;;) {
    const id = random.int(1000, 9999)
    // Held out by the sum of its two pairs, so that every pair of digits is seen in training.
    if (((Math.floor(id / 100) + id) % 5 === 0) === wantsHeld(split)) return String(id)
  }
}

/** A shop's policy and `count` orders, all fields different enough that every question has one answer. */
export function makeShop(random: Random, split: Split, count: number): Shop {
  const today = random.int(20, 60)
  const names = new Set<string>()
  const unique = (make: () => string): string => {
    let value = make()
    while (names.has(value)) value = make()
    names.add(value)
    return value
  }
  const used = random.sample(carriers, 2)
  const days = random.sample(
    Array.from({ length: 18 }, (_, i) => today - 1 - i),
    count,
  )
  const prices = random.sample(
    Array.from({ length: 40 }, (_, i) => 10 + i),
    count,
  )
  const orders = Array.from(
    { length: count },
    (_, i): Order => ({
      id: unique(() => orderId(random, split)),
      item: unique(() => pair(random, split, colours, kinds, ' ')),
      price: prices[i],
      customer: unique(() => pair(random, split, heads, tails, '')),
      city: unique(() => pair(random, split, cityHeads, cityTails, '')),
      carrier: random.pick(used),
      status: random.pick(statuses),
      day: days[i],
    }),
  )
  const phones = Object.fromEntries(used.map((name) => [name, String(random.int(1000, 9999))]))
  return {
    today,
    returnDays: random.pick([7, 10, 14]),
    returnFee: random.int(2, 9),
    // Often a kind that is in the list, so that the exception matters.
    finalKind: random.chance(0.6) ? random.pick(orders).item.split(' ')[1] : random.pick(kinds),
    phones,
    orders,
  }
}

/**
 * The text the model reads: one policy line, then one line an order. Every fact repeats its order number, so that a small
 * model finds it by what stands right before it.
 */
export function describeShop(shop: Shop): string {
  const phones = Object.entries(shop.phones)
    .map(([name, phone]) => `${name} phone ${phone}.`)
    .join(' ')
  const policy = `Today is day ${shop.today}. Returns within ${shop.returnDays} days, fee ${shop.returnFee}. No returns of a ${shop.finalKind}. ${phones}`
  return [policy, ...shop.orders.map(describeOrder)].join('\n')
}

/** One fact of an order as its record states it, and as answers quote it. */
export const fact = (order: Order, field: Field): string =>
  `${order.id} ${field} ${order[field]}${field === 'price' ? ' eur' : ''}`

const describeOrder = (order: Order): string => `Order ${fields.map((field) => fact(order, field)).join('; ')}`
