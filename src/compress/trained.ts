import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { DeapdError } from '../errors.ts'
import { fullSubnet, type Groups, groupNumber, type Subnet } from './groups.ts'

/** Beside the weights of a checkpoint whose levels were trained, smallest first; the full network is not among them. */
export const nestingFile = 'nesting.json'

const schema = Type.Object({
  levels: Type.Array(
    Type.Object({
      /** Channels from the first on that the level runs, by layer. */
      widths: Type.Array(Type.Number({ minimum: 0 })),
      /** 1 for each key-value head that it reads, by layer. */
      heads: Type.Array(Type.Array(Type.Union([Type.Literal(0), Type.Literal(1)]))),
    }),
    { minItems: 1 },
  ),
})

/** The levels that training left, and the full network. Throws `import_unsupported` where there are none or they do not fit. */
export function trainedSubnets(source: string, groups: Groups): Subnet[] {
  const refuse = (reason: string): never => {
    throw new DeapdError('import_unsupported', { path: source, detail: reason })
  }
  const { chunkChannels, perLayer, chunks, all } = groups
  const layers = all.length / perLayer
  let said: unknown
  try {
    said = JSON.parse(readFileSync(join(source, nestingFile), 'utf8'))
  } catch (error) {
    return refuse(`no readable ${nestingFile} with trained levels: ${(error as Error).message}`)
  }
  if (!Value.Check(schema, said)) return refuse(`${nestingFile} does not describe levels`)
  const subnets = said.levels.map(({ widths, heads }) => {
    const fits =
      widths.length === layers && heads.length === layers && heads.every((h) => h.length === perLayer - chunks)
    if (!fits || widths.some((w) => w % chunkChannels !== 0 || w > chunks * chunkChannels))
      return refuse(`${nestingFile} is about another shape, or its widths are not whole chunks of ${chunkChannels}`)
    const subnet: Subnet = new Uint8Array(all.length)
    for (let layer = 0; layer < layers; layer++) {
      for (const [index, on] of heads[layer].entries()) subnet[groupNumber(groups, layer, 'heads', index)] = on
      for (let chunk = 0; chunk < widths[layer] / chunkChannels; chunk++)
        subnet[groupNumber(groups, layer, 'mlp', chunk)] = 1
    }
    return subnet
  })
  const nested = [...subnets, fullSubnet(groups)]
  if (nested.some((subnet, level) => level > 0 && nested[level - 1].some((on, g) => on > subnet[g])))
    refuse(`the levels of ${nestingFile} are not nested`)
  return nested
}
