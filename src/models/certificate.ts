import { createHash } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Manifest, manifestFile } from './manifest.ts'
import { hashFile } from './package.ts'
import { type Certificate, routerRevision } from './routing.ts'

/** Whether `balanced` may leave the full level, and if not, why. */
export type CertificateCheck =
  | { readonly state: 'none' | 'void'; readonly reason: string }
  | { readonly state: 'valid'; readonly reason: string; readonly certificate: Certificate }

/** Files that decide what the tokens of a conversation are; all others are the network. */
const textFiles: readonly string[] = ['tokenizer.json', 'chat_template.jinja']

/** Packages up to this size are read through when they are loaded; a larger one is taken at its manifest's word (`models verify` reads it). */
const readThroughBytes = 256e6

const sha256 = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex')

/** What a certificate is about, as hashes: when one of them is another, it certifies nothing any more. */
export function subjectOf({ files, levels, chunks, routing }: Manifest): Certificate['subject_sha256'] {
  const hashes = Object.entries(files)
    .map(([name, file]) => [name, file.sha256] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const isText = ([name]: readonly [string, string]): boolean => textFiles.includes(name)
  const bytes = levels.map(({ weight_bytes }) => weight_bytes)
  return {
    weights: sha256([hashes.filter((file) => !isText(file)), bytes, chunks]),
    tokenizer: sha256(hashes.filter(isText)),
    routing: sha256([routerRevision, routing ?? null]),
  }
}

/** Holds a package against its certificate: manifest and, unless it is large, the content of its files. */
export function checkCertificate(dir: string, manifest: Manifest): CertificateCheck {
  const { certificate, routing, files } = manifest
  if (!certificate || !routing) {
    return { state: 'none', reason: 'the package has no certificate, so balanced answers come from the full network' }
  }
  const kept = 'so balanced answers come from the full network; certify it again with `deapd certify`'
  const now = subjectOf(manifest)
  const changed = (['weights', 'tokenizer', 'routing'] as const).filter(
    (part) => now[part] !== certificate.subject_sha256[part],
  )
  if (changed.length > 0) {
    return {
      state: 'void',
      reason: `the certificate is void: ${changed.join(' and ')} changed since ${certificate.date}, ${kept}`,
    }
  }
  if (routing.requests.length !== manifest.levels.length - 1) {
    return { state: 'void', reason: `the certificate is void: its routing is for another number of levels, ${kept}` }
  }
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0)
  const altered =
    bytes > readThroughBytes
      ? undefined
      : Object.keys(files).find((name) => hashFile(join(dir, name)).sha256 !== files[name].sha256)
  if (altered)
    return { state: 'void', reason: `the certificate is void: ${altered} is not the file that was certified, ${kept}` }
  const { margin_points, confidence, n } = certificate
  const reason = `at most ${margin_points} points below the full network with ${100 * confidence} % confidence, from ${n} prompts on ${certificate.date}`
  return { state: 'valid', reason, certificate }
}

/** Replaces a package's manifest; a kill leaves the old one or the new one. */
export function writeManifest(dir: string, manifest: Manifest): void {
  const next = join(dir, `${manifestFile}.new`)
  writeFileSync(next, `${JSON.stringify(manifest, null, 2)}\n`, { flush: true })
  renameSync(next, join(dir, manifestFile))
}
