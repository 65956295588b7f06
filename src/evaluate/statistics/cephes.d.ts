// The package brings types but does not export them. Only what distributions.ts uses.
declare module 'cephes' {
  export const compiled: Promise<void>
  export function ndtr(z: number): number
  export function ndtri(p: number): number
  export function chdtrc(df: number, x: number): number
  export function incbet(a: number, b: number, x: number): number
  export function incbi(a: number, b: number, y: number): number
  export function bdtr(k: number, n: number, p: number): number
  export function bdtrc(k: number, n: number, p: number): number
}
