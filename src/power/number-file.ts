import { readFile } from 'node:fs/promises'

/** The first line of a small sysfs file, or undefined when it is absent, unreadable or says EAGAIN (powered down). */
export async function readText(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, 'utf8')
    return text.split('\n', 1)[0].trim()
  } catch {
    return undefined
  }
}

/** A whole number from a sysfs file; undefined for anything else, so that a damaged file is never zero. */
export async function readNumber(path: string): Promise<number | undefined> {
  const text = await readText(path)
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined
}
