/** What a prompt looks like before anything is computed (signals C1). Names are the manifest's. */
export interface PromptFeatures {
  /** ln(1 + words) of the question, and ln(1 + tokens) of everything that is read. */
  readonly question_length: number
  readonly prompt_length: number
  /** Digits over characters. */
  readonly digits: number
  /** Mean ln(1 + id) over ln(vocabulary): merges are numbered by frequency, so an id is a rank and Zipf's law does the rest. */
  readonly rarity: number
  readonly questions: number
  /** Conjunctions and negations. */
  readonly joins: number
  /** Words with a capital that begin no sentence, and numbers. */
  readonly names: number
  readonly numbers: number
  /** ln of the number of the user's turn. */
  readonly turn: number
  /** Words that ask for a comparison, a count, a sum or a reason. */
  readonly cues: number
  /** Words that take something back. */
  readonly corrections: number
  /** Share of the question's tokens that the text before it does not hold. */
  readonly unseen: number
}

/** A question as the features see it. `before` and `ids` are tokens: what stands before the question, and the question. */
export interface Question {
  readonly text: string
  readonly before: readonly number[]
  readonly ids: readonly number[]
  /** 1 for the first turn of a conversation. */
  readonly turn: number
  readonly vocabulary: number
}

const joins = words('and or but nor yet so because although while not no never none neither without except unless')
const cues = words(
  'compare compared versus total sum together altogether both all each difference more less fewer later earlier latest ' +
    'earliest newest oldest first last cheapest dearest cheaper dearer highest lowest most least many much count average ' +
    'why if whether when than between refund back pay cost exactly only',
)
const corrections = words('sorry meant actually instead rather correction wait mistake oops')

export function promptFeatures({ text, before, ids, turn, vocabulary }: Question): PromptFeatures {
  const spelt = text.toLowerCase().match(/[a-z']+/g) ?? []
  const count = (among: ReadonlySet<string>): number => spelt.filter((word) => among.has(word)).length
  const seen = new Set(before)
  const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0)
  return {
    question_length: Math.log1p(text.split(/\s+/).filter((word) => word !== '').length),
    prompt_length: Math.log1p(before.length + ids.length),
    digits: share(text.match(/\d/g)?.length ?? 0, text.length),
    rarity: share(
      ids.reduce((sum, id) => sum + Math.log1p(id), 0),
      ids.length * Math.log(vocabulary),
    ),
    questions: text.match(/\?/g)?.length ?? 0,
    joins: count(joins) + (text.match(/n't\b/g)?.length ?? 0),
    names: text.match(/(?<=[a-z0-9,;] )[A-Z][a-z]+/g)?.length ?? 0,
    numbers: text.match(/\d+/g)?.length ?? 0,
    turn: Math.log(turn),
    cues: count(cues),
    corrections: count(corrections),
    unseen: share(ids.filter((id) => !seen.has(id)).length, ids.length),
  }
}

function words(list: string): ReadonlySet<string> {
  return new Set(list.split(' '))
}
