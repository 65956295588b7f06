import { Command, CommanderError } from 'commander'
import { DeapdError } from '../errors.ts'
import { version } from '../version.ts'
import { benchCommand } from './bench.ts'
import { budgetCommand } from './budget.ts'
import { chatCommand } from './chat.ts'
import { doctorCommand } from './doctor.ts'
import { evaluateCommand } from './evaluate.ts'
import { generateCommand } from './generate.ts'
import { modelsCommand } from './models.ts'
import { perplexityCommand } from './perplexity.ts'
import { recordCommand } from './record.ts'
import { restoreCommand } from './restore.ts'
import { serveCommand } from './serve.ts'
import { simulateCommand } from './simulate.ts'
import { statusCommand } from './status.ts'
import { topCommand } from './top.ts'
import { twinCommand } from './twin.ts'

/** Every command, in the order of `deapd --help`. */
const commands: readonly (() => Command)[] = [
  serveCommand,
  chatCommand,
  statusCommand,
  topCommand,
  doctorCommand,
  recordCommand,
  budgetCommand,
  restoreCommand,
  modelsCommand,
  generateCommand,
  perplexityCommand,
  evaluateCommand,
  benchCommand,
  simulateCommand,
  twinCommand,
]

/** Runs one command line and returns the exit code: 0 ok, 1 failed, 2 bad usage. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const program = new Command('deapd')
    .description('Dynamic Energy-Aware Pruning daemon: a language model on a Jetson, inside a watt budget')
    .version(version)
    .showHelpAfterError('See `deapd --help`.')
  for (const make of commands) program.addCommand(make())
  silenceExit(program)
  try {
    await program.parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    return report(error)
  }
}

/** Commander would exit the process itself; we want its errors, for every command. */
function silenceExit(command: Command): void {
  command.exitOverride()
  for (const child of command.commands) silenceExit(child)
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof DeapdError) {
    process.stderr.write(`deapd: ${error.message}\n       ${error.hint}\n`)
    return error.exit
  }
  // Not in our table: a defect. The stack belongs in the report that we ask for.
  process.stderr.write(`deapd: an internal error stopped this command. Please report it with these lines.\n`)
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  return 1
}
