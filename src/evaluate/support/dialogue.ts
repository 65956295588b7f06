import { askOne, type Stratum, type Turn } from './questions.ts'
import type { Random } from './random.ts'
import { describeShop, makeShop, type Split } from './shop.ts'

export interface Dialogue {
  readonly system: string
  readonly turns: readonly (Turn & { readonly stratum: Stratum })[]
}

/** One scored prompt: a shop, one question, the one right answer. */
export interface Prompt {
  readonly system: string
  readonly question: string
  readonly answer: string
  readonly stratum: Stratum
  readonly kind: string
  readonly heldOutWording: boolean
}

export const strata: readonly Stratum[] = ['easy', 'medium', 'hard']

interface DialogueOptions {
  readonly turns: number
  /** Fewest and most orders in the shop. */
  readonly orders: readonly [number, number]
  readonly strata: readonly Stratum[]
}

/** A training dialogue: several questions about one shop, so that each record line is read for many answers. */
export function makeDialogue(random: Random, split: Split, { turns, orders, strata }: DialogueOptions): Dialogue {
  const shop = makeShop(random, split, random.int(...orders))
  return {
    system: describeShop(shop),
    turns: Array.from({ length: turns }, () => askOne(shop, random, random.pick(strata), false)),
  }
}

/**
 * `count` scored prompts, a third of each stratum in turn. In the test and calibration splits every entity is
 * held out of training and one prompt in five is worded in a way training never saw.
 */
export function makePrompts(random: Random, split: Split, count: number): Prompt[] {
  return Array.from({ length: count }, (_, i) => {
    const stratum = strata[i % strata.length]
    const shop = makeShop(random, split, random.int(2, 4))
    const heldOutWording = split !== 'train' && random.chance(0.2)
    const { question, answer, kind } = askOne(shop, random, stratum, heldOutWording)
    return { system: describeShop(shop), question, answer, stratum, kind, heldOutWording }
  })
}
