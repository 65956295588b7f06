import { Command, CommanderError } from 'commander'
import { DeapdError } from '../errors.ts'
import { version } from '../version.ts'

/**
 * Every command, in the order of `deapd --help`. Each is loaded when it is called: what `evaluate` needs is no part of a
 * daemon that stays for months.
 */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.ts')).serveCommand(),
  chat: async () => (await import('./chat.ts')).chatCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  top: async () => (await import('./top.ts')).topCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  record: async () => (await import('./record.ts')).recordCommand(),
  energy: async () => (await import('./energy.ts')).energyCommand(),
  calibrate: async () => (await import('./calibrate.ts')).calibrateCommand(),
  budget: async () => (await import('./budget.ts')).budgetCommand(),
  hold: async () => (await import('./hold.ts')).holdCommand(),
  restore: async () => (await import('./restore.ts')).restoreCommand(),
  models: async () => (await import('./models.ts')).modelsCommand(),
  prune: async () => (await import('./prune.ts')).pruneCommand(),
  generate: async () => (await import('./generate.ts')).generateCommand(),
  perplexity: async () => (await import('./perplexity.ts')).perplexityCommand(),
  certify: async () => (await import('./certify.ts')).certifyCommand(),
  evaluate: async () => (await import('./evaluate.ts')).evaluateCommand(),
  label: async () => (await import('./label.ts')).labelCommand(),
  bench: async () => (await import('./bench.ts')).benchCommand(),
  simulate: async () => (await import('./simulate.ts')).simulateCommand(),
  twin: async () => (await import('./twin.ts')).twinCommand(),
}

/** Runs one command line and returns the exit code: 0 ok, 1 failed, 2 bad usage. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const program = new Command('deapd')
    .description('Dynamic Energy-Aware Pruning daemon: a language model on a Jetson, inside a watt budget')
    .version(version)
    .showHelpAfterError('See `deapd --help`.')
  // Help and mistakes show them all.
  const called = Object.hasOwn(commands, args[0] ?? '') ? [commands[args[0]]] : Object.values(commands)
  for (const load of called) program.addCommand(await load())
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
