import { Counter, Gauge, Registry } from 'prom-client'
import { type Field, fields, keyOf, readField } from './fields.ts'
import type { Snapshot } from './snapshot.ts'

export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE

/** One scrape. A registry of its own each time: a value that is unknown now must not linger from the scrape before. */
export async function renderMetrics(snapshot: Snapshot): Promise<string> {
  const registry = new Registry()
  for (const field of fields) {
    if (field.metric === null || field.kind === 'label') continue
    const value = readField(snapshot, field.path)
    if (value === null || value === undefined) continue
    const head = { name: field.metric, help: helpOf(field), registers: [registry] }
    if (field.kind === 'counter') new Counter(head).inc(Number(value))
    if (field.kind === 'gauge') new Gauge(head).set(Number(value))
    if (field.kind === 'map') {
      const gauge = new Gauge({ ...head, labelNames: [keyLabel(field)] })
      for (const [key, number] of Object.entries(value)) gauge.set({ [keyLabel(field)]: key }, Number(number))
    }
    if (field.kind === 'counters') {
      const counter = new Counter({ ...head, labelNames: [keyLabel(field)] })
      for (const [key, number] of Object.entries(value)) counter.inc({ [keyLabel(field)]: key }, Number(number))
    }
  }
  for (const [metric, labelled] of labels) {
    const values = labelled.map((field) => [keyOf(field), String(readField(snapshot, field.path))])
    new Gauge({
      name: metric,
      help: labelled.length === 1 ? labelled[0].help : 'What runs where; the value is always 1',
      labelNames: labelled.map(keyOf),
      registers: [registry],
    }).set(Object.fromEntries(values), 1)
  }
  return registry.metrics()
}

const labels = groupLabels()

function groupLabels(): ReadonlyMap<string, readonly Field[]> {
  const groups = new Map<string, Field[]>()
  for (const field of fields) {
    if (field.kind !== 'label' || field.metric === null) continue
    groups.set(field.metric, [...(groups.get(field.metric) ?? []), field])
  }
  return groups
}

/** What the keys of a map are called: `railWatts` has a rail for each, `overCurrentEvents` an alarm. */
function keyLabel({ path }: Field): string {
  return (
    {
      'power.railWatts': 'rail',
      'thermal.zoneCelsius': 'zone',
      'power.overCurrentEvents': 'alarm',
      'alarms.severity': 'alarm',
    }[path] ?? 'key'
  )
}

const helpOf = (field: Field): string => (field.unit === '' ? field.help : `${field.help} (${field.unit})`)
