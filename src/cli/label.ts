import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { Value } from 'typebox/value'
import { boards } from '../board/boards/index.ts'
import { DeapdError } from '../errors.ts'
import { Label } from '../evaluate/report/label.ts'
import { labelDrawing, labelRows } from '../evaluate/report/label-drawing.ts'
import { packageLabel } from '../evaluate/report/package-label.ts'
import { openPackage } from '../models/package.ts'
import { print, printJson, table } from './output.ts'

interface Options {
  readonly out?: string
  readonly board: string
  readonly grid: string
  readonly json?: boolean
}

/** `deapd label`: the carbon label of an evaluated package, or what can be said of one that nobody evaluated. */
export const labelCommand = (): Command =>
  new Command('label')
    .description(
      'carbon label of a model: joules per token, grams of CO2eq, accuracy, certificate, a class from A to G',
    )
    .argument('<source>', 'report.json of an evaluation, the folder it lies in, or a model package')
    .option('--out <dir>', 'write label.svg and label.json into this folder')
    .addOption(
      new Option('--board <board>', 'simulated board of a package without evaluation')
        .choices(boards.map(({ id }) => id))
        .default('agx-orin-64gb'),
    )
    .option('--grid <code>', 'whose electricity, for a package without evaluation', 'world')
    .option('--json', 'print the label')
    .action((source: string, options: Options) => {
      const label = labelFrom(source, options)
      if (options.out !== undefined) write(resolve(options.out), label)
      if (options.json) return printJson(label)
      print(`${label.model}: ${label.class ? `class ${label.class}` : 'not rated'} (joules ${label.joules})`)
      print(table(labelRows(label)))
    })

function labelFrom(source: string, options: Options): Label {
  const path = resolve(source)
  const report = existsSync(path) && statSync(path).isDirectory() ? join(path, 'report.json') : path
  if (!existsSync(report)) return packageLabel(openPackage(path), options, new Date().toISOString().slice(0, 10))
  const label = parse(report)
  if (!Value.Check(Label, label)) {
    throw new DeapdError('bad_usage', {
      detail: `${report} holds no label: it is no report of \`deapd evaluate\`, or one of another version.`,
    })
  }
  return label
}

/** The label inside a report; unknown for whatever else the file may be. */
function parse(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))?.label
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function write(out: string, label: Label): void {
  for (const name of ['label.svg', 'label.json']) {
    if (existsSync(join(out, name))) throw new DeapdError('output_exists', { path: join(out, name) })
  }
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'label.svg'), `${labelDrawing(label, true)}\n`)
  writeFileSync(join(out, 'label.json'), `${JSON.stringify(label, null, 2)}\n`)
}
