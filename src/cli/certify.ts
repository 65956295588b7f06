import { Command } from 'commander'
import { featuresOf } from '../engine/complexity/question.ts'
import { loadOrt } from '../engine/ort/api.ts'
import { openTokenizer } from '../engine/tokenizer.ts'
import { DeapdError } from '../errors.ts'
import { type Answerer, openAnswerer } from '../evaluate/answers.ts'
import { certify, runnerOf } from '../evaluate/certificate/certify.ts'
import { type CalibrationPrompt, readCalibration, splitBySeed } from '../evaluate/certificate/data.ts'
import type { Prepared } from '../evaluate/certificate/lanes.ts'
import { summarise } from '../evaluate/certificate/summary.ts'
import { validate } from '../evaluate/certificate/validate.ts'
import { subjectOf, writeManifest } from '../models/certificate.ts'
import type { Manifest } from '../models/manifest.ts'
import { openPackage } from '../models/package.ts'
import type { Certificate } from '../models/routing.ts'
import { toWire } from '../telemetry/wire.ts'
import { print, printJson, realNumber, table, wholeNumber } from './output.ts'
import { progressReporter } from './progress.ts'

interface Options {
  readonly calibration: string
  readonly margin: number
  readonly confidence: number
  readonly seed: number
  readonly validate?: boolean
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** Fewer prompts than this on each side leave nothing to choose from (deap.md §5: 200 without any loss). */
const fewest = 200

/** `deapd certify`: fits the router of a package and proves what `balanced` may lose. */
export const certifyCommand = (): Command =>
  new Command('certify')
    .description('fit the router of a package, and certify what `balanced` may lose against the full network')
    .argument('<package>', 'model package; its manifest is rewritten')
    .requiredOption('--calibration <file>', 'JSONL of conversations, with their right answers where they are known')
    .option('--margin <points>', 'largest loss that is allowed, in points', realNumber('--margin', 0), 1.5)
    .option('--confidence <part>', 'certainty of that, 0 to 1', realNumber('--confidence', 0), 0.95)
    .option('--seed <n>', 'seed of the split', wholeNumber('--seed', 0), 20261124)
    .option('--validate', 'simulate 200 recalibrations with the prompts that are left over, too')
    .option('--dry-run', 'change nothing')
    .option('--json', 'print certificate and figures')
    .action(async (dir: string, options: Options) => {
      const { margin, confidence, seed } = options
      if (confidence <= 0 || confidence >= 1 || margin <= 0 || margin >= 100) {
        throw new DeapdError('bad_usage', {
          detail: '--margin must lie between 0 and 100, --confidence between 0 and 1.',
        })
      }
      const pack = openPackage(dir)
      const data = readCalibration(options.calibration)
      const split = splitBySeed(data.prompts, seed)
      if (split.calibration.length < fewest) {
        throw new DeapdError('bad_usage', {
          detail: `${options.calibration} holds ${data.prompts.length} prompts; a certificate needs at least ${2 * fewest}.`,
        })
      }
      const answerer = openAnswerer(loadOrt(), pack.dir)
      try {
        const prepare = preparerOf(answerer, pack.dir, pack.manifest)
        const run = runnerOf(answerer, progressReporter())
        const shares = pack.manifest.levels.map(({ share }) => share)
        const fit = split.fit.map(prepare)
        const calibration = split.calibration.map(prepare)
        const loss = data.prompts.every(({ answer }) => answer !== null) ? 'answers' : 'texts'
        const inputs = { run, shares, fit, calibration, loss, margin: margin / 100, confidence } as const
        const certified = certify(inputs)
        const figures = summarise(inputs, certified, seed)
        const validity = options.validate ? validate(inputs, certified, split.rest.map(prepare), seed) : null
        const { requests, token, hold, grid, chosen, eco } = certified
        const { risk, doubt } = grid[chosen]
        const routing = { requests, token, hold, balanced: { risk, doubt }, eco }
        const certificate: Certificate = {
          levels: shares.map((_, level) => level),
          margin_points: margin,
          confidence,
          n: calibration.length,
          data_sha256: data.sha256,
          date: new Date(Number(process.env.SOURCE_DATE_EPOCH ?? Date.now() / 1000) * 1000).toISOString(),
          loss,
          losses: grid[chosen].losses,
          grid: [...grid],
          chosen,
          seed,
          fit_n: fit.length,
          differing: figures.differing,
          subject_sha256: subjectOf({ ...pack.manifest, routing }),
        }
        if (!options.dryRun) writeManifest(pack.dir, { ...pack.manifest, routing, certificate })
        if (options.json)
          return printJson({
            model: pack.id,
            certificate,
            routing,
            figures: toWire(figures),
            validity: toWire(validity),
          })
        print(
          chosen === 0
            ? `${pack.id}: no router passed at ${margin} points with ${100 * confidence} % confidence, so balanced stays at the full level`
            : `${pack.id}: balanced loses at most ${margin} points against the full network, with ${100 * confidence} % confidence (n = ${calibration.length})`,
        )
        print(
          table([
            ['', 'risk', 'doubt', 'losses', 'p', 'weights read'],
            ...grid.map((point, i) => [
              i === chosen ? '→' : '',
              point.risk.toPrecision(3),
              point.doubt.toPrecision(3),
              point.losses,
              point.p_value.toPrecision(2),
              `${(100 * point.cost).toFixed(1)} %`,
            ]),
          ]),
        )
        for (const line of [...figures.lines, ...(validity?.lines ?? [])]) print(line)
      } finally {
        answerer.close()
      }
    })

function preparerOf(answerer: Answerer, dir: string, { shape }: Manifest) {
  const tokenizer = openTokenizer(dir)
  return ({ messages, answer, stratum }: CalibrationPrompt): Prepared => {
    const promptIds = answerer.encode(messages)
    return { promptIds, features: featuresOf({ messages }, promptIds, tokenizer, shape.vocab_size), answer, stratum }
  }
}
