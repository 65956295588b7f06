import { fUpper } from './distributions.ts'

export interface AnovaRow {
  readonly effect: string
  readonly f: number
  /** As corrected. */
  readonly df1: number
  readonly df2: number
  readonly p: number
  /** Greenhouse and Geisser's ε, by which both degrees of freedom were multiplied; 1 between prompts. */
  readonly epsilon: number
  /** Generalised η² (Olejnik and Algina 2003), with the stratum counted as observed, not as set by us. */
  readonly etaSquared: number
}

/** Cells of one subject: value(arm, state) lies at arm · states + state. */
export interface MixedDesign {
  readonly subjects: readonly Float64Array[]
  /** Group of each subject, 0 to groups − 1. */
  readonly group: readonly number[]
  readonly groups: number
  readonly first: { readonly name: string; readonly size: number }
  readonly second: { readonly name: string; readonly size: number }
  readonly between: string
}

/**
 * Repeated-measures analysis of variance of a mixed (split-plot) design: two factors within subjects, one between them.
 * Each effect within is a set of orthonormal contrasts of a subject's cells, tested on the contrast scores (type III sums:
 * every group counts the same, however many subjects it has).
 */
export function mixedAnova(design: MixedDesign): AnovaRow[] {
  const { first, second, between, group, groups } = design
  const levelA = [new Float64Array(first.size).fill(1 / Math.sqrt(first.size))]
  const levelB = [new Float64Array(second.size).fill(1 / Math.sqrt(second.size))]
  const [a, b] = [helmert(first.size), helmert(second.size)]
  const part = (contrasts: Float64Array[]): Part =>
    partOf(
      design.subjects.map((cells) => scores(cells, contrasts)),
      group,
      groups,
    )
  const subject = part(kronecker(levelA, levelB))
  const parts: readonly (readonly [string, Part])[] = [
    [first.name, part(kronecker(a, levelB))],
    [second.name, part(kronecker(levelA, b))],
    [`${first.name} × ${second.name}`, part(kronecker(a, b))],
  ]
  const errors = [subject, ...parts.map(([, each]) => each)].reduce((sum, each) => sum + each.error, 0)
  const observed = [subject, ...parts.map(([, each]) => each)].reduce((sum, each) => sum + each.byGroup, 0)
  // What the stratum explains is part of the whole in every row, once.
  const eta = (sum: number, isObserved: boolean): number => sum / (observed + errors + (isObserved ? 0 : sum))
  const row = (effect: string, sum: number, df: number, each: Part, isObserved: boolean, epsilon: number): AnovaRow => {
    const f = sum / df / (each.error / each.errorDf)
    const [df1, df2] = [epsilon * df, epsilon * each.errorDf]
    return { effect, f, df1, df2, p: fUpper(f, df1, df2), epsilon, etaSquared: eta(sum, isObserved) }
  }
  const groupDf = groups - 1
  return [
    ...(groupDf > 0 ? [row(between, subject.byGroup, groupDf, subject, true, 1)] : []),
    ...parts
      .filter(([, each]) => each.contrasts > 0)
      .flatMap(([name, each]) => [
        row(name, each.overall, each.contrasts, each, false, each.epsilon),
        ...(groupDf > 0
          ? [row(`${name} × ${between}`, each.byGroup, each.contrasts * groupDf, each, true, each.epsilon)]
          : []),
      ]),
  ]
}

interface Part {
  readonly contrasts: number
  /** Sum of squares of the contrasts' means over groups, of their differences between groups, and inside groups. */
  readonly overall: number
  readonly byGroup: number
  readonly error: number
  readonly errorDf: number
  readonly epsilon: number
}

function partOf(rows: readonly Float64Array[], group: readonly number[], groups: number): Part {
  const q = rows[0].length
  const counts = new Float64Array(groups)
  const means = Array.from({ length: groups }, () => new Float64Array(q))
  for (const [i, row] of rows.entries()) {
    counts[group[i]]++
    for (let k = 0; k < q; k++) means[group[i]][k] += row[k]
  }
  for (const [g, sums] of means.entries()) for (let k = 0; k < q; k++) sums[k] /= counts[g]
  const weight = groups ** 2 / counts.reduce((sum, n) => sum + 1 / n, 0)
  let [overall, byGroup] = [0, 0]
  for (let k = 0; k < q; k++) {
    const unweighted = means.reduce((sum, each) => sum + each[k], 0) / groups
    const weighted = means.reduce((sum, each, g) => sum + counts[g] * each[k], 0) / rows.length
    overall += weight * unweighted ** 2
    byGroup += means.reduce((sum, each, g) => sum + counts[g] * (each[k] - weighted) ** 2, 0)
  }
  const covariance = new Float64Array(q * q)
  const apart = new Float64Array(q)
  for (const [i, row] of rows.entries()) {
    for (let k = 0; k < q; k++) apart[k] = row[k] - means[group[i]][k]
    for (let k = 0; k < q; k++) for (let l = 0; l <= k; l++) covariance[k * q + l] += apart[k] * apart[l]
  }
  let [trace, squares] = [0, 0]
  for (let k = 0; k < q; k++) {
    trace += covariance[k * q + k]
    for (let l = 0; l <= k; l++) squares += (l === k ? 1 : 2) * covariance[k * q + l] ** 2
  }
  const epsilon = squares > 0 ? Math.min(1, trace ** 2 / (q * squares)) : 1
  return { contrasts: q, overall, byGroup, error: trace, errorDf: q * (rows.length - groups), epsilon }
}

/** size − 1 orthonormal contrasts: each level against the mean of those before it. */
function helmert(size: number): Float64Array[] {
  return Array.from({ length: size - 1 }, (_, k) => {
    const norm = Math.sqrt((k + 1) * (k + 2))
    return Float64Array.from({ length: size }, (_, i) => (i <= k ? 1 / norm : i === k + 1 ? -(k + 1) / norm : 0))
  })
}

const kronecker = (a: readonly Float64Array[], b: readonly Float64Array[]): Float64Array[] =>
  a.flatMap((x) =>
    b.map((y) =>
      Float64Array.from({ length: x.length * y.length }, (_, i) => x[Math.floor(i / y.length)] * y[i % y.length]),
    ),
  )

const scores = (cells: Float64Array, contrasts: readonly Float64Array[]): Float64Array =>
  Float64Array.from(contrasts, (contrast) => {
    let sum = 0
    for (let i = 0; i < cells.length; i++) sum += cells[i] * contrast[i]
    return sum
  })
