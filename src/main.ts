#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { runCommandLine } from './cli/index.ts'

// `deapd … | head` closes the pipe early; that is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
// The daemon stays for months and makes little garbage: a young generation that grows to 16 MB would only be resident.
if (process.argv[2] === 'serve') setFlagsFromString('--semi-space-growth-factor=1')
process.exitCode = await runCommandLine(process.argv.slice(2))
