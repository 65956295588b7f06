import { openModel } from '../../dist/engine/model.js'
import { loadOrt } from '../../dist/engine/ort/api.js'
import { median, spread } from '../../dist/evaluate/statistics/quantiles.js'
import { openPackage } from '../../dist/models/package.js'
import { calmly } from '../calm.mjs'

const contextTokens = 128

/** The same package twice in this process, weights mapped and weights moved into huge pages, in turns. */
export async function pages({ dir, threads, rounds, tokens }) {
  const { manifest } = openPackage(dir)
  const ort = loadOrt()
  const open = () => openModel(ort, dir, manifest, threads, { slots: 1 })
  // Moved before the other maps its own: all mappings of the file are moved.
  const models = { moved: open() }
  const from = performance.now()
  const movedBytes = (await models.moved.movable()?.move()) ?? 0
  const moveSeconds = (performance.now() - from) / 1000
  models.mapped = open()
  const sequences = Object.entries(models).map(([name, model]) => {
    const sequence = model.newSequence()
    sequence.fill(contextTokens)
    return [name, sequence]
  })
  const seen = { moved: [], mapped: [] }
  for (let round = -1; round < rounds; round++) {
    for (const [name, sequence] of sequences) {
      const ms = await calmly([process.pid], () =>
        Array.from({ length: tokens }, (_, i) => {
          sequence.truncate(contextTokens)
          const start = performance.now()
          sequence.run([i], manifest.levels.length - 1, 0)
          return performance.now() - start
        }),
      )
      if (round >= 0) seen[name].push(median(ms))
    }
  }
  for (const model of Object.values(models)) model.close()
  return {
    values: { pages: spread(seen.moved.map((ms, i) => seen.mapped[i] / ms)) },
    details: {
      ms_per_token: Object.fromEntries(Object.entries(seen).map(([name, ms]) => [name, spread(ms)])),
      moved_gb: movedBytes / 1e9,
      move_seconds: moveSeconds,
    },
  }
}
