import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Manifest } from '../../models/manifest.ts'
import { cutGraph } from '../../models/onnx/cut.ts'
import { names } from '../../models/onnx/interface.ts'
import { decodeModel, encodeModel, valueInfo } from '../../models/onnx/proto.ts'
import type { Ort } from './api.ts'
import { chain } from './chain.ts'
import { withTiles } from './create.ts'
import { type Session, sessionOver } from './session.ts'
import { openTogether } from './together.ts'

/**
 * A large package is prepacked in parts, each a session of its own, because the library takes one thread to make a session,
 * whatever it finds prepacked: parts are made at the same time. Smaller ones would shorten a start that is short anyway.
 */
const partBytes = 1e9
const mostParts = 4

/** Names of what a part takes, gives and hands on, in a file beside it. */
interface Ends {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly hands: string | null
}

const endsFile = 'parts.json'
const graphOf = (folder: string, index: number): string => join(folder, `${index}.onnx`)

export const partsFor = (weightBytes: number): number =>
  Math.max(1, Math.min(mostParts, Math.floor(weightBytes / partBytes)))

/** A graph of a package. */
interface PackageGraph {
  readonly dir: string
  readonly file: string
  readonly manifest: Manifest
}

/** Writes the optimised, prepacked parts of a package's graph, at most `count`, into a folder. */
export function makeParts(
  ort: Ort,
  { dir, file, manifest: { shape, dtype } }: PackageGraph,
  threads: number,
  folder: string,
  count: number,
): void {
  const { graph } = decodeModel(readFileSync(join(dir, file)))
  const handed = (name: string): object => valueInfo(name, dtype, ['batch', 'tokens', shape.hidden_size])
  const parts = cutGraph(graph, count, handed)
  const ends = parts.map(({ inputs, outputs, hands }): Ends => ({ inputs: [...inputs], outputs: [...outputs], hands }))
  writeFileSync(join(folder, endsFile), JSON.stringify(ends))
  const openings = parts.map((part, i) => ({
    source: { bytes: encodeModel(part.graph), folder: dir },
    options: { save: { graph: graphOf(folder, i), data: `${i}.onnx.prepacked` } },
  }))
  for (const handle of openTogether(ort, openings, threads)) ort.release('ReleaseSession', handle)
}

/** Opens what `makeParts` wrote. */
export function openParts(
  ort: Ort,
  folder: string,
  { shape, dtype }: Manifest,
  threads: number,
  flashAttention: boolean,
): Session {
  const ends: readonly Ends[] = JSON.parse(readFileSync(join(folder, endsFile), 'utf8'))
  const openings = ends.map((_, i) => ({ source: graphOf(folder, i), options: { prepacked: true } }))
  const handles = withTiles(flashAttention, () => openTogether(ort, openings, threads))
  const links = handles.map((handle, i) => ({
    session: sessionOver(ort, handle),
    inputs: new Set(ends[i].inputs),
    outputs: new Set(ends[i].outputs),
    hands: ends[i].hands,
  }))
  if (links.length === 1) return links[0].session
  return chain(links, { like: names.ids, width: shape.hidden_size, type: dtype })
}
