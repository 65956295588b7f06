import type { Round } from './eliminate.ts'
import type { Groups } from './groups.ts'

/** A round as a line of prune-log.jsonl. */
export const roundLine = ({ all }: Groups, { round, links, kl, bytesShare, measured, gains }: Round): object => ({
  round,
  share: bytesShare,
  kl,
  measured,
  noise_gains: gains,
  dropped: links.map(({ group, loss, joules }) => {
    const { layer, kind, index } = all[group]
    return { layer, kind, index, kl: loss, joules, kl_per_joule: loss / joules }
  }),
})
