/** Carbon intensity of electricity, grams of CO2-equivalent per kWh, dated and sourced; shipped, so nothing is fetched. */
export interface GridRow {
  readonly gramsPerKwh: number
  readonly year: number
  readonly source: string
}

const ember = 'Ember, via Our World in Data'

/** ISO 3166 codes, and `world`. */
export const grids = {
  world: { gramsPerKwh: 481, year: 2023, source: ember },
  CN: { gramsPerKwh: 582, year: 2023, source: ember },
  DE: { gramsPerKwh: 381, year: 2023, source: ember },
  FR: { gramsPerKwh: 56, year: 2023, source: ember },
} as const satisfies Record<string, GridRow>

export function grams(joules: number, gramsPerKwh: number): number {
  return (joules / 3.6e6) * gramsPerKwh
}
