import { availableParallelism } from 'node:os'
import { Command, Option } from 'commander'
import { calibrateKv } from '../engine/calibrate.ts'
import { loadOrt } from '../engine/ort/api.ts'
import { DeapdError } from '../errors.ts'
import { modelsDir } from '../models/bundled.ts'
import { importModel } from '../models/import.ts'
import type { Activations } from '../models/onnx/activations.ts'
import type { Quantisation, Rounding } from '../models/onnx/weights.ts'
import { listPackages, type ModelPackage, openPackage, verifyPackage } from '../models/package.ts'
import { print, printJson, table, wholeNumber } from './output.ts'
import { progressReporter } from './progress.ts'

interface ImportOptions {
  readonly out: string
  readonly quantise: Quantisation
  readonly block?: number
  readonly rounding?: Rounding
  readonly levels: number
  readonly kv: 'auto' | 'int8' | 'float32'
  readonly dtype: Activations
  readonly threads?: number
  readonly json?: boolean
}

/** Below this, weights and cache fit into the processor's own caches, and rounding the cache saves nothing. */
const largeBytes = 64e6

const phases = {
  measure: 'M weights measured, for the order of the channels',
  check: 'M weights of an interrupted import checked',
  write: 'M weights written',
}

/** `deapd models`: make, list and check model packages. */
export const modelsCommand = (): Command =>
  new Command('models')
    .description('import, list and verify model packages')
    .addCommand(importCommand())
    .addCommand(listCommand())
    .addCommand(verifyCommand())

const importCommand = (): Command =>
  new Command('import')
    .description('turn a LLaMA in Hugging Face or GGUF form into a model package')
    .argument('<src>', 'folder with config.json, *.safetensors and tokenizer.json, or a .gguf file')
    .requiredOption('--out <dir>', 'package folder to make; its name becomes the model id')
    .addOption(new Option('--quantise <form>', 'weights').choices(['int4', 'int8', 'none']).default('int4'))
    .option(
      '--block <n>',
      'weights per scale: 16, 32, 64, 128 or 256 (default: 128; 32 for narrow models)',
      wholeNumber('--block', 16),
    )
    .addOption(
      new Option(
        '--rounding <how>',
        'scale of a block: searched for the least squared error, or just covering its largest weight (default: searched, unless the model was trained for the other)',
      ).choices(['searched', 'nearest']),
    )
    .option('--levels <n>', 'nested sub-networks', wholeNumber('--levels', 1), 6)
    .addOption(
      new Option('--kv <type>', 'keys and values; auto: int8 for large quantised models')
        .choices(['auto', 'int8', 'float32'])
        .default('auto'),
    )
    .addOption(
      new Option('--dtype <type>', 'activations: float16 for a GPU, float32 for the CPU')
        .choices(['float32', 'float16'])
        .default('float32'),
    )
    .option('--threads <n>', 'worker threads (default: as many as the machine has)', wholeNumber('--threads', 1))
    .option('--json', 'print the manifest')
    .action(async (source: string, options: ImportOptions) => {
      const { out, quantise, block, rounding, levels, kv, dtype, threads, json } = options
      if (block !== undefined && ![16, 32, 64, 128, 256].includes(block)) {
        throw new DeapdError('bad_usage', { detail: `--block must be 16, 32, 64, 128 or 256, not ${block}.` })
      }
      const show = progressReporter()
      const manifest = await importModel({
        source,
        out,
        quantisation: quantise,
        block,
        rounding,
        levels,
        activations: dtype,
        threads,
        onProgress: ({ phase, doneWeights, totalWeights }) =>
          show(doneWeights / 1e6, totalWeights / 1e6, phases[phase]),
      })
      const large = dtype === 'float32' && quantise !== 'none' && manifest.files['model.onnx.data'].bytes >= largeBytes
      const rounded =
        kv === 'int8' || (kv === 'auto' && large) ? calibrateKv(loadOrt(), out, availableParallelism()) : null
      if (json) return printJson(openPackage(out).manifest)
      const megabytes = (manifest.files['model.onnx.data'].bytes / 1e6).toFixed(2)
      print(
        `${out}: ${(manifest.shape.parameters / 1e6).toFixed(2)} M parameters, ${megabytes} MB of weights, ${quantise}`,
      )
      print(`levels by share of weight bytes: ${manifest.levels.map(({ share }) => share.toFixed(2)).join(', ')}`)
      if (rounded)
        print(
          `keys and values: ${rounded.kept ? 'int8' : 'float32'} (int8 costs ${rounded.kl.toFixed(5)} nats of KL a token)`,
        )
    })

const listCommand = (): Command =>
  new Command('list')
    .description('list the model packages in a folder')
    .option('--folder <dir>', 'where to look', modelsDir)
    .option('--json', 'print [{id, name, parameters, bytes, levels, error}]')
    .action(({ folder, json }: { folder: string; json?: boolean }) => {
      const packages = listPackages(folder)
      if (json) return printJson(packages.map(summary))
      if (packages.length === 0) return print(`no model packages in ${folder}`)
      const head = ['id', 'parameters', 'weights', 'levels', 'state']
      const rows = packages.map((found) =>
        'error' in found
          ? [found.id, '', '', '', found.error.message]
          : [
              found.id,
              `${(found.manifest.shape.parameters / 1e6).toFixed(1)} M`,
              found.manifest.quantisation.weights,
              found.manifest.levels.length,
              'ok',
            ],
      )
      print(table([head, ...rows]))
    })

const summary = (found: ModelPackage | { id: string; error: DeapdError }): object =>
  'error' in found
    ? { id: found.id, error: found.error.message }
    : {
        id: found.id,
        name: found.manifest.name,
        parameters: found.manifest.shape.parameters,
        bytes: found.bytes,
        levels: found.manifest.levels,
        error: null,
      }

const verifyCommand = (): Command =>
  new Command('verify')
    .description('compare every file of a package with its hash')
    .argument('<dir>', 'model package')
    .option('--json', 'print {id, ok, files}')
    .action((dir: string, { json }: { json?: boolean }) => {
      const { id, manifest } = verifyPackage(dir)
      const files = Object.keys(manifest.files)
      if (json) printJson({ id, ok: true, files })
      else print(`${id}: ${files.length} files match their hashes`)
    })
