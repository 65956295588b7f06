import Type, { type Static } from 'typebox'

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/**
 * The state of the daemon at one control tick, immutable. HTTP, MQTT, metrics, the page and the log are views of it; on the
 * wire its names become snake_case (wire.ts). An unknown value is null with `<field>Reason` beside it.
 */
export const Snapshot = Type.Object({
  ts: Type.String({ description: 'UTC, ISO 8601' }),
  monoMs: Type.Number({ description: 'monotonic milliseconds' }),
  bootId: Type.String({ description: 'changes at every start of the daemon' }),
  version: Type.String(),
  board: Type.Object({
    id: Type.String(),
    name: Type.String(),
    simulated: Type.Boolean({ description: 'true on the twin: nothing here was measured' }),
    sensor: Type.String(),
  }),
  power: Type.Object({
    totalWatts: Nullable(Type.Number({ description: 'module power' })),
    totalWattsReason: Nullable(Type.String()),
    totalRule: Type.String({ description: 'which rails the total is made of' }),
    railWatts: Type.Record(Type.String(), Type.Number()),
    budgetWatts: Type.Number(),
    budgetSource: Type.String({ description: 'config, http, mqtt or cli' }),
    leaseUntil: Nullable(Type.String({ description: 'UTC time at which the order ends; null without a lease' })),
    headroomWatts: Nullable(Type.Number()),
    headroomWattsReason: Nullable(Type.String()),
    secondsOverBudget: Type.Number({ description: 'seconds since start in which the 1 s mean was over the budget' }),
  }),
  thermal: Type.Object({
    tjCelsius: Nullable(Type.Number()),
    tjCelsiusReason: Nullable(Type.String()),
  }),
  clocks: Type.Object({
    gpuHz: Nullable(Type.Number()),
    gpuHzReason: Nullable(Type.String()),
    cpuHz: Nullable(Type.Number({ description: 'clock of the fastest CPU cluster' })),
    cpuHzReason: Nullable(Type.String()),
    gpuCapHz: Type.Number({ description: 'the cap the governor asked for' }),
    gpuCapAppliedHz: Nullable(Type.Number({ description: 'the cap read back from the board' })),
    gpuCapAppliedHzReason: Nullable(Type.String()),
    cpuCapAppliedHz: Nullable(Type.Number({ description: 'the same for the CPU; null while deapd leaves it alone' })),
    cpuCapAppliedHzReason: Nullable(Type.String()),
    coresOnline: Nullable(Type.Integer({ description: 'cores that are on; null while deapd leaves them alone' })),
    coresOnlineReason: Nullable(Type.String()),
    drifts: Type.Integer({ description: 'times since start that somebody else had changed a limit of ours' }),
    contested: Type.Boolean({ description: 'somebody changes a limit again and again, and theirs stands for now' }),
    refusal: Type.String({ description: 'why the board refuses a limit; empty when it does not' }),
  }),
  governor: Type.Object({
    level: Type.Integer({ description: 'highest level in use now; 0 is the smallest sub-network' }),
    ecoLevel: Type.Integer(),
    levels: Type.Integer({ description: 'number of levels of the model' }),
    share: Type.Number({ description: 'weight bytes read at that level over the full network' }),
    reason: Type.String(),
    explanation: Type.String(),
    predictedWatts: Type.Number(),
    degraded: Type.Boolean({ description: 'brown-out: answers use fewer sub-networks than their policy asks for' }),
    ticks: Type.Integer(),
    longestGapMs: Type.Number({ description: 'longest time between two control ticks since start' }),
  }),
  engine: Type.Object({
    state: Type.Union([
      Type.Literal('starting'),
      Type.Literal('ready'),
      Type.Literal('restarting'),
      Type.Literal('failed'),
      Type.Literal('stopped'),
    ]),
    pid: Nullable(Type.Integer()),
    pidReason: Nullable(Type.String()),
    detail: Type.String(),
    model: Type.String(),
    provider: Type.String(),
    activeRequests: Type.Integer(),
    queuedRequests: Type.Integer(),
    restarts: Type.Integer(),
    requestsTotal: Type.Integer(),
    tokensTotal: Type.Integer({ description: 'tokens generated since start' }),
    promptTokensTotal: Type.Integer(),
    tokensPerSecond: Type.Number({ description: 'generated tokens per second over the last 5 s' }),
  }),
  energy: Type.Object({
    method: Type.Union([Type.Literal('simulated'), Type.Literal('measured')]),
    totalJoules: Type.Number({ description: 'since this installation began, kept over restarts' }),
    requestJoules: Type.Number({ description: 'booked to answers since this start' }),
    idleJoules: Type.Number({ description: 'booked to no answer since this start' }),
    unknownSeconds: Type.Number({
      description: 'time since start without a usable reading: its energy is not in the totals',
    }),
    joulesPerToken: Nullable(Type.Number({ description: 'request joules over generated tokens since start' })),
    joulesPerTokenReason: Nullable(Type.String()),
    gco2eqTotal: Type.Number(),
    gridGramsPerKwh: Type.Number(),
  }),
})
export type Snapshot = Static<typeof Snapshot>
