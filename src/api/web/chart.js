const svgName = 'http://www.w3.org/2000/svg'
const spanMs = 60_000
const view = { height: 132, left: 28, right: 4, top: 8, bottom: 18 }

/** Power against the budget over the last minute. A time without a reading is a gap in the line, never a zero. */
export function createChart(container) {
  const svg = add(container, 'svg', { role: 'img' })
  const grid = add(svg, 'g', {})
  const area = add(svg, 'path', { class: 'area' })
  const line = add(svg, 'path', { class: 'line' })
  const limit = add(svg, 'path', { class: 'limit' })
  let points = []

  return {
    push(point) {
      points = [...points.filter((old) => point.atMs - old.atMs <= spanMs && old.atMs < point.atMs), point]
      // Drawn at the size it is shown in, so that text and strokes are never stretched.
      const right = Math.max(200, container.clientWidth) - view.right
      svg.setAttribute('viewBox', `0 0 ${right + view.right} ${view.height}`)
      const known = points.filter((each) => each.watts !== null).map((each) => each.watts)
      const highest = 1.06 * Math.max(10, ...known, ...points.map((each) => each.budget))
      const step = niceStep(highest)
      const top = step * Math.ceil(highest / step)
      const x = (each) => right - ((point.atMs - each.atMs) / spanMs) * (right - view.left)
      const y = (watts) => view.height - view.bottom - (watts / top) * (view.height - view.top - view.bottom)
      drawGrid(grid, { top, step, y, right })
      const runs = split(points)
      const base = y(0)
      line.setAttribute('d', runs.map((run) => path(run.map((each) => [x(each), y(each.watts)]))).join(' '))
      area.setAttribute(
        'd',
        runs
          .map((run) =>
            under(
              run.map((each) => [x(each), y(each.watts)]),
              base,
            ),
          )
          .join(' '),
      )
      limit.setAttribute('d', steps(points.map((each) => [x(each), y(each.budget)])))
      svg.setAttribute('aria-label', summary(known, point.budget))
    },
  }
}

function summary(known, budget) {
  if (known.length === 0) return `Module power is unknown; the budget is ${budget} watts.`
  const mean = known.reduce((sum, watts) => sum + watts, 0) / known.length
  return `Module power over the last minute: mean ${mean.toFixed(1)}, highest ${Math.max(...known).toFixed(1)}, budget ${budget} watts.`
}

function drawGrid(grid, { top, step, y, right }) {
  grid.replaceChildren()
  for (let watts = 0; watts <= top; watts += step) {
    const at = y(watts)
    add(grid, 'line', { class: 'grid', x1: view.left, x2: right, y1: at, y2: at })
    add(grid, 'text', { x: view.left - 6, y: at + 4, 'text-anchor': 'end' }).textContent = `${watts}`
  }
  const seconds = [60, 40, 20, 0]
  for (const ago of seconds) {
    const at = right - (ago / 60) * (right - view.left)
    const anchor = ago === 0 ? 'end' : ago === 60 ? 'start' : 'middle'
    const label = ago === 0 ? 'now' : `${ago} s`
    add(grid, 'text', { x: at, y: view.height - 3, 'text-anchor': anchor }).textContent = label
  }
}

const niceStep = (top) => [2, 5, 10, 20, 25, 50].find((step) => top / step <= 5) ?? 50

/** Stretches with readings, cut where one is unknown or where the stream was interrupted. */
function split(points) {
  const runs = [[]]
  let before = null
  for (const point of points) {
    if (before !== null && (before.watts === null || point.atMs - before.atMs > 3000)) runs.push([])
    if (point.watts !== null) runs.at(-1).push(point)
    before = point
  }
  return runs.filter((run) => run.length > 0)
}

const path = (dots) => dots.map(([x, y], at) => `${at === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('')
const under = (dots, base) => `${path(dots)}L${dots.at(-1)[0].toFixed(1)} ${base}L${dots[0][0].toFixed(1)} ${base}Z`
const steps = (dots) =>
  dots
    .map(([x, y], at) => (at === 0 ? `M${x.toFixed(1)} ${y.toFixed(1)}` : `H${x.toFixed(1)}V${y.toFixed(1)}`))
    .join('')

function add(parent, name, attributes) {
  const element = document.createElementNS(svgName, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  parent.append(element)
  return element
}
