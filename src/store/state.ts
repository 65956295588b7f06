import Type, { type Static } from 'typebox'

/** What the machine remembers over restarts: state.json in the state folder. The operator's settings are elsewhere. */
export const MachineState = Type.Object({
  schema: Type.Literal('deapd-state/1'),
  device_id: Type.String({ minLength: 1 }),
  starts: Type.Integer({ minimum: 0 }),
  ledger: Type.Object({
    total_joules: Type.Number({ minimum: 0 }),
    request_joules: Type.Number({ minimum: 0 }),
    tokens: Type.Integer({ minimum: 0 }),
    requests: Type.Integer({ minimum: 0 }),
  }),
  /** The last limits in force, shown after a restart; a lease is taken up again while it lasts. */
  limits: Type.Union([
    Type.Null(),
    Type.Object({
      budget_watts: Type.Number(),
      source: Type.String(),
      lease_until: Type.Union([Type.String(), Type.Null()]),
    }),
  ]),
  /** What shadow runs have found out about the certificate in force; absent before the first. */
  drift: Type.Optional(
    Type.Object({
      /** Hash of the certificate it is about. */
      subject: Type.String(),
      shadows: Type.Integer({ minimum: 0 }),
      differing: Type.Integer({ minimum: 0 }),
      log_wealth: Type.Array(Type.Number()),
      revoked_at: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
  /** Set while running, cleared by a clean stop. */
  running_since: Type.Union([Type.String(), Type.Null()]),
})
export type MachineState = Static<typeof MachineState>

export const freshState = (deviceId: string): MachineState => ({
  schema: 'deapd-state/1',
  device_id: deviceId,
  starts: 0,
  ledger: { total_joules: 0, request_joules: 0, tokens: 0, requests: 0 },
  limits: null,
  running_since: null,
})
