import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openModel } from '../../src/engine/model.ts'
import { loadOrt } from '../../src/engine/ort/api.ts'
import { importModel } from '../../src/models/import.ts'
import { openPackage } from '../../src/models/package.ts'
import { tinyConfig, tinyWeights, writeCheckpoint } from '../support/tiny-llama.ts'

/** The software Vulkan that Debian's Chromium brings along: a GPU for the WebGPU provider on a machine without one. */
const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json'
const skip =
  existsSync(swiftShader) && process.arch === 'x64' ? false : 'needs Debian packages chromium and vulkan-tools on x64'

t.test('WebGPU runs every kernel of every level, and its cache stays on the device', { skip }, async (t) => {
  process.env.VK_ICD_FILENAMES = swiftShader
  process.env.XDG_RUNTIME_DIR ??= t.testdir({})
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, tinyWeights(tinyConfig, 1))
  const dir = join(root, 'tiny')
  const manifest = await importModel({ source, out: dir, quantisation: 'none', block: 32, levels: 3 })
  const ort = loadOrt()
  const [cpu, gpu] = (['cpu', 'webgpu'] as const).map((provider) =>
    openModel(ort, dir, openPackage(dir).manifest, 1, { provider }),
  )
  t.match(gpu.provider, /^webgpu \((\d+) of \1 kernels a token, 0 copies\)$/)
  const prompt = [1, 17, 203, 44]
  const [expected, actual] = [cpu, gpu].map((model) => {
    const [first, second] = [model.newSequence(), model.newSequence()]
    const rows = [...first.run(prompt, model.levels - 1, 0), ...second.run(prompt.slice(1), model.levels - 1, 0)]
    for (const level of manifest.levels.keys()) {
      for (const row of model.decodeBatch([first, second], [60 + level, 70], level)) rows.push(...row)
    }
    first.truncate(2)
    rows.push(...first.run([9, 10], 0, 0))
    return rows
  })
  t.equal(actual.length, expected.length)
  const spread = Math.max(...expected) - Math.min(...expected)
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - actual[i])))
  t.ok(worst < 1e-4 * spread, `the largest difference is ${worst} of ${spread}`)
  cpu.close()
  gpu.close()
})
