/**
 * Measures what pruning a 7B takes: two layers of LLaMA-2-7B's shape with noise for weights, embeddings and lm_head whole, read
 * over 2,048 tokens of text and scored once, in a process whose peak resident memory is printed. What a whole model takes is
 * extrapolated from that and says so. Run as `npm run build && node scripts/prune-7b.mjs [LAYERS] [FOLDER]`; needs about 0.4 GB
 * of disk a layer, 3 GB more, and removes it.
 */
import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { answer } from '../dist/compress/answering.js'
import { fullSubnet, groupsOf, without } from '../dist/compress/groups.js'
import { watchMemory } from '../dist/compress/memory.js'
import { openNetwork } from '../dist/compress/network.js'
import { emptyLayerSums, growing, noMeans, placesOf } from '../dist/compress/passes.js'
import { readAll } from '../dist/compress/reading.js'
import { openSpool } from '../dist/compress/spool.js'
import { fluctuations } from '../dist/compress/statistics.js'
import { openWeights } from '../dist/compress/weights.js'
import { returnMemory } from '../dist/engine/ort/allocator.js'
import { loadOrt } from '../dist/engine/ort/api.js'
import { openCheckpoint } from '../dist/models/source/open.js'
import { writeBigModel } from './big-model.mjs'

const limitBytes = 4e9
const wholeLayers = 32
/** Sub-networks run beside the full one for the time of an ablation. */
const variants = 2
const [layers = '2', parent = tmpdir()] = process.argv.slice(2)

if (process.send) await measure(layers, parent)
else {
  const folder = mkdtempSync(join(parent, 'deapd-prune-7b-'))
  try {
    // In a process of its own: writing the checkpoint must not count.
    writeBigModel(join(folder, 'model'), Number(layers))
    const child = fork(fileURLToPath(import.meta.url), [layers, folder], { stdio: 'inherit' })
    process.exitCode = await new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measure(layers, folder) {
  const seconds = {}
  const timed = (name, work) => {
    const startedAtMs = performance.now()
    const result = work()
    seconds[name] = (performance.now() - startedAtMs) / 1000
    console.log(`${name}: ${seconds[name].toFixed(1)} s`)
    return result
  }
  returnMemory()
  const checkpoint = openCheckpoint(join(folder, 'model'))
  const { shape } = checkpoint
  const form = { quantisation: 'int4', block: 128, rounding: 'nearest' }
  const groups = groupsOf(shape, form)
  const state = join(folder, 'state')
  mkdirSync(state)
  const samples = Array.from({ length: 4 }, (_, text) => ({
    ids: Int32Array.from({ length: 512 }, (_, i) => 3 + ((text * 7919 + i * 104_729) % (shape.vocabSize - 3))),
    ranges: [{ from: 256, to: 511 }],
    answers: false,
  }))
  const network = openNetwork(loadOrt(), state, shape, groups, 2)
  const memory = watchMemory(checkpoint)
  const bench = { shape, groups, network, samples, budgetBytes: 512e6, room: growing() }
  const channels = checkpoint.layers.map(() =>
    Int32Array.from({ length: groups.chunks * groups.chunkChannels }, (_, c) => c),
  )
  const weights = openWeights(checkpoint, { form, channels, folder: state })
  const spool = openSpool(state, shape, samples)
  const tops = timed('read 2,048 tokens, weights rounded on the way', () => readAll(bench, weights, null, spool))
  const task = { weights, spool, tops, places: placesOf(samples), means: noMeans(shape, groups) }
  const sums = emptyLayerSums(shape, groups)
  const full = fullSubnet(groups)
  timed('statistics of 1,020 tokens', () => answer(bench, [full], task, sums))
  timed('errors of all groups', () => fluctuations(groups, network, weights, sums))
  const dropped = Array.from({ length: variants }, (_, i) => without(full, [i]))
  timed(`${variants} ablations beside the full network`, () => answer(bench, [full, ...dropped], task))
  const { floorBytes, peakBytes } = memory()
  const gigabytes = (bytes) => (bytes / 1e9).toFixed(2)
  console.log(
    `resident: ${gigabytes(peakBytes)} GB at most (floor ${gigabytes(floorBytes)} GB), limit ${gigabytes(limitBytes)} GB`,
  )
  const perLayer = (what) => seconds[what] / Number(layers)
  const [read, statistics, errors, ablations] = Object.keys(seconds).map(perLayer)
  const one = (ablations / (variants + 1)) * wholeLayers
  const perRound = (wholeLayers * groups.perLayer) / 4
  const passes = wholeLayers * (read + statistics + errors)
  console.log(
    `extrapolated, not run: a whole model on this text takes ${(passes / 60).toFixed(0)} min for the passes of the first round and ` +
      `${one.toFixed(0)} s for an ablation of a group in the first layer, half on average; a quarter of its groups are ` +
      `${perRound.toFixed(0)} a round: ${((perRound * one) / 2 / 3600).toFixed(0)} h on this machine. A GPU's prompt speed is what that needs.`,
  )
  if (peakBytes > limitBytes) process.exitCode = 1
  writeFileSync(join(folder, 'done'), '')
}
