import type { Settings } from '../config/schema.ts'
import { DeapdError, detailOf } from '../errors.ts'

/** One line of `deapd doctor`. */
export interface Check {
  readonly name: string
  readonly result: 'pass' | 'warn' | 'fail'
  /** What a program may go by: a code of the error table, or the check's own; null when it passed. */
  readonly code: string | null
  readonly detail: string
  readonly hint: string
}

export interface CheckContext {
  readonly settings: Settings
  readonly stateDir: string
}

/** What a check saw: a sentence when all is well, else what is wrong and what to do. */
export type Finding = string | (Pick<Check, 'result' | 'detail' | 'hint'> & { readonly code: string })

/** A check that says what it saw, or throws; what it throws becomes a failure with the hint of the error table. */
export const check =
  (name: string, look: (context: CheckContext) => Promise<Finding> | Finding, severity: 'fail' | 'warn' = 'fail') =>
  async (context: CheckContext): Promise<Check> => {
    try {
      const found = await look(context)
      return typeof found === 'string'
        ? { name, result: 'pass', code: null, detail: found, hint: '' }
        : { name, ...found }
    } catch (error) {
      const known = error instanceof DeapdError ? error : null
      const code = known?.code ?? `${name.replaceAll(' ', '_')}_failed`
      return { name, result: severity, code, detail: detailOf(error), hint: known?.hint ?? '' }
    }
  }

export const warning = (code: string, detail: string, hint: string): Finding => ({ result: 'warn', code, detail, hint })
