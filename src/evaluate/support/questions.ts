import type { Random } from './random.ts'
import { type Field, fact, type Order, type Shop } from './shop.ts'

export type Stratum = 'easy' | 'medium' | 'hard'

export interface Turn {
  readonly question: string
  /** What the record says, quoted, then what follows from it: a small model can only conclude from what it has written down. */
  readonly answer: string
}

/** One kind of question: how it is asked (`{a}`, `{b}` are slots) and the function that knows the answer. */
interface Kind {
  readonly name: string
  readonly stratum: Stratum
  /** The third and the sixth are held out of training. */
  readonly wordings: readonly string[]
  /** Slot values and the answer, or nothing when this shop has no such case. */
  readonly ask: (shop: Shop, random: Random) => { slots: readonly string[]; answer: string } | undefined
}

/** An answer that quotes one fact of one order as its record states it. */
const copy =
  (field: Field): Kind['ask'] =>
  (shop, random) => {
    const order = random.pick(shop.orders)
    return { slots: [order.id], answer: fact(order, field) }
  }

const two = (shop: Shop, random: Random): Order[] => random.sample(shop.orders, 2)

/** May this order be sent back? The exception in the policy wins over the window. */
export function returnAnswer(shop: Shop, order: Order): string {
  const item = fact(order, 'item')
  if (order.item.endsWith(` ${shop.finalKind}`)) return `${item}: no, a ${shop.finalKind} is final`
  const status = `${item}; ${fact(order, 'status')}`
  if (order.status !== 'delivered') return `${status}: no`
  const days = shop.today - order.day
  const sum = `${fact(order, 'day')}, today ${shop.today}, ${days} of ${shop.returnDays} days`
  return `${status}; ${sum}: ${days <= shop.returnDays ? 'yes' : 'no'}`
}

export const kinds: readonly Kind[] = [
  {
    name: 'status',
    stratum: 'easy',
    ask: copy('status'),
    wordings: [
      'What is the status of order {a}?',
      'Status of {a}?',
      'What is the state of {a}?',
      'Tell me the status of {a}.',
      'Order {a}: status?',
      'I want the status of {a}.',
      'Give me the status of {a}.',
    ],
  },
  {
    name: 'carrier',
    stratum: 'easy',
    ask: copy('carrier'),
    wordings: [
      'Who carries order {a}?',
      'Carrier of {a}?',
      'What is the carrier of order {a}?',
      'Tell me the carrier of {a}.',
      'Order {a}: carrier?',
      'I want the carrier of {a}.',
      'Give me the carrier of {a}.',
    ],
  },
  {
    name: 'city',
    stratum: 'easy',
    ask: copy('city'),
    wordings: [
      'What city does order {a} go to?',
      'City of {a}?',
      'What is the city of order {a}?',
      'Tell me the city of {a}.',
      'Order {a}: city?',
      'I want the city of {a}.',
      'Give me the city of {a}.',
    ],
  },
  {
    name: 'item',
    stratum: 'easy',
    ask: copy('item'),
    wordings: [
      'What is in order {a}?',
      'Item of {a}?',
      'What is the item of order {a}?',
      'Tell me the item of {a}.',
      'Order {a}: item?',
      'I want the item of {a}.',
      'Give me the item of {a}.',
    ],
  },
  {
    name: 'price',
    stratum: 'easy',
    ask: copy('price'),
    wordings: [
      'How much is order {a}?',
      'Price of {a}?',
      'What is the price of order {a}?',
      'Tell me the price of {a}.',
      'Order {a}: price?',
      'I want the price of {a}.',
      'Give me the price of {a}.',
    ],
  },
  {
    name: 'customer',
    stratum: 'easy',
    ask: copy('customer'),
    wordings: [
      'Who made order {a}?',
      'Customer of {a}?',
      'Who is the customer of order {a}?',
      'Tell me the customer of {a}.',
      'Order {a}: customer?',
      'I want the customer of {a}.',
      'Give me the customer of {a}.',
    ],
  },

  {
    name: 'phone',
    stratum: 'medium',
    ask: (shop, random) => {
      const o = random.pick(shop.orders)
      return { slots: [o.id], answer: `${fact(o, 'carrier')}; ${o.carrier} phone ${shop.phones[o.carrier]}` }
    },
    wordings: [
      'Phone of the carrier of {a}?',
      'Who do I call about order {a}?',
      'What is the phone of the carrier of order {a}?',
      'Tell me the phone for {a}.',
      'Order {a}: phone?',
      'I want the phone for {a}.',
      'Give me the phone for {a}.',
    ],
  },
  {
    name: 'return',
    stratum: 'medium',
    ask: (shop, random) => {
      const o = random.pick(shop.orders.filter((x) => !x.item.endsWith(` ${shop.finalKind}`)))
      return o && { slots: [o.id], answer: returnAnswer(shop, o) }
    },
    wordings: [
      'Can I return order {a}?',
      'Return of {a}?',
      'Can I send back {a}?',
      'Tell me if I can return {a}.',
      'Order {a}: return?',
      'I want to return {a}.',
      'I want to send back {a}.',
    ],
  },
  {
    name: 'latest',
    stratum: 'medium',
    ask: (shop, random) => {
      const [a, b] = two(shop, random)
      const later = a.day > b.day ? a.id : b.id
      return { slots: [a.id, b.id], answer: `${fact(a, 'day')}; ${fact(b, 'day')}: ${later}` }
    },
    wordings: [
      'Which is later, {a} or {b}?',
      'Latest of {a} and {b}?',
      'What is the latest of {a} and {b}?',
      'Tell me the latest of {a} and {b}.',
      'Orders {a} and {b}: latest?',
      'I want the latest of {a} and {b}.',
      'Give me the latest of {a} and {b}.',
    ],
  },
  {
    name: 'by-customer',
    stratum: 'medium',
    ask: (shop, random) => {
      const o = random.pick(shop.orders)
      return { slots: [o.customer], answer: `${o.customer} has ${o.id}; ${fact(o, 'status')}` }
    },
    wordings: [
      'What is the status of the order of {a}?',
      'Status for {a}?',
      'What is the state of the order of {a}?',
      'Tell me the status for {a}.',
      'Customer {a}: status?',
      'I am {a}, status?',
      'Give me the status for {a}.',
    ],
  },
  {
    name: 'by-city',
    stratum: 'medium',
    ask: (shop, random) => {
      const o = random.pick(shop.orders)
      return { slots: [o.city], answer: `${o.city} gets ${o.id}; ${fact(o, 'item')}` }
    },
    wordings: [
      'What goes to {a}?',
      'Item for {a}?',
      'What is the item for {a}?',
      'Tell me the item for {a}.',
      'City {a}: item?',
      'I want the item for {a}.',
      'Give me the item for {a}.',
    ],
  },

  {
    name: 'refund',
    stratum: 'hard',
    ask: (shop, random) => {
      const o = random.pick(shop.orders)
      return {
        slots: [o.id],
        answer: `${o.id} price ${o.price}, fee ${shop.returnFee}: ${o.price - shop.returnFee} eur`,
      }
    },
    wordings: [
      'What is the refund of order {a}?',
      'Refund of {a}?',
      'How much is the refund of {a}?',
      'Tell me the refund of {a}.',
      'Order {a}: refund?',
      'I want the refund of {a}.',
      'Give me the refund of {a}.',
    ],
  },
  {
    name: 'total',
    stratum: 'hard',
    ask: (shop, random) => {
      const [a, b] = two(shop, random)
      const prices = `${a.id} price ${a.price}; ${b.id} price ${b.price}`
      return { slots: [a.id, b.id], answer: `${prices}: ${a.price + b.price} eur` }
    },
    wordings: [
      'What is the total of {a} and {b}?',
      'Total of {a} and {b}?',
      'How much are {a} and {b}?',
      'Tell me the total of {a} and {b}.',
      'Orders {a} and {b}: total?',
      'I want the total of {a} and {b}.',
      'Give me the total of {a} and {b}.',
    ],
  },
  {
    name: 'cheapest',
    stratum: 'hard',
    ask: (shop, random) => {
      const status = random.pick(['pending', 'shipped', 'delivered'] as const)
      const found = shop.orders.filter((o) => o.status === status)
      const [first] = found.toSorted((x, y) => x.price - y.price)
      const list = found.map((o) => `${o.id} ${status} price ${o.price}`).join('; ')
      return first && { slots: [status], answer: `${list}: ${first.id}` }
    },
    wordings: [
      'What is the cheapest order that is {a}?',
      'Cheapest order {a}?',
      'Which order is the cheapest that is {a}?',
      'Tell me the cheapest order {a}.',
      'Orders {a}: cheapest?',
      'I want the cheapest order {a}.',
      'Give me the cheapest order {a}.',
    ],
  },
  {
    name: 'correction',
    stratum: 'hard',
    ask: (shop, random) => {
      const [a, b] = two(shop, random)
      return { slots: [a.id, b.id], answer: `not ${a.id}; ${fact(b, 'status')}` }
    },
    wordings: [
      'Status of {a}? Sorry, I meant {b}.',
      'Status of {a}, no, of {b}?',
      'What is the status of {a}, sorry, of {b}?',
      'Tell me the status of {a}, sorry, of {b}.',
      'Order {a}: status? No, order {b}.',
      'I want the status of {a}. Sorry, of {b}.',
      'Give me the status of {a}. No, of {b}.',
    ],
  },
  {
    name: 'exception',
    stratum: 'hard',
    ask: (shop, random) => {
      const o = shop.orders.find((x) => x.item.endsWith(` ${shop.finalKind}`)) ?? random.pick(shop.orders)
      return { slots: [o.id], answer: returnAnswer(shop, o) }
    },
    wordings: [
      'Can I return order {a}?',
      'Return of {a}?',
      'Can I send back {a}?',
      'Tell me if I can return {a}.',
      'Order {a}: return?',
      'I want to return {a}.',
      'I want to send back {a}.',
    ],
  },
  {
    name: 'count',
    stratum: 'hard',
    ask: (shop, random) => {
      const status = random.pick(['pending', 'shipped', 'delivered', 'cancelled'] as const)
      const found = shop.orders.filter((o) => o.status === status).map(({ id }) => id)
      return { slots: [status], answer: `${status} ${found.join(', ') || 'none'}: ${found.length}` }
    },
    wordings: [
      'How many orders are {a}?',
      'Count of {a} orders?',
      'What is the count of orders that are {a}?',
      'Tell me how many orders are {a}.',
      'Orders {a}: count?',
      'I want the count of {a} orders.',
      'Give me the count of {a} orders.',
    ],
  },
]

const openings = ['', '', '', 'Hello. ', 'Hi. ', 'Please: ']

/** Is this wording kept out of training? Two of each kind's seven are. */
export const isHeldOutWording = (index: number): boolean => index === 2 || index === 5

/** One question and its answer about `shop`; `heldOutWording` picks from the wordings training never saw. */
export function askOne(
  shop: Shop,
  random: Random,
  stratum: Stratum,
  heldOutWording: boolean,
): Turn & { readonly kind: string; readonly stratum: Stratum } {
  const choices = kinds.filter((kind) => kind.stratum === stratum)
  for (;;) {
    const kind = random.pick(choices)
    const found = kind.ask(shop, random)
    if (!found) continue
    const wording = random.pick(kind.wordings.filter((_, i) => isHeldOutWording(i) === heldOutWording))
    const question = wording.replace('{a}', found.slots[0]).replace('{b}', found.slots[1] ?? '')
    return { kind: kind.name, question: random.pick(openings) + question, answer: found.answer, stratum }
  }
}
