import { Command, Option } from 'commander'
import { findBoard } from '../board/boards/index.ts'
import type { Comparison } from '../compress/compare.ts'
import { compareAll, type Entry, prunedByEach } from '../compress/contest.ts'
import type { EnergyOptions } from '../compress/joules.ts'
import { logFile, type Pruned, type PruneOptions, pruneCheckpoint } from '../compress/prune.ts'
import { type Method, methods } from '../compress/rivals.ts'
import { stateFolder } from '../config/load.ts'
import { DeapdError } from '../errors.ts'
import type { Quantisation, Rounding } from '../models/onnx/weights.ts'
import { calibratedModel, readCalibration } from '../store/calibration.ts'
import { print, printJson, realNumber, table, wholeNumber } from './output.ts'
import { progressReporter } from './progress.ts'

interface Flags {
  readonly out: string
  readonly calibration: string
  readonly method: Method | 'all'
  readonly levels: number
  readonly floor: number
  readonly texts: number
  readonly seed: number
  readonly quantise: Quantisation
  readonly block?: number
  readonly rounding?: Rounding
  readonly board: string
  readonly asIf?: string
  readonly state?: string
  readonly threads?: number
  readonly compensate?: 'auto' | 'all' | 'none'
  readonly json?: boolean
}

/** `deapd prune`: finds nested levels by loss per joule and writes the package. */
export const pruneCommand = (): Command =>
  new Command('prune')
    .description('find the nested levels of a LLaMA by loss per joule and write the model package')
    .argument('<model>', 'folder with config.json, *.safetensors and tokenizer.json, or a .gguf file')
    .requiredOption('--out <dir>', 'package folder to make; with --method all a folder of packages, one a method')
    .requiredOption('--calibration <file>', 'JSON Lines of {"system", "messages"} or {"text"}, or plain text')
    .addOption(
      new Option(
        '--method <name>',
        'what decides the order; all: each in turn with the same choice and search of levels, and compared; trained: the levels in the checkpoint’s nesting.json',
      )
        .choices([...methods, 'all'])
        .default('deap'),
    )
    .option('--levels <n>', 'nested sub-networks at most', wholeNumber('--levels', 2), 6)
    .option(
      '--floor <share>',
      'weight bytes at which the order ends: the smallest level, unless it is of no use by then',
      realNumber('--floor', 0.05),
      0.42,
    )
    .option('--texts <n>', 'texts drawn from the file, half of them held out', wholeNumber('--texts', 2), 256)
    .option('--seed <n>', 'of every random choice', wholeNumber('--seed', 0), 1)
    .addOption(new Option('--quantise <form>', 'weights').choices(['int4', 'int8', 'none']).default('int4'))
    .option('--block <n>', 'weights per scale (default: 128; 32 for narrow models)', wholeNumber('--block', 16))
    .addOption(
      new Option('--rounding <how>', 'scale of a block, as in `models import`').choices(['searched', 'nearest']),
    )
    .option('--board <id>', 'whose joules to count', 'agx-orin-64gb')
    .option('--as-if <model>', 'count the joules of llama-2-7b in place of a small model, or none')
    .option(
      '--state <dir>',
      'folder with the calibration.json to count with (default: that of the daemon, if it is of this board)',
    )
    .option('--threads <n>', 'threads (default: as many as the machine has)', wholeNumber('--threads', 1))
    .addOption(
      new Option('--compensate <whom>', 'whose dropped channels their means stand for: all, none, or deap and flap')
        .choices(['auto', 'all', 'none'])
        .default('auto'),
    )
    .option('--json', 'print the levels, and the comparison if there is one')
    .action(run)

async function run(model: string, flags: Flags): Promise<void> {
  const { method, out, json, seed } = flags
  if (flags.block !== undefined && ![16, 32, 64, 128, 256].includes(flags.block)) {
    throw new DeapdError('bad_usage', { detail: `--block must be 16, 32, 64, 128 or 256, not ${flags.block}.` })
  }
  const options = optionsOf(flags)
  if (method !== 'all') {
    const pruned = await pruneCheckpoint(model, out, { ...options, method })
    return json ? printJson({ methods: [described({ method, ...pruned })], comparisons: [] }) : show(out, pruned)
  }
  const entries = await prunedByEach(model, out, options, (path, pruned) => json || show(path, pruned))
  const comparisons = compareAll(entries, seed)
  if (json) return printJson({ methods: entries.map(described), comparisons })
  for (const { says, unit, margin, rows } of comparisons) showComparison(says, unit, margin, rows)
}

const described = ({ method, manifest, memory, seconds, choice }: Entry) => ({
  method,
  levels: manifest.levels,
  energy_priors: manifest.energy_priors,
  chain: choice.points,
  memory,
  seconds,
})

function optionsOf(flags: Flags): PruneOptions {
  const { calibration, levels, floor, texts, seed, quantise, block, rounding, threads, compensate } = flags
  const progress = progressReporter()
  return {
    calibration,
    energy: energyOf(flags),
    quantisation: quantise,
    block,
    rounding,
    levels,
    floorShare: floor,
    texts,
    seed,
    threads,
    int8Kv: quantise !== 'none',
    ...(compensate !== 'auto' && { compensate: compensate === 'all' }),
    onStep: progress,
    onProgress: ({ doneWeights, totalWeights }) => progress(doneWeights / 1e6, totalWeights / 1e6, 'M weights written'),
  }
}

/**
 * The board's priors, or what `deapd calibrate` found on it. A calibration that was asked for must be usable (throws
 * `calibration_unusable`); one that happens to lie in the default folder and is not is mentioned beside the priors.
 */
export function energyOf({ board: id, state, asIf }: Pick<Flags, 'board' | 'state' | 'asIf'>): EnergyOptions {
  const board = findBoard(id)
  const folder = stateFolder(state, process.env)
  const { calibration, why } = readCalibration(folder, { board: id })
  if (calibration === null) {
    if (state !== undefined) throw new DeapdError('calibration_unusable', { path: folder, board: id, detail: why })
    return { board, source: `priors of the board (${why})`, asIf }
  }
  const simulated = calibration.simulated ? ', simulated' : ''
  const source = `calibration of ${calibration.date} with ${calibration.model}${simulated}`
  return { board, power: calibratedModel(board.model, calibration), source, asIf }
}

function show(path: string, { manifest, energy, rounds, memory, seconds, tokens, choice }: Pruned): void {
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)
  print(
    `${path}: ${(manifest.shape.parameters / 1e6).toFixed(2)} M parameters, ${rounds.length} rounds, ${seconds.toFixed(0)} s`,
  )
  const basis = energy.asIf ? ` as if ${energy.asIf}` : ''
  print(`joules: ${energy.board}${basis} at ${energy.gpuHz / 1e6} MHz, ${energy.source}, ± 40 %`)
  const total = tokens.reduce((a, b) => a + b, 0)
  print(`losses: ${total} tokens of ${tokens.length} held-out texts, prompts read by the full level`)
  const rows = manifest.levels.map(({ share, loss, exact_match }, level) => [
    level,
    share.toFixed(3),
    manifest.energy_priors?.joules_per_token[level].toFixed(4) ?? '',
    loss?.toFixed(4) ?? '',
    exact_match === undefined ? '' : (100 * exact_match).toFixed(1),
  ])
  print(table([['level', 'share of bytes', 'J/token', 'KL nats/token', 'right %'], ...rows]))
  print(`measured on ${choice.points.length} points of the chain; every round is in ${logFile}`)
  const above = megabytes(memory.peakBytes - memory.floorBytes)
  print(
    `resident: ${megabytes(memory.peakBytes)} MB at most, ${megabytes(memory.floorBytes)} MB before anything was read; ` +
      `${above} MB between them, ${((memory.peakBytes - memory.floorBytes) / memory.modelBytes).toFixed(2)} times the model as float32; ${megabytes(memory.fileBytes)} MB of it pages of files`,
  )
}

function showComparison(of: string, unit: string, margin: number, rows: readonly Comparison[]): void {
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`
  print(
    `\n${of}: hypervolume up to ${margin} ${unit} above the full level and 1.1 of its joules; 95 % of a bootstrap over texts`,
  )
  const body = rows.map(({ method, hypervolume: hv, lead }, i) => [
    method,
    `${hv.value.toFixed(4)} [${hv.low.toFixed(4)}, ${hv.high.toFixed(4)}]`,
    i === 0 ? '' : `${percent(lead.value)} [${percent(lead.low)}, ${percent(lead.high)}]`,
  ])
  print(table([['method', 'hypervolume', `lead of ${rows[0].method}`], ...body]))
}
