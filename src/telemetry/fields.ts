import type { Snapshot } from './snapshot.ts'

/**
 * One telemetry value: where it stands in the snapshot and how the wires show it. `gauge`, `counter` and `map` are
 * numbers for Prometheus (`map` and `counters` hold one for each key); a `label` is text that Prometheus carries as a label of the metric named; `text` goes to MQTT
 * only. A new value of the snapshot is one row here; MQTT, /metrics and the golden file follow.
 */
export interface Field {
  readonly path: string
  /** MQTT message it belongs to; `every` stands in all of them. */
  readonly topic: 'every' | 'info' | 'power' | 'inference' | 'system' | 'governor'
  readonly kind: 'gauge' | 'counter' | 'map' | 'counters' | 'label' | 'text'
  /** Prometheus name, with its unit; null for `text`. */
  readonly metric: string | null
  readonly unit:
    | 'watts'
    | 'joules'
    | 'grams'
    | 'celsius'
    | 'kelvin'
    | 'bytes'
    | 'hertz'
    | 'seconds'
    | 'milliseconds'
    | 'tokens'
    | ''
  readonly help: string
}

type Row = readonly [Field['path'], Field['kind'], Field['metric'], Field['unit'], Field['help']]

const rows: Readonly<Record<Field['topic'], readonly Row[]>> = {
  every: [
    ['ts', 'text', null, '', 'UTC time of the snapshot'],
    ['monoMs', 'gauge', 'deapd_snapshot_monotonic_milliseconds', 'milliseconds', 'Monotonic time of the snapshot'],
    ['bootId', 'label', 'deapd_info', '', 'Changes at every start of the daemon'],
  ],
  info: [
    ['version', 'label', 'deapd_info', '', 'Version of deapd'],
    ['board.id', 'label', 'deapd_info', '', 'Board, as its id'],
    ['board.name', 'text', null, '', 'Board, as people call it'],
    ['board.simulated', 'gauge', 'deapd_board_simulated', '', '1 on the simulated board: nothing was measured'],
    ['board.sensor', 'label', 'deapd_info', '', 'Where power readings come from'],
    ['engine.model', 'label', 'deapd_info', '', 'Resident model'],
    ['engine.provider', 'label', 'deapd_info', '', 'Execution provider of the engine'],
  ],
  power: [
    ['power.totalWatts', 'gauge', 'deapd_power_total_watts', 'watts', 'Module power'],
    ['power.totalRule', 'text', null, '', 'Which rails the total is made of'],
    ['power.railWatts', 'map', 'deapd_power_rail_watts', 'watts', 'Power of one rail'],
    ['power.budgetWatts', 'gauge', 'deapd_power_budget_watts', 'watts', 'Budget in force'],
    ['power.budgetSource', 'label', 'deapd_power_budget_source', '', 'Who set the budget'],
    ['power.leaseUntil', 'text', null, '', 'When the budget order ends; null without a lease'],
    ['power.headroomWatts', 'gauge', 'deapd_power_headroom_watts', 'watts', 'Budget less module power'],
    [
      'power.secondsOverBudget',
      'counter',
      'deapd_power_over_budget_seconds_total',
      'seconds',
      '1 s mean over the budget',
    ],
    [
      'power.overCurrentEvents',
      'counters',
      'deapd_power_over_current_events_total',
      '',
      'Over-current events since boot by alarm: oc1 under-voltage, oc2 average, oc3 instantaneous',
    ],
    ['energy.method', 'label', 'deapd_energy_method', '', 'simulated or measured'],
    ['energy.totalJoules', 'counter', 'deapd_energy_joules_total', 'joules', 'Energy since this installation began'],
    ['energy.requestJoules', 'counter', 'deapd_energy_request_joules_total', 'joules', 'Booked to answers since start'],
    ['energy.idleJoules', 'counter', 'deapd_energy_idle_joules_total', 'joules', 'Booked to no answer since start'],
    ['energy.cancelledJoules', 'counter', 'deapd_energy_cancelled_joules_total', 'joules', 'Of it, cancelled answers'],
    ['energy.failedJoules', 'counter', 'deapd_energy_failed_joules_total', 'joules', 'Of it, failed answers'],
    ['energy.daemonJoules', 'counter', 'deapd_energy_daemon_joules_total', 'joules', 'Estimated from its own CPU time'],
    [
      'energy.unknownSeconds',
      'counter',
      'deapd_energy_unknown_seconds_total',
      'seconds',
      'Without a reading, in no total',
    ],
    ['energy.joulesPerToken', 'gauge', 'deapd_energy_joules_per_token', 'joules', 'Over generated tokens since start'],
    ['energy.gco2eqTotal', 'counter', 'deapd_energy_co2eq_grams_total', 'grams', 'Estimated from the total energy'],
    ['energy.gridGramsPerKwh', 'gauge', 'deapd_energy_grid_grams_per_kwh', 'grams', 'Grid intensity of that estimate'],
    ['energy.batteryPercent', 'gauge', 'deapd_battery_charge_percent', '', 'Charge of the battery'],
    ['energy.batteryHoursLeft', 'gauge', 'deapd_battery_left_hours', '', 'At the present power'],
    ['energy.batteryTokensLeft', 'gauge', 'deapd_battery_left_tokens', 'tokens', 'At the joules per token since start'],
  ],
  inference: [
    ['engine.state', 'label', 'deapd_engine_state', '', 'State of the engine process'],
    ['engine.detail', 'text', null, '', 'What the engine is doing, in words'],
    ['engine.pid', 'text', null, '', 'Process id of the engine'],
    ['engine.activeRequests', 'gauge', 'deapd_requests_active', '', 'Answers under way'],
    ['engine.queuedRequests', 'gauge', 'deapd_requests_queued', '', 'Requests waiting'],
    ['engine.restarts', 'counter', 'deapd_engine_restarts_total', '', 'Restarts of the engine process since start'],
    ['engine.requestsTotal', 'counter', 'deapd_requests_total', '', 'Requests since start'],
    ['engine.tokensTotal', 'counter', 'deapd_tokens_total', 'tokens', 'Generated tokens since start'],
    ['engine.promptTokensTotal', 'counter', 'deapd_prompt_tokens_total', 'tokens', 'Prompt tokens since start'],
    ['engine.tokensPerSecond', 'gauge', 'deapd_tokens_per_second', 'tokens', 'Generated per second over the last 5 s'],
    [
      'engine.weightBytesPerToken',
      'gauge',
      'deapd_decode_weight_bytes_per_token',
      'bytes',
      'Weights read per token, since start',
    ],
    [
      'engine.kvBytesPerToken',
      'gauge',
      'deapd_decode_kv_bytes_per_token',
      'bytes',
      'Keys and values read per token, since start',
    ],
  ],
  system: [
    ['thermal.tjCelsius', 'gauge', 'deapd_thermal_tj_celsius', 'celsius', 'Junction temperature'],
    ['thermal.zoneCelsius', 'map', 'deapd_thermal_zone_celsius', 'celsius', 'Temperature of one live zone'],
    ['thermal.throttleCelsius', 'gauge', 'deapd_thermal_throttle_celsius', 'celsius', 'Where the kernel throttles'],
    ['thermal.shutdownCelsius', 'gauge', 'deapd_thermal_shutdown_celsius', 'celsius', 'Where it turns the board off'],
    ['thermal.tripsFrom', 'text', null, '', 'read from the board, or assumed from its row'],
    [
      'thermal.throttleMarginKelvin',
      'gauge',
      'deapd_thermal_throttle_margin_kelvin',
      'kelvin',
      'From the zone closest to its own throttle trip to that trip',
    ],
    ['thermal.throttling', 'gauge', 'deapd_thermal_throttling', '', '1 while the kernel throttles'],
    ['alarms.severity', 'map', 'deapd_alarm_severity', '', '0 closed, 1 open warning, 2 open and critical'],
    ['alarms.text', 'text', null, '', 'Why each alarm is open'],
    ['thermal.throttlingDevices', 'text', null, '', 'Cooling devices at work, without the fan'],
    ['memory.totalBytes', 'gauge', 'deapd_memory_total_bytes', 'bytes', 'Memory of the board'],
    ['memory.availableBytes', 'gauge', 'deapd_memory_available_bytes', 'bytes', 'Memory that can be had'],
    ['memory.largestBlockBytes', 'gauge', 'deapd_memory_largest_block_bytes', 'bytes', 'Largest contiguous free block'],
    ['clocks.gpuHz', 'gauge', 'deapd_clocks_gpu_hertz', 'hertz', 'GPU clock'],
    [
      'clocks.gpuCapAppliedHz',
      'gauge',
      'deapd_clocks_gpu_cap_applied_hertz',
      'hertz',
      'GPU cap read back from the board',
    ],
    ['clocks.cpuHz', 'gauge', 'deapd_clocks_cpu_hertz', 'hertz', 'Clock of the fastest CPU cluster'],
    ['clocks.cpuCapAppliedHz', 'gauge', 'deapd_clocks_cpu_cap_applied_hertz', 'hertz', 'CPU cap, where deapd set one'],
    ['clocks.coresOnline', 'gauge', 'deapd_clocks_cores_online', '', 'Cores that are on, where deapd switches them'],
    ['clocks.drifts', 'counter', 'deapd_clocks_drifts_total', '', 'Limits that somebody else had changed, since start'],
    ['clocks.contested', 'gauge', 'deapd_clocks_contested', '', '1 while somebody keeps changing a limit'],
    ['clocks.refusal', 'text', null, '', 'Why the board refuses a limit; empty when it does not'],
    ['governor.ticks', 'counter', 'deapd_governor_ticks_total', '', 'Control ticks since start'],
    ['governor.longestGapMs', 'gauge', 'deapd_governor_longest_gap_milliseconds', 'milliseconds', 'Between two ticks'],
  ],
  governor: [
    ['governor.level', 'gauge', 'deapd_governor_level', '', 'Highest level in use; 0 is the smallest sub-network'],
    ['governor.ecoLevel', 'gauge', 'deapd_governor_eco_level', '', 'Level of answers that allow any'],
    ['governor.levels', 'gauge', 'deapd_governor_levels', '', 'Levels of the model'],
    [
      'governor.share',
      'gauge',
      'deapd_governor_share_ratio',
      '',
      'Weight bytes read at that level over the full network',
    ],
    ['governor.powerModel', 'text', null, '', 'Where the figures of the power model come from'],
    ['governor.reason', 'label', 'deapd_governor_reason', '', 'Reason of the last decision'],
    ['governor.conditions', 'text', null, '', 'What is not as it should be, as reasons'],
    ['governor.explanation', 'text', null, '', 'The last decision in a sentence'],
    ['governor.predictedWatts', 'gauge', 'deapd_governor_predicted_watts', 'watts', 'Power the governor expects'],
    ['governor.holdGpuHz', 'gauge', 'deapd_governor_hold_gpu_hertz', 'hertz', 'GPU clock held by hand'],
    ['governor.holdLevel', 'gauge', 'deapd_governor_hold_level', '', 'Level held by hand'],
    ['governor.holdSource', 'label', 'deapd_governor_hold_source', '', 'Who holds the point; none without'],
    ['governor.holdLeaseUntil', 'text', null, '', 'When the hold ends; null without a lease'],
    ['governor.degraded', 'gauge', 'deapd_governor_degraded', '', '1 in a brown-out: answers use less than asked for'],
    ['clocks.gpuCapHz', 'gauge', 'deapd_clocks_gpu_cap_hertz', 'hertz', 'GPU cap the governor asked for'],
    [
      'certificate.state',
      'label',
      'deapd_certificate_state',
      '',
      'Whether balanced answers may leave the full network',
    ],
    ['certificate.explanation', 'text', null, '', 'The certificate in a sentence, or why there is none'],
    ['certificate.marginPoints', 'gauge', 'deapd_certificate_margin_points', '', 'Certified bound on the loss'],
    ['certificate.lowestLevel', 'gauge', 'deapd_certificate_lowest_level', '', 'Lowest level of balanced answers'],
    ['certificate.shadows', 'counter', 'deapd_certificate_shadows_total', '', 'Balanced answers read again'],
    ['certificate.differing', 'counter', 'deapd_certificate_differing_total', '', 'Those that would have been others'],
    ['certificate.evidence', 'gauge', 'deapd_certificate_evidence', '', 'Against the certificate; 20 revokes it'],
  ],
}

export const fields: readonly Field[] = Object.entries(rows).flatMap(([topic, own]) =>
  own.map(([path, kind, metric, unit, help]) => ({ topic: topic as Field['topic'], path, kind, metric, unit, help })),
)

/** The value a row names; undefined only if the table and the snapshot disagree, which a test forbids. */
export function readField(snapshot: Snapshot, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown>)?.[key], snapshot)
}

/** Name of a field in MQTT payloads and labels: the wire name of its leaf, with its group where the leaf says too little. */
export function keyOf(field: Field): string {
  const [group, leaf] = field.path.split('.')
  if (leaf === undefined) return snake(group)
  return groupless.has(group) ? snake(leaf) : snake(`${group}_${leaf}`)
}

const groupless = new Set(['power', 'energy', 'thermal', 'clocks', 'governor', 'engine'])
const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** The fields of one MQTT message, as they go on the wire; an unknown value is null with its reason beside it. */
export function payloadOf(topic: Field['topic'], snapshot: Snapshot): Record<string, unknown> {
  const own = fields.filter((field) => field.topic === topic)
  return Object.fromEntries(
    own.flatMap((field) => {
      const value = readField(snapshot, field.path)
      const reason = value === null ? readField(snapshot, `${field.path}Reason`) : undefined
      const entry: [string, unknown][] = [[keyOf(field), value]]
      return reason === undefined ? entry : [...entry, [`${keyOf(field)}_reason`, reason] as [string, unknown]]
    }),
  )
}
