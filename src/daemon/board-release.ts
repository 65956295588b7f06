import { join } from 'node:path'
import { readLine } from '../power/files.ts'

/** An L4T release such as R36.4.7. */
export interface Release {
  readonly text: string
  readonly major: number
  readonly revision: string
}

/** JetPack versions by L4T release, longest match first (hardware.md, L4T to JetPack). */
const jetpacks: readonly (readonly [prefix: string, version: string])[] = [
  ['R36.4.7', '6.2.1'],
  ['R36.4.4', '6.2.1'],
  ['R36.4.3', '6.2'],
  ['R36.4', '6.1'],
  ['R36.5', '6.2.2'],
  ['R36.3', '6.0'],
  ['R36.2', '6.0 DP'],
  ['R38.2', '7.0'],
  ['R38.4', '7.1'],
  ['R39.2', '7.2'],
  ['R35', '5'],
  ['R34', '5 DP'],
  ['R32', '4'],
]

/** From `# R36 (release), REVISION: 4.7, GCID: …`; null when the file is not there, as in most containers. */
export function readRelease(root: string): Release | null {
  const line = readLine(join(root, 'etc/nv_tegra_release')) ?? ''
  const [, major, revision] = /^# R(\d+) \(release\), REVISION: ([\d.]+)/.exec(line) ?? []
  return major === undefined ? null : { text: `R${major}.${revision}`, major: Number(major), revision }
}

export function describeRelease({ text }: Release): string {
  const jetpack = jetpacks.find(([prefix]) => text === prefix || text.startsWith(`${prefix}.`))?.[1]
  return `L4T ${text}${jetpack ? ` (JetPack ${jetpack})` : ''}`
}
