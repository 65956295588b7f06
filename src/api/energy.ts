import Type, { type Static } from 'typebox'
import type { RequestEnergy } from '../energy/request.ts'
import type { GenerateRequest } from '../engine/protocol.ts'
import { DeapdError } from '../errors.ts'
import { toWire } from '../telemetry/wire.ts'
import type { Done } from './answers.ts'
import { Maybe } from './body.ts'
import type { InstalledModel } from './ports.ts'

const Policy = Type.Enum(['exact', 'balanced', 'eco'])

/** Our one addition to the requests of OpenAI and Ollama. */
export const EnergyField = Maybe(
  Type.Union([
    Policy,
    Type.Object({
      policy: Maybe(Policy),
      max_joules: Maybe(Type.Number({ exclusiveMinimum: 0 })),
      level: Maybe(Type.Integer({ minimum: 0 })),
    }),
  ]),
)

type EnergyWish = Pick<GenerateRequest, 'policy' | 'level' | 'maxJoules'>

/** A caller who pins a level has chosen it over any certificate, so the policy is then `eco` unless one is named. */
export function energyWish(field: Static<typeof EnergyField> | undefined, model: InstalledModel): EnergyWish {
  if (field === undefined || field === null) return { policy: 'balanced', level: null, maxJoules: null }
  if (typeof field === 'string') return { policy: field, level: null, maxJoules: null }
  const level = field.level ?? null
  const highest = model.manifest.levels.length - 1
  if (level !== null && level > highest) {
    throw new DeapdError('level_unknown', { level, highest, param: 'energy.level' })
  }
  if (level !== null && level < highest && field.policy === 'exact') {
    throw new DeapdError('bad_request', {
      detail: `energy.level ${level} is not the full network, which policy "exact" asks for`,
      param: 'energy.level',
    })
  }
  return { policy: field.policy ?? (level === null ? 'balanced' : 'eco'), level, maxJoules: field.max_joules ?? null }
}

/** The bill as it stands in `usage.energy` and in Ollama's last line. */
export function energyBill(energy: RequestEnergy, done: Pick<Done, 'levels' | 'degraded' | 'routing'>): object {
  return {
    joules: energy.joules,
    ...(energy.joules === null && { joules_reason: energy.joulesReason }),
    joules_per_token: energy.joulesPerToken,
    gco2eq: energy.gco2eq,
    uncertainty_joules: energy.uncertaintyJoules,
    method: energy.method,
    rail: energy.rail,
    levels: done.levels,
    degraded: done.degraded,
    ...(done.routing && { routing: toWire(done.routing) }),
  }
}

/** OpenAI's `usage`, with the joules in it. */
export function usageOf(done: Done): object {
  return {
    prompt_tokens: done.promptTokens,
    completion_tokens: done.completionTokens,
    total_tokens: done.promptTokens + done.completionTokens,
    prompt_tokens_details: { cached_tokens: done.cachedTokens },
    energy: energyBill(done.energy, done),
  }
}
