/** Evaluates and kills itself, as a power cut would, when the first block of answers is there. */
import { boards } from '../../src/board/boards/index.ts'
import { evaluate } from '../../src/evaluate/protocol/run.ts'
import { shortQuestions } from './short-questions.ts'

const [model, source, calibration, work] = process.argv.slice(2)
await evaluate({
  model,
  source,
  calibration,
  work,
  board: boards[0],
  questions: shortQuestions,
  hotSeconds: 5,
  seed: 7,
  workers: 1,
  draws: 20,
  grid: 'world',
  onProgress: (done, _, what) => {
    if (what.startsWith('prompts') && done >= 32) process.kill(process.pid, 'SIGKILL')
  },
})
