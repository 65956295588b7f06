import { createHash } from 'node:crypto'
import type { Engine } from '../engine/client.ts'
import type { ShadowEvent } from '../engine/protocol.ts'
import type { Decision } from '../governor/types.ts'
import type { Manifest } from '../models/manifest.ts'
import type { Store } from '../store/db.ts'
import type { Snapshot } from '../telemetry/snapshot.ts'
import { afterShadow, type DriftState, freshDrift, revokingWealth, wealthOf } from './drift.ts'
import type { Log } from './log.ts'

/** Watches over the certificate of the resident model, and takes it away when shadow runs say that it no longer holds. */
export interface CertificateWatch {
  /** True from the start where an earlier run revoked it. */
  revoked(): boolean
  observe(shadow: ShadowEvent): void
  view(): Snapshot['certificate']
}

/** Shadow runs are made only while there is power to spare. */
export const powerToSpare = ({ capLevel, duty, conditions }: Decision, full: number): boolean =>
  capLevel === full && duty === 1 && conditions.length === 0

export function watchCertificate(
  { certificate, routing, levels }: Manifest,
  engine: () => Pick<Engine, 'setRevoked' | 'status'>,
  store: Store,
  log: Log,
): CertificateWatch {
  // Another certificate is another story: what was seen of an earlier one says nothing about it.
  const subject = createHash('sha256')
    .update(JSON.stringify([certificate]))
    .digest('hex')
  const known = store.state.drift?.subject === subject ? store.state.drift : null
  let state: DriftState = known
    ? { shadows: known.shadows, differing: known.differing, logWealth: known.log_wealth }
    : freshDrift
  let revokedAt = known?.revoked_at ?? null
  const full = levels.length - 1

  const reasonRevoked = (): string =>
    `revoked on ${revokedAt}: ${state.differing} of ${state.shadows} answers read again would have been others at the full level, ` +
    `${((certificate?.differing.bound ?? 0) * 100).toFixed(2)} % were allowed. Balanced answers come from the full network. ` +
    'Certify the package again with prompts of the present kind (`deapd certify`)'

  if (certificate && revokedAt !== null) log.warn({ revoked_at: revokedAt }, `the certificate stays ${reasonRevoked()}`)

  const save = (): void => {
    const { shadows, differing, logWealth } = state
    const drift = { subject, shadows, differing, log_wealth: [...logWealth], revoked_at: revokedAt }
    // It is in force already; only a restart would not know of it.
    store
      .update((all) => Object.assign(all, { drift }))
      .catch((error) => log.error({ err: error }, 'what shadow runs found could not be written'))
  }

  return {
    revoked: () => revokedAt !== null,
    observe({ differs, tokens, disagreements }) {
      if (!certificate || revokedAt !== null) return
      state = afterShadow(state, differs, certificate.differing.bound)
      log.debug({ differs, tokens, disagreements, wealth: wealthOf(state) }, 'a balanced answer was read again')
      if (wealthOf(state) >= revokingWealth) {
        revokedAt = new Date().toISOString()
        engine().setRevoked(true)
        log.error({ shadows: state.shadows, differing: state.differing }, `the certificate was ${reasonRevoked()}`)
      }
      save()
    },
    view() {
      const checked = engine().status().loaded?.certificate ?? null
      const holds = revokedAt === null && checked?.state === 'valid'
      return {
        state: checked?.state === 'valid' && revokedAt !== null ? 'revoked' : (checked?.state ?? 'unknown'),
        explanation:
          holds || checked?.state !== 'valid' ? (checked?.reason ?? 'the model is not loaded') : reasonRevoked(),
        marginPoints: certificate?.margin_points ?? null,
        marginPointsReason: certificate ? null : 'the package has no certificate',
        lowestLevel:
          holds && routing && routing.balanced.risk > 0 ? Math.min(full, ...(certificate?.levels ?? [])) : full,
        shadows: state.shadows,
        differing: state.differing,
        evidence: wealthOf(state),
      }
    },
  }
}
