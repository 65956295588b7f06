/** Carbon intensity of electricity, grams of CO2-equivalent per kWh, dated and sourced; shipped, so nothing is fetched. */
export interface GridRow {
  readonly name: string
  readonly gramsPerKwh: number
  readonly year: number
  readonly source: string
}

/** Life-cycle intensity of electricity generated in 2023: Ember, Yearly Electricity Data, via Our World in Data. */
const ember = (name: string, gramsPerKwh: number): GridRow => ({
  name,
  gramsPerKwh,
  year: 2023,
  source: 'Ember, via Our World in Data',
})

/** ISO 3166 codes, and `world`. What is not here is given as a number (`--grid 412`). */
export const grids = {
  world: ember('World', 481),
  AT: ember('Austria', 111),
  AU: ember('Australia', 549),
  BE: ember('Belgium', 138),
  BG: ember('Bulgaria', 335),
  BR: ember('Brazil', 98),
  CA: ember('Canada', 170),
  CL: ember('Chile', 291),
  CN: ember('China', 582),
  CO: ember('Colombia', 260),
  CY: ember('Cyprus', 534),
  CZ: ember('Czechia', 450),
  DE: ember('Germany', 381),
  DK: ember('Denmark', 152),
  EE: ember('Estonia', 417),
  EG: ember('Egypt', 570),
  FI: ember('Finland', 79),
  FR: ember('France', 56),
  GB: ember('United Kingdom', 238),
  GR: ember('Greece', 337),
  HR: ember('Croatia', 205),
  HU: ember('Hungary', 204),
  IE: ember('Ireland', 291),
  IN: ember('India', 713),
  NO: ember('Norway', 30),
  US: ember('United States', 369),
} as const satisfies Record<string, GridRow>

/** The row of a code, whatever its case. */
export function gridOf(code: string): { readonly code: string; readonly row: GridRow } | undefined {
  const found = Object.entries(grids).find(([key]) => key.toLowerCase() === code.toLowerCase())
  return found && { code: found[0], row: found[1] }
}

export function grams(joules: number, gramsPerKwh: number): number {
  return (joules / 3.6e6) * gramsPerKwh
}
