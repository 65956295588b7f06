/**
 * Every error deapd can show, in one table. `message` says what happened and what was kept, `hint` says what to do;
 * `{name}` is filled from the parameters. `status` is the HTTP status, `exit` the exit code of the command line.
 */
interface ErrorRow {
  readonly status: number
  readonly exit: 1 | 2
  readonly message: string
  readonly hint: string
}

export const errorTable = {
  bad_request: {
    status: 400,
    exit: 2,
    message: 'The request was not understood: {detail}. Nothing was changed.',
    hint: 'Correct the named field and send it again.',
  },
  bad_usage: { status: 400, exit: 2, message: '{detail}', hint: 'See `deapd --help` and `deapd <command> --help`.' },
  unsupported: {
    status: 400,
    exit: 2,
    message: '{detail} is not supported. Nothing was run.',
    hint: 'Leave `{param}` out of the request.',
  },
  context_length_exceeded: {
    status: 400,
    exit: 1,
    message: 'The prompt has {promptTokens} tokens and this model holds {contextTokens}. Nothing was run.',
    hint: 'Shorten the conversation or start a new one.',
  },
  body_too_large: {
    status: 413,
    exit: 2,
    message: 'The request body is larger than {limitBytes} bytes. Nothing was run.',
    hint: 'Send a shorter conversation.',
  },
  foreign_host: {
    status: 403,
    exit: 2,
    message: 'Requests for host "{host}" are refused, so that a web page cannot reach this daemon by DNS rebinding.',
    hint: 'Use http://127.0.0.1 or http://localhost, or set `api.allowed_hosts`.',
  },
  foreign_origin: {
    status: 403,
    exit: 2,
    message: 'Web pages from "{origin}" may not use this daemon.',
    hint: 'Add the origin to `api.allowed_origins`.',
  },
  not_found: { status: 404, exit: 2, message: 'There is no {what} here.', hint: 'See README for the list of routes.' },
  model_not_found: {
    status: 404,
    exit: 2,
    message: 'Model "{model}" is not installed.',
    hint: 'Installed: {installed}. Install one with `deapd models import SRC --out DIR`.',
  },
  calibration_text: {
    status: 400,
    exit: 2,
    message: 'The calibration file {path} cannot be used: {detail}. Nothing was written.',
    hint: 'Give it JSON Lines of messages (with a system prompt if there is one) or of text, or plain text.',
  },
  calibration_poor: {
    status: 500,
    exit: 1,
    message: 'The sweep does not fit the power model: {detail}. Nothing was stored; the former figures stay in use.',
    hint: 'Stop other programs that use the GPU or the CPU and calibrate again, with more --seconds.',
  },
  calibration_unusable: {
    status: 400,
    exit: 2,
    message: 'The calibration in {path} cannot be used for {board}: {detail}. Nothing was written.',
    hint: 'Run `deapd calibrate` on that board, name the board it is of with --board, or leave out --state: then the priors count.',
  },
  budget_invalid: {
    status: 400,
    exit: 2,
    message:
      'A budget of "{value}" W cannot be used on {board}: it must be a number from {minWatts} to {maxWatts}. The old budget stays.',
    hint: 'Give watts as a plain number, for example `deapd budget 32`.',
  },
  lease_invalid: {
    status: 400,
    exit: 2,
    message: 'A lease of "{value}" cannot be used. Nothing was changed.',
    hint: 'Give seconds, or a number with s, m or h, for example 15m.',
  },
  hold_invalid: {
    status: 400,
    exit: 2,
    message: 'A hold with {what} cannot be used: {detail}. Nothing was changed.',
    hint: 'GPU clocks in MHz: {points}; levels: 0 to {top}.',
  },
  setting_invalid: {
    status: 400,
    exit: 2,
    message: 'Setting {name} is "{value}": {detail}. Nothing was started.',
    hint: 'Correct it in {source}; README lists every setting.',
  },
  board_unknown: { status: 400, exit: 2, message: 'There is no board "{board}".', hint: 'Known boards: {known}.' },
  board_not_found: {
    status: 500,
    exit: 1,
    message: 'No Jetson was recognised under {root}: {detail}.',
    hint: 'Run on a Jetson, or choose a simulated board with `--twin agx-orin-64gb`.',
  },
  port_busy: {
    status: 500,
    exit: 1,
    message: 'Port {port} on {host} is already in use, so {what} could not start. Nothing else was started.',
    hint: 'Stop the other program or choose another port with `{option}`.',
  },
  address_unusable: {
    status: 500,
    exit: 1,
    message: 'Address {host}:{port} cannot be used for {what}: {detail}.',
    hint: 'Choose another address with `{option}`.',
  },
  state_unwritable: {
    status: 500,
    exit: 1,
    message: 'The state folder {path} cannot be written: {detail}. Nothing was started.',
    hint: 'Give a writable folder with `--state DIR`.',
  },
  state_busy: {
    status: 500,
    exit: 1,
    message: 'Another deapd (process {pid}) already uses the state folder {path}.',
    hint: 'Stop it, or give this one its own folder with `--state DIR`.',
  },
  state_damaged: {
    status: 500,
    exit: 1,
    message:
      'The state file {path} could not be read ({detail}). It was set aside as {kept} and a fresh one was begun.',
    hint: 'Nothing to do; totals start again at zero. Keep the file if you need the old totals.',
  },
  package_missing: {
    status: 500,
    exit: 2,
    message: 'There is no model package at {path}.',
    hint: 'A package is a folder with deapd-model.json; make one with `deapd models import`.',
  },
  package_invalid: {
    status: 500,
    exit: 1,
    message: 'The model package {path} cannot be used: {detail}.',
    hint: 'Copy the package again, or make it again with `deapd models import`.',
  },
  package_damaged: {
    status: 500,
    exit: 1,
    message: '{file} in the model package {path} is damaged: {detail}. The package was not loaded.',
    hint: 'Copy the package again; `deapd models verify DIR` checks it.',
  },
  import_unsupported: {
    status: 400,
    exit: 2,
    message: '{path} cannot be imported: {detail}. Nothing was written.',
    hint: 'deapd imports LLaMA-architecture models: a folder with config.json, *.safetensors and tokenizer.json, or a .gguf file.',
  },
  import_damaged: {
    status: 400,
    exit: 1,
    message: '{path} cannot be imported: {detail}. Nothing was written.',
    hint: 'Download or copy the source again.',
  },
  import_busy: {
    status: 400,
    exit: 1,
    message: 'Process {pid} is already importing to {path}. Nothing was changed.',
    hint: 'Wait for it, or choose another `--out`. If that process is no import, remove {lock}.',
  },
  disk_full: {
    status: 507,
    exit: 1,
    message:
      'The disk is too full for {path}: {neededBytes} more bytes are needed, {freeBytes} are free. What was finished is kept.',
    hint: 'Free some space and run the same command again: it goes on where it stopped.',
  },
  output_unwritable: {
    status: 500,
    exit: 1,
    message: '{path} cannot be written: {detail}.',
    hint: 'Choose another `--out`, or correct the permissions of its folder.',
  },
  output_exists: {
    status: 400,
    exit: 2,
    message: '{path} already exists and was left as it is.',
    hint: 'Choose another `--out`, or remove it first.',
  },
  file_unreadable: {
    status: 400,
    exit: 2,
    message: '{path} cannot be read: {detail}.',
    hint: 'Check the path and its permissions.',
  },
  level_unknown: {
    status: 400,
    exit: 2,
    message: 'Level {level} does not exist: this model has levels 0 to {highest}. Nothing was run.',
    hint: '0 is the smallest sub-network, {highest} the full network.',
  },
  engine_starting: {
    status: 503,
    exit: 1,
    message: 'The engine is starting: {detail}.',
    hint: 'Try again in a few seconds.',
  },
  engine_failed: {
    status: 500,
    exit: 1,
    message: 'The engine could not run the model: {detail}.',
    hint: 'See the log; `deapd doctor` checks the installation.',
  },
  memory_short: {
    status: 503,
    exit: 1,
    message:
      'There is not enough memory for {what}: {neededGb} GB are needed and {freeGb} GB can be had (largest free block {largestBlock}). Nothing was loaded.',
    hint: 'Stop what else takes memory, raise the limit of the service, or use a smaller model or context.',
  },
  engine_lost: {
    status: 502,
    exit: 1,
    message:
      'The engine process stopped in the middle of this answer ({detail}). The text so far was kept; the engine is being restarted.',
    hint: 'Send the request again in a few seconds.',
  },
  provider_missing: {
    status: 500,
    exit: 1,
    message: 'The ONNX Runtime at {path} was built without {provider} (it has: {available}). Nothing was loaded.',
    hint: 'Leave `--provider` at auto, or set DEAPD_ONNXRUNTIME to a build that has it.',
  },
  provider_dtype: {
    status: 500,
    exit: 2,
    message: '{provider} cannot run this package: its activations are {dtype}, and the kernels take {accepted}.',
    hint: 'Import the model again with `--dtype {accepted}`, or use `--provider auto`.',
  },
  provider_fallback: {
    status: 500,
    exit: 1,
    message:
      '{provider} was asked for, but {count} of its kernels ran elsewhere, {operators} among them. The model was not kept.',
    hint: 'Use `--provider cpu`, or a build of ONNX Runtime whose {provider} kernels take this package.',
  },
  engine_library: {
    status: 500,
    exit: 1,
    message: 'ONNX Runtime could not be loaded from {path}: {detail}.',
    hint: 'Run `npm ci` again, or set DEAPD_ONNXRUNTIME to a libonnxruntime of version {oldest} or newer.',
  },
  queue_full: {
    status: 503,
    exit: 1,
    message: '{waiting} requests are already waiting, which is the limit. This one was not run.',
    hint: 'Try again after the time in Retry-After.',
  },
  shutting_down: {
    status: 503,
    exit: 1,
    message: 'deapd is shutting down. This request was not finished.',
    hint: 'Send it again when the daemon is back.',
  },
  daemon_unreachable: {
    status: 502,
    exit: 1,
    message: 'No deapd answers at {url}: {detail}.',
    hint: 'Start it with `npm start` or `deapd serve`, or give its address with `--url`.',
  },
  daemon_refused: {
    status: 502,
    exit: 1,
    message: 'deapd at {url} answered: {detail}',
    hint: 'Correct the command and run it again.',
  },
  clocks_busy: {
    status: 500,
    exit: 1,
    message: 'Another deapd already steers the clocks under {root}. Nothing was started.',
    hint: 'Stop it first: `systemctl stop deapd`, or end the process that answers at its address.',
  },
  clock_refused: {
    status: 500,
    exit: 1,
    message: 'Clock file {path} could not be written: {detail}. The clock stays at {kept}.',
    hint: 'The installer gives the service group write access; see systemd/README.md.',
  },
  journal_damaged: {
    status: 500,
    exit: 1,
    message: 'The clock journal {path} cannot be read: {detail}. No clock was touched.',
    hint: 'Restore the clocks with `jetson_clocks --restore` or a reboot, then remove the journal.',
  },
  journal_unwritable: {
    status: 500,
    exit: 1,
    message:
      'The clock journal {path} cannot be written: {detail}. A clock whose original is not saved is not changed.',
    hint: 'Make room, or make the state folder writable for deapd.',
  },
  sensor_missing: {
    status: 500,
    exit: 1,
    message: 'No power sensor was found under {root}: {detail}.',
    hint: 'deapd runs at its safest point without one; check `deapd doctor`.',
  },
  broker_unreachable: {
    status: 500,
    exit: 1,
    message: 'The MQTT broker {url} cannot be reached: {detail}. Everything else runs; deapd keeps trying.',
    hint: 'Check the address in `--mqtt`, or use `--mqtt none`.',
  },
  not_offered: {
    status: 501,
    exit: 2,
    message: '{what} is not offered. {detail}',
    hint: 'See README for the list of routes.',
  },
  internal: {
    status: 500,
    exit: 1,
    message: 'An internal error stopped this request. Nothing else was affected.',
    hint: 'Please report it with the lines that the log shows under the x-request-id of this reply.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof errorTable
export type ErrorParams = Readonly<Record<string, string | number>>

/** An error from the table; `message` is filled in, `cause` keeps what was underneath. */
export class DeapdError extends Error {
  override readonly name = 'DeapdError'
  readonly code: ErrorCode
  readonly params: ErrorParams

  constructor(code: ErrorCode, params: ErrorParams = {}, cause?: unknown) {
    super(fill(errorTable[code].message, params), cause === undefined ? undefined : { cause })
    this.code = code
    this.params = params
  }

  get status(): number {
    return errorTable[this.code].status
  }

  get exit(): 1 | 2 {
    return errorTable[this.code].exit
  }

  get hint(): string {
    return fill(errorTable[this.code].hint, this.params)
  }
}

/** The exit code of an error that is known by its code only, as from another process; undefined for one that is not ours. */
export function exitOf(code: string): 1 | 2 | undefined {
  return Object.hasOwn(errorTable, code) ? errorTable[code as ErrorCode].exit : undefined
}

function fill(template: string, params: ErrorParams): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => (name in params ? String(params[name]) : whole))
}

/** The short text of anything thrown, for `{detail}`. */
export function detailOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
