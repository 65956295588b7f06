/**
 * Writes the tables of README.md that follow from the code (settings, errors, metrics) between their markers.
 * Run as `npm run docs`; the tests fail while README and code differ.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { settingRows } from '../dist/config/schema.js'
import { errorTable } from '../dist/errors.js'
import { fields, keyOf } from '../dist/telemetry/fields.js'

const cell = (text) => String(text).replaceAll('|', '\\|')
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')

const tables = {
  settings: table(
    ['flag', 'environment', 'value', 'default', 'what it does'],
    settingRows.map((s) => [
      `\`${s.flag}\``,
      `\`${s.env}\``,
      s.argument,
      s.default === '' || s.default === null ? '' : s.default,
      s.description,
    ]),
  ),
  errors: table(
    ['code', 'HTTP', 'message', 'what to do'],
    Object.entries(errorTable).map(([code, row]) => [`\`${code}\``, row.status, row.message, row.hint]),
  ),
  telemetry: table(
    ['MQTT topic', 'key', 'metric', 'unit', 'meaning'],
    fields.map((f) => [f.topic ?? '', `\`${keyOf(f)}\``, f.metric ? `\`${f.metric}\`` : '', f.unit ?? '', f.help]),
  ),
}

const path = new URL('../README.md', import.meta.url)
let readme = readFileSync(path, 'utf8')
for (const [name, text] of Object.entries(tables)) {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const from = readme.indexOf(begin) + begin.length
  readme = `${readme.slice(0, from)}\n${text}\n${readme.slice(readme.indexOf(end))}`
}
writeFileSync(path, readme)
