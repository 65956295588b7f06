#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { runCommandLine } from './cli/index.ts'

// `deapd … | head` closes the pipe early; that is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
// The daemon stays for months and makes little garbage, and so does pruning, whose data lies outside the heap: a young
// generation that grows to 16 MB would only be resident.
if (['serve', 'prune'].includes(process.argv[2])) setFlagsFromString('--semi-space-growth-factor=1')
// Collecting it is the work of half a millisecond. Shared with threads, it waits for cores that the engine holds.
if (process.argv[2] === 'serve') setFlagsFromString('--no-parallel-scavenge')
process.exitCode = await runCommandLine(process.argv.slice(2))
