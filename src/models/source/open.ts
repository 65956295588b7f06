import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DeapdError } from '../../errors.ts'
import type { Checkpoint } from './checkpoint.ts'
import { findGguf, openGguf } from './gguf-llama.ts'
import { openHuggingFace } from './huggingface.ts'

/** Opens whatever people have: a Hugging Face folder, a GGUF file, or a folder with one GGUF model in it. */
export function openCheckpoint(path: string): Checkpoint {
  if (!existsSync(path)) throw new DeapdError('import_unsupported', { path, detail: 'there is nothing there' })
  const isFolder = statSync(path).isDirectory()
  if (isFolder && existsSync(join(path, 'config.json'))) return openHuggingFace(path)
  const gguf = findGguf(path)
  if (gguf) return openGguf(gguf)
  const detail = isFolder ? 'it has no config.json and no .gguf file' : 'it is neither a folder nor a .gguf file'
  throw new DeapdError('import_unsupported', { path, detail })
}
