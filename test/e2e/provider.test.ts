import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Model, openModel } from '../../src/engine/model.ts'
import { loadOrt } from '../../src/engine/ort/api.ts'
import { importModel } from '../../src/models/import.ts'
import type { Activations } from '../../src/models/onnx/activations.ts'
import type { Quantisation } from '../../src/models/onnx/weights.ts'
import { openPackage } from '../../src/models/package.ts'
import { tinyConfig, tinyWeights, writeCheckpoint } from '../support/tiny-llama.ts'

/**
 * Software Vulkans, GPUs for the WebGPU provider on a machine without one: Mesa's computes float16 as well, from a version on
 * that Debian has in its backports; the one that Chromium brings along does not.
 */
const mesa = '/usr/share/vulkan/icd.d/lvp_icd.json'
const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json'
const half = existsSync(mesa) && mesaVersion(mesa) >= 24
const device = half ? mesa : swiftShader
const skip =
  existsSync(device) && process.arch === 'x64' ? false : 'needs Debian packages chromium and vulkan-tools on x64'

function mesaVersion(icd: string): number {
  const env = { ...process.env, VK_ICD_FILENAMES: icd }
  const { stdout } = spawnSync('vulkaninfo', ['--summary'], { env, encoding: 'utf8' })
  return Number(/driverInfo\s+= Mesa (\d+)/.exec(stdout ?? '')?.[1] ?? 0)
}

const ort = loadOrt()
const root = t.testdir({})
process.env.VK_ICD_FILENAMES = device
process.env.XDG_RUNTIME_DIR ??= root
const source = writeCheckpoint(join(root, 'hf'), tinyConfig, tinyWeights(tinyConfig, 1))

async function pack(quantisation: Quantisation, activations: Activations): Promise<string> {
  const out = join(root, `${quantisation}-${activations}`)
  if (!existsSync(out)) await importModel({ source, out, quantisation, block: 32, levels: 3, activations })
  return out
}

const open = (dir: string, provider: 'cpu' | 'webgpu'): Model =>
  openModel(ort, dir, openPackage(dir).manifest, 1, { provider })

/** Prompts short and long, both of two sequences, every level, and going back. */
function talk(model: Model): number[] {
  const full = model.levels - 1
  const [first, second] = [model.newSequence(), model.newSequence()]
  const long = Array.from({ length: 70 }, (_, i) => (i * 37 + 5) % tinyConfig.vocab)
  const rows = [...first.run([1, 17, 203, 44], full, 0), ...second.run(long, full, 0)]
  for (let level = 0; level < model.levels; level++) {
    for (const row of model.decodeBatch([first, second], [60 + level, 70], level)) rows.push(...row)
  }
  first.truncate(2)
  rows.push(...first.run([9, 10], 0, 0))
  return rows
}

/** Largest difference, over the spread of what was expected. */
function worst(expected: readonly number[], actual: readonly number[]): number {
  const spread = Math.max(...expected) - Math.min(...expected)
  return Math.max(...expected.map((value, i) => Math.abs(value - actual[i]))) / spread
}

t.test('WebGPU runs every kernel of every level, and its cache stays on the device', { skip }, async (t) => {
  const dir = await pack('none', 'float32')
  const [cpu, gpu] = [open(dir, 'cpu'), open(dir, 'webgpu')]
  // The library's attention to 32 tokens and more computes something else on these devices (their subgroups are small).
  t.match(gpu.provider, /^webgpu \((\d+) of \1 kernels a token, 0 copies\); 16 tokens a run/)
  const [expected, actual] = [talk(cpu), talk(gpu)]
  t.equal(actual.length, expected.length)
  const difference = worst(expected, actual)
  t.ok(difference < 1e-4, `the largest difference is ${difference}`)
  cpu.close()
  gpu.close()
})

const skipHalf = skip || (half ? false : 'needs Mesa 24 or newer (mesa-vulkan-drivers of bookworm-backports)')

t.test('WebGPU runs float16 packages, whole and in four bits', { skip: skipHalf }, async (t) => {
  for (const quantisation of ['none', 'int4'] as const) {
    const [single, dir] = [await pack(quantisation, 'float32'), await pack(quantisation, 'float16')]
    // Float32 on the same device: the CPU's kernel for four bits rounds its activations to eight.
    const [expected, actual] = [single, dir].map((one) => {
      const model = open(one, 'webgpu')
      t.match(model.provider, /^webgpu \((\d+) of \1 kernels a token, 0 copies\); 16 tokens a run/)
      const rows = talk(model)
      model.close()
      return rows
    })
    t.equal(actual.length, expected.length)
    const difference = worst(expected, actual)
    t.ok(difference > 0, 'something else was computed than in float32')
    t.ok(difference < 0.02, `${quantisation}: the largest difference is ${difference}`)
  }
})
