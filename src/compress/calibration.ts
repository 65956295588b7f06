import { tidy } from '../engine/ort/allocator.ts'
import type { Form } from '../models/onnx/weights.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'
import { answer, answerEach } from './answering.ts'
import type { Groups, Subnet } from './groups.ts'
import type { LayerMeans, Network } from './network.ts'
import {
  type Bench,
  emptyLayerSums,
  growing,
  noMeans,
  type Place,
  placesOf,
  type Scores,
  type Totals,
  tokensOf,
} from './passes.ts'
import { readAll } from './reading.ts'
import { channelOrders, type Method, squaresOf } from './rivals.ts'
import { openSpool } from './spool.ts'
import type { State } from './state.ts'
import { type Fluctuations, fluctuations } from './statistics.ts'
import type { Sample } from './text.ts'
import { layerBytes, openWeights, type WeightStream } from './weights.ts'

/** A checkpoint in the form it will have, its channels in order, read over all texts: ready to measure sub-networks. */
export interface Calibrated {
  readonly network: Network
  readonly weights: WeightStream
  /** Channels of each layer in the method's order. */
  readonly channels: readonly Int32Array[]
  readonly places: { readonly scored: readonly Place[]; readonly heldOut: readonly Place[] }
  readonly noMeans: readonly LayerMeans[]
  answer(subnets: readonly Subnet[], means: readonly LayerMeans[], places: readonly Place[]): Scores
  /** The sums of what `answer` gives: memory does not grow with the places. */
  totals(subnets: readonly Subnet[], means: readonly LayerMeans[], places: readonly Place[]): Totals
  fluctuate(subnet: Subnet, means: readonly LayerMeans[]): Fluctuations
  /** Mean KL a token of each sub-network. */
  divergences(subnets: readonly Subnet[], means: readonly LayerMeans[], places: readonly Place[]): Float64Array
  close(): void
}

export interface CalibrateOptions {
  readonly checkpoint: Checkpoint
  readonly form: Form
  readonly groups: Groups
  readonly network: Network
  readonly samples: readonly Sample[]
  readonly method: Method
  readonly onStep: OnStep
}

/** Told of a step that is under way: how much of it is done. */
export type OnStep = (done: number, total: number, what: string) => void

/** Least and most bytes that intermediate results may take, whatever the model. */
const [leastBudget, mostBudget] = [2e6, 512e6]

export function calibrate(state: State, options: CalibrateOptions): Calibrated {
  const { checkpoint, form, groups, samples, method, onStep } = options
  const { shape } = checkpoint
  const { folder } = state
  const modelBytes = checkpoint.layers.reduce(
    (sum, layer) => sum + layerBytes(layer),
    4 * shape.vocabSize * shape.hiddenSize,
  )
  const budgetBytes = Math.min(mostBudget, Math.max(leastBudget, modelBytes / 6))
  const { network } = options
  const bench: Bench = { shape, groups, network, samples, budgetBytes, room: growing(budgetBytes / 4) }
  const padded = groups.chunks * groups.chunkChannels
  const pad = (order: Int32Array): Int32Array =>
    Int32Array.from({ length: padded }, (_, i) => (i < order.length ? order[i] : -1))

  const channels = state.once('channels', () => {
    const natural = Int32Array.from({ length: shape.ffnSize }, (_, c) => c)
    if (method === 'random' || method === 'trained') return checkpoint.layers.map(() => natural)
    if (method === 'magnitude') return channelOrders(method, checkpoint, squaresOf(checkpoint), null)
    const plain = openWeights(checkpoint, {
      form: null,
      channels: checkpoint.layers.map(() => pad(natural)),
      folder,
    })
    const sums = emptyLayerSums(shape, groups)
    readAll(bench, plain, sums, null)
    const found = fluctuations(groups, network, plain, sums)
    plain.close()
    return channelOrders(method, checkpoint, [], found)
  })
  onStep(1, 2, 'passes over the texts')
  const weights = openWeights(checkpoint, { form, channels: channels.map(pad), folder })
  tidy()
  const spool = openSpool(folder, shape, samples)
  const tops = state.once('tops', () => readAll(bench, weights, null, spool))
  tidy()
  onStep(2, 2, 'passes over the texts')

  const all = placesOf(samples)
  const half = Math.ceil(samples.length / 2)
  const scored = all.filter(({ sample }) => sample < half)
  const task = { weights, spool, tops }
  let closed = false
  const totals: Calibrated['totals'] = (subnets, means, places) => {
    const sums = { kl: new Float64Array(subnets.length), right: new Float64Array(subnets.length) }
    answerEach(bench, subnets, { ...task, places, means }, null, (subnet, _, kl, right) => {
      sums.kl[subnet] += kl
      sums.right[subnet] += right
    })
    return sums
  }
  const fluctuate: Calibrated['fluctuate'] = (subnet, means) => {
    const sums = emptyLayerSums(shape, groups)
    answer(bench, [subnet], { ...task, places: scored, means }, sums)
    return fluctuations(groups, network, weights, sums)
  }
  return {
    network,
    weights,
    channels,
    places: { scored, heldOut: all.filter(({ sample }) => sample >= half) },
    noMeans: noMeans(shape, groups),
    answer: (subnets, means, places) => answer(bench, subnets, { ...task, places, means }),
    totals,
    fluctuate(subnet, means) {
      const found = fluctuate(subnet, means)
      // The sums are as large as a layer's weights.
      tidy()
      return found
    },
    divergences(subnets, means, places) {
      const tokens = places.reduce((sum, place) => sum + tokensOf(samples, place), 0)
      return totals(subnets, means, places).kl.map((sum) => sum / tokens)
    },
    close() {
      if (closed) return
      closed = true
      network.close()
      spool.close()
      weights.close()
    },
  }
}
