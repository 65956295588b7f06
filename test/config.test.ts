import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { loadSettings, parseAddress, stateFolder } from '../src/config/load.ts'
import { settingRows } from '../src/config/schema.ts'
import type { DeapdError } from '../src/errors.ts'

t.test('file, then environment, then flags', async (t) => {
  const dir = t.testdir({
    'config.json': JSON.stringify({ listen: '127.0.0.1:1', threads: 3, site: 'plant', colour: 'red' }),
  })
  const { settings, sources, warnings } = loadSettings(
    { listen: '127.0.0.1:3' },
    { DEAPD_LISTEN: '127.0.0.1:2', DEAPD_THREADS: '4' },
    join(dir, 'config.json'),
  )
  t.equal(settings.listen, '127.0.0.1:3')
  t.equal(settings.threads, 4)
  t.equal(settings.site, 'plant')
  t.equal(settings.log_level, 'info')
  t.match(sources, { listen: '--listen', threads: 'the environment variable DEAPD_THREADS' })
  t.match(warnings, [/no setting "colour"/])
})

t.test('every bad value names its setting and where it came from', async (t) => {
  const bad: [string, string][] = [
    ['budget', '-5'],
    ['budget', 'abc'],
    ['threads', '0'],
    ['threads', '2.5'],
    ['as_if', 'gpt'],
    ['site', 'a/b'],
    ['log_level', 'loud'],
  ]
  for (const [name, value] of bad) {
    t.throws(() => loadSettings({ [name]: value }, {}), {
      code: 'setting_invalid',
      message: new RegExp(`${name} is "${value}"`),
    })
  }
  try {
    loadSettings({}, { DEAPD_BUDGET: 'x' })
    t.fail('a budget of x was taken')
  } catch (error) {
    t.match((error as DeapdError).hint, /DEAPD_BUDGET/)
  }
  const dir = t.testdir({ 'torn.json': '{"listen":', 'list.json': '[]' })
  for (const file of ['torn.json', 'list.json', 'missing.json']) {
    t.throws(() => loadSettings({}, {}, join(dir, file)), { code: 'file_unreadable' })
  }
})

t.test('addresses and folders', async (t) => {
  t.same(parseAddress('listen', '0.0.0.0:80'), { host: '0.0.0.0', port: 80 })
  t.same(parseAddress('listen', '[::1]:8717'), { host: '::1', port: 8717 })
  t.same(parseAddress('listen', '8717'), { host: '127.0.0.1', port: 8717 })
  for (const value of ['localhost', 'a:b', ':99999', ''])
    t.throws(() => parseAddress('listen', value), { code: 'setting_invalid' })
  t.equal(stateFolder('/x', { STATE_DIRECTORY: '/y' }), '/x')
  t.equal(stateFolder('', { STATE_DIRECTORY: '/y', XDG_STATE_HOME: '/z' }), '/y')
  t.equal(stateFolder('', { XDG_STATE_HOME: '/z' }), '/z/deapd')
})

t.test('README lists every setting with its variable', async (t) => {
  const readme = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8')
  for (const { flag, env, description } of settingRows) {
    t.ok(readme.includes(`| \`${flag}\` | \`${env}\` |`), flag)
    t.ok(readme.includes(description), `${flag}: ${description}`)
  }
})
