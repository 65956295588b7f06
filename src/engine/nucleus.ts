/** Steps of the table by which probabilities are told apart: 32 a unit of logit over temperature, 40 units deep. */
const stepsPerUnit = 32
const steps = 40 * stepsPerUnit

/** Where the nucleus ends: everything in a step before `step` is in it, and of that step what weighs at least `least`, from small ids on. */
interface Cut {
  readonly step: number
  readonly least: number
  /** Highest id of those that weigh exactly `least` and are in. */
  readonly lastId: number
  readonly mass: number
}

/**
 * Draws from the smallest set of most likely tokens that holds `topP` of the probability, less those under `minP` of the
 * first. Nothing is sorted but one step of the table: with a flat distribution the set is most of a large vocabulary.
 */
export function drawNucleus(
  logits: Float32Array,
  { most, temperature, topP, minP }: { most: number; temperature: number; topP: number; minP: number },
  uniform: number,
): number {
  const weights = new Float64Array(logits.length)
  const places = new Uint16Array(logits.length)
  const masses = new Float64Array(steps + 1)
  let whole = 0
  for (let id = 0; id < logits.length; id++) {
    const depth = (most - logits[id]) / temperature
    const weight = Math.exp(-depth)
    // Beyond the table a token weighs less than rounding.
    const place = Math.min(steps, Math.floor(depth * stepsPerUnit))
    weights[id] = weight
    places[id] = place
    masses[place] += weight
    whole += weight
  }
  const cut = cutAt(weights, places, masses, topP * whole)
  const within = (id: number): boolean => {
    const [weight, place] = [weights[id], places[id]]
    if (weight < minP || place > cut.step) return false
    return place < cut.step || weight > cut.least || (weight === cut.least && id <= cut.lastId)
  }
  let mass = cut.mass
  if (minP > 0) {
    mass = 0
    for (let id = 0; id < weights.length; id++) if (within(id)) mass += weights[id]
  }
  let target = uniform * mass
  let last = 0
  for (let id = 0; id < weights.length; id++) {
    if (!within(id)) continue
    target -= weights[id]
    last = id
    if (target < 0) return id
  }
  return last
}

function cutAt(weights: Float64Array, places: Uint16Array, masses: Float64Array, wanted: number): Cut {
  let step = 0
  let mass = 0
  while (step < steps && mass + masses[step] < wanted) mass += masses[step++]
  const ids: number[] = []
  for (let id = 0; id < places.length; id++) if (places[id] === step) ids.push(id)
  ids.sort((a, b) => weights[b] - weights[a] || a - b)
  let count = 0
  while (count < ids.length && (mass < wanted || mass === 0)) mass += weights[ids[count++]]
  const lastId = count === 0 ? -1 : ids[count - 1]
  return { step, least: count === 0 ? Number.POSITIVE_INFINITY : weights[lastId], lastId, mass }
}
