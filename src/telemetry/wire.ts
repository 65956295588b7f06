type Json = unknown

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/**
 * Our own camelCase objects as they go on any wire: names in snake_case. Keys of rails, zones and alarms are data, not
 * names, and stay as they are.
 */
export function toWire(value: Json): Json {
  if (Array.isArray(value)) return value.map(toWire)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [snake(key), dataKeys.has(key) ? inner : toWire(inner)]),
  )
}

const dataKeys = new Set(['railWatts', 'zoneCelsius', 'overCurrentEvents'])
