import { DeapdError, type ErrorCode } from '../errors.ts'

/** A refusal in the words of a wire: status, headers and what the two dialects put in the body. */
export interface Fault {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly code: string
  readonly param: string | null
  readonly message: string
}

/** Seconds after which a client may ask again. Clients retry at once without this, which would feed an overload. */
const retrySeconds: Partial<Record<ErrorCode, number>> = {
  engine_starting: 3,
  engine_lost: 3,
  queue_full: 5,
  shutting_down: 10,
}

/** Anything thrown on the way to an answer, as a fault. Nothing that was not foreseen shows its text to the caller. */
export function faultOf(thrown: unknown, limitBytes: number): Fault {
  const known = thrown instanceof DeapdError ? thrown : (fromFastify(thrown, limitBytes) ?? new DeapdError('internal'))
  return {
    status: known.status,
    headers: retryHeaders(known),
    code: known.code,
    param: known.params.param === undefined ? null : String(known.params.param),
    message: known.code === 'bad_usage' ? known.message : `${known.message} ${known.hint}`,
  }
}

export function openaiBody(fault: Fault): object {
  return { error: { message: fault.message, type: openaiType(fault.status), param: fault.param, code: fault.code } }
}

/** Ollama's clients look for two of its own texts, so those are sent word for word. */
export function ollamaBody(fault: Fault, thrown: unknown): { error: string } {
  if (!(thrown instanceof DeapdError)) return { error: fault.message }
  if (thrown.code === 'model_not_found') {
    return { error: `model "${thrown.params.model}" not found, try pulling it first` }
  }
  if (thrown.code === 'queue_full') {
    return { error: 'server busy, please try again. maximum pending requests exceeded' }
  }
  return { error: fault.message }
}

function openaiType(status: number): string {
  if (status === 404) return 'not_found_error'
  return status < 500 ? 'invalid_request_error' : 'api_error'
}

function retryHeaders(error: DeapdError): Record<string, string> {
  const seconds = retrySeconds[error.code] ?? (error.status === 503 || error.status === 429 ? 5 : undefined)
  if (seconds !== undefined) return { 'retry-after': String(seconds) }
  return error.status >= 500 ? { 'x-should-retry': 'false' } : {}
}

interface Problem {
  readonly keyword: string
  readonly instancePath: string
  readonly message?: string
  readonly params?: { readonly allowedValues?: readonly unknown[]; readonly requiredProperties?: readonly string[] }
}

interface FastifyFault {
  readonly code?: string
  readonly statusCode?: number
  readonly message?: string
  readonly validation?: readonly Problem[]
}

function fromFastify(thrown: unknown, limitBytes: number): DeapdError | undefined {
  const fault = thrown as FastifyFault
  if (fault?.validation) return fromValidation(fault.validation)
  if (fault?.statusCode === 413) return new DeapdError('body_too_large', { limitBytes })
  if (fault?.statusCode !== undefined && fault.statusCode < 500) {
    return new DeapdError('bad_request', { detail: fault.message ?? 'it is malformed' })
  }
  return undefined
}

function fromValidation(problems: NonNullable<FastifyFault['validation']>): DeapdError {
  // A union reports every branch; the deepest path names the field the caller can correct, and a branch whose type fits says more.
  const rank = ({ keyword, instancePath }: Problem) => 2 * instancePath.length + (typeKeywords.has(keyword) ? 0 : 1)
  const worst = problems.reduce((a, b) => (rank(b) > rank(a) ? b : a))
  const param = worst.instancePath.slice(1).replaceAll('/', '.')
  const detail = `${param === '' ? 'the body' : param} ${saying(worst)}`
  return new DeapdError('bad_request', { detail, param: param === '' ? 'body' : param })
}

const typeKeywords = new Set(['type', 'const', 'anyOf'])

function saying({ keyword, message = 'is malformed', params }: Problem): string {
  if (keyword === 'enum' && params?.allowedValues) return `must be one of ${params.allowedValues.join(', ')}`
  if (keyword === 'required' && params?.requiredProperties) return `needs ${params.requiredProperties.join(' and ')}`
  return message
}
