import type { Shape } from './svg.ts'

/** Colours that keep apart for every kind of sight, in light and in dark; s1 is ours, s6 the dense network. */
const light = { s1: '#0f7a57', s2: '#b4480f', s3: '#2b69ad', s4: '#87499f', s5: '#7d6400', s6: '#5b6a64' }
const dark = { s1: '#4cc79b', s2: '#ffa061', s3: '#7db6f2', s4: '#d3a2e8', s5: '#e2c452', s6: '#a3b2ac' }
const ground = {
  light: { paper: '#ffffff', ink: '#17211d', soft: '#55625c', line: '#dfe5e2', axis: '#9aa7a1', tint: '#e2f2ec' },
  dark: { paper: '#181f1c', ink: '#e6ecea', soft: '#a3b2ac', line: '#2d3834', axis: '#5d6c66', tint: '#16352b' },
}

const variables = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([name, value]) => `--${name}:${value}`)
    .join(';')

export const colours = {
  light: variables({ ...ground.light, ...light }),
  dark: variables({ ...ground.dark, ...dark }),
}

const series = Object.keys(light)
  .map((s) => `.figure .${s}{fill:var(--${s});stroke:var(--${s})}.figure .${s}-text{fill:var(--${s})}`)
  .join('')

/** Rules of everything drawn, the same in the page and in a file. */
export const figureRules = `.figure{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
.figure text{fill:var(--ink);stroke:none}
.figure .title{font-size:15.5px;font-weight:650}
.figure .paper{fill:var(--paper)}
.figure .badge{fill:none;stroke:var(--axis);stroke-dasharray:3 2}
.figure .badge-text,.figure .tick,.figure .note,.figure .legend{fill:var(--soft);font-size:12px}
.figure .label{fill:var(--soft);font-size:12.5px}
.figure .tick,.figure .value{font-variant-numeric:tabular-nums}
.figure .value{font-size:12px}
.figure .end{font-size:12.5px;font-weight:600}
.figure .grid{stroke:var(--line);stroke-width:1}
.figure .axis{stroke:var(--axis);stroke-width:1}
${series}
.figure .line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
.figure .thin{stroke-width:1.3}
.figure .dashed{stroke-dasharray:6 4}
.figure .dotted{stroke-dasharray:2 3}
.figure .hollow{fill:var(--paper);stroke-width:1.8}
.figure .area{stroke:none;fill-opacity:.13}
.figure .band{stroke:none;fill-opacity:.28}
.figure .bar{stroke:none}
.figure .cell{stroke:var(--paper);stroke-width:2}
.figure .strong{font-weight:650}
`

/** For a file of its own: rules and colours, also dark. */
export const figureStyle = `:root{${colours.light}}@media(prefers-color-scheme:dark){:root{${colours.dark}}}${figureRules}`

export interface Look {
  readonly series: string
  readonly shape: Shape
  readonly name: string
}

const looks: Readonly<Record<string, Look>> = {
  deap: { series: 's1', shape: 'circle', name: 'DEAP levels' },
  'deap + routed': { series: 's1', shape: 'triangle', name: 'DEAP levels and routing' },
  dense: { series: 's6', shape: 'square', name: 'dense' },
  magnitude: { series: 's3', shape: 'square', name: 'magnitude' },
  flap: { series: 's4', shape: 'diamond', name: 'FLAP-style' },
  random: { series: 's5', shape: 'cross', name: 'random' },
  'random-routing': { series: 's5', shape: 'triangle', name: 'random routing' },
  joint: { series: 's2', shape: 'diamond', name: 'levels, clocks, drafts' },
}

/** How a family looks in every figure. */
export const lookOf = (family: string): Look => looks[family] ?? { series: 's2', shape: 'square', name: family }

/** The strata, from easy to hard; further ones share the last look. */
const strataSeries = ['s1', 's3', 's2', 's4']
export const stratumSeries = (index: number): string => strataSeries[Math.min(index, strataSeries.length - 1)]
