import { fcnnlsVector } from 'ml-fcnnls'
import { inverse, Matrix } from 'ml-matrix'

/** A non-negative least-squares fit: y ≈ X·coefficients, every row weighted by 1/scale. */
export interface Regression {
  readonly coefficients: readonly number[]
  /** Half-widths of the 95 % intervals; null for a coefficient that sits at its bound of zero. */
  readonly halfWidths: readonly (number | null)[]
  /** Of the unweighted values. */
  readonly rSquared: number
  /** Weighted sum of squared residuals. */
  readonly error: number
}

/** Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom; beyond, the normal's. */
const student = [
  12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.1, 2.09, 2.09,
  2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04,
]
const normal = 1.96

/** Columns are scaled to unit length for the solver: watts per byte and watts per core differ by ten orders of magnitude. */
export function regress(
  rows: readonly (readonly number[])[],
  values: readonly number[],
  scales: readonly number[],
): Regression {
  const weighted = rows.map((row, i) => row.map((entry) => entry / scales[i]))
  const wanted = values.map((value, i) => value / scales[i])
  const lengths = weighted[0].map((_, column) => Math.hypot(...weighted.map((row) => row[column])) || 1)
  const unit = weighted.map((row) => row.map((entry, column) => entry / lengths[column]))
  const scaled = fcnnlsVector(unit, wanted).K.to1DArray()
  const coefficients = scaled.map((value, column) => value / lengths[column])
  const predicted = rows.map((row) => dot(row, coefficients))
  const error = sum(values.map((value, i) => ((value - predicted[i]) / scales[i]) ** 2))
  const mean = sum(values) / values.length
  const spread = sum(values.map((value) => (value - mean) ** 2))
  const missed = sum(values.map((value, i) => (value - predicted[i]) ** 2))
  const free = scaled.map((value, column) => (value > 0 ? column : -1)).filter((column) => column >= 0)
  const widths = intervals(unit, free, error)
  return {
    coefficients,
    halfWidths: coefficients.map((_, column) => {
      const width = widths.get(column)
      return width === undefined ? null : width / lengths[column]
    }),
    rSquared: spread > 0 ? 1 - missed / spread : 0,
    error,
  }
}

/** From the covariance of the coefficients that are not at their bound. */
function intervals(rows: readonly (readonly number[])[], free: readonly number[], error: number): Map<number, number> {
  const freedom = rows.length - free.length
  if (freedom < 1 || free.length === 0) return new Map()
  const design = new Matrix(rows.map((row) => free.map((column) => row[column])))
  const covariance = inverse(design.transpose().mmul(design), true).mul(error / freedom)
  const factor = student[freedom - 1] ?? normal
  return new Map(free.map((column, i) => [column, factor * Math.sqrt(Math.max(0, covariance.get(i, i)))]))
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
const dot = (a: readonly number[], b: readonly number[]): number => sum(a.map((value, i) => value * b[i]))
