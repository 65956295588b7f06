import Type from 'typebox'
import { DeapdError } from '../errors.ts'

/** A field that may be absent or null: clients send both for "not set". Unknown fields are always ignored. */
export const Maybe = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))

/** One row per field that would change the answer and that this daemon cannot honour. */
export interface Refusal {
  readonly param: string
  readonly detail: string
  /** True when this value, neither absent nor null, asks for it. */
  readonly asks: (value: unknown) => boolean
}

export function refuse(body: object, refusals: readonly Refusal[]): void {
  for (const { param, detail, asks } of refusals) {
    const value = (body as Record<string, unknown>)[param]
    if (value !== undefined && value !== null && asks(value)) throw new DeapdError('unsupported', { detail, param })
  }
}

export const isFilled = (value: unknown): boolean =>
  Array.isArray(value) || typeof value === 'string' ? value.length > 0 : Object.keys(value as object).length > 0

/** The limit where both are given is the smaller one; none or a negative one is no limit. */
export function smallest(...limits: readonly (number | null | undefined)[]): number | null {
  const given = limits.filter((limit) => typeof limit === 'number' && limit >= 0) as number[]
  return given.length === 0 ? null : Math.min(...given)
}
