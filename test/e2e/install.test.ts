import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { repository, run, without } from './support/daemon.ts'

const script = (name: string): string => join(repository, 'scripts', name)
const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
const timeout = 120_000

t.test('install.sh into the root of an image', { timeout }, async (t) => {
  const root = t.testdir({ etc: { deapd: { 'config.json': '{"budget": 30}' } } })
  const install = (...args: string[]) =>
    run(script('install.sh'), ['--root', root, '--arch', process.arch, '--node', process.execPath, ...args])
  const opt = join(root, 'opt/deapd')

  t.test('a dry run touches nothing', async (t) => {
    const { code, stdout, stderr } = await install('--dry-run')
    t.equal(code, 0, stderr)
    t.match(stdout, /would copy/)
    t.notOk(existsSync(opt))
  })

  t.test('files, unit, rules and link are there', async (t) => {
    const { code, stderr } = await install()
    t.equal(code, 0, stderr)
    t.equal(readlinkSync(join(opt, 'current')), version)
    const unit = join(root, 'etc/systemd/system/deapd.service')
    t.equal(readFileSync(unit, 'utf8'), readFileSync(join(repository, 'systemd/deapd.service'), 'utf8'))
    const link = join(root, 'etc/systemd/system/multi-user.target.wants/deapd.service')
    t.equal(readlinkSync(link), '/etc/systemd/system/deapd.service', 'enabled for the first start')
    for (const path of ['etc/sysusers.d/deapd.conf', 'etc/udev/rules.d/99-z-deapd.rules', 'usr/local/bin/deapd']) {
      t.ok(existsSync(join(root, path)), path)
    }
    t.equal(readFileSync(join(root, 'etc/deapd/config.json'), 'utf8'), '{"budget": 30}', 'the configuration is kept')
    const programs = readFileSync(unit, 'utf8').match(/\/opt\/deapd\/\S+/g) ?? []
    for (const path of programs) t.ok(existsSync(join(root, path)), `the unit finds ${path}`)
    t.equal(statSync(join(opt, 'current/scripts/grant-clocks.sh')).mode & 0o111, 0o111)
    t.notOk(existsSync(join(opt, 'current/node_modules/typescript')), 'nothing that only development needs')
  })

  t.test('the copy runs by itself', async (t) => {
    const node = join(opt, 'current/bin/node')
    const main = join(opt, 'current/dist/main.js')
    t.match(await run(node, [main, '--version'], { cwd: root }), { code: 0, stdout: `${version}\n` })
    t.match(await run(node, [main, 'restore', '--state', root], { cwd: root }), { code: 0 })
  })

  t.test('a second time nothing is copied, and a former version stays to go back to', async (t) => {
    const before = statSync(join(opt, version)).ino
    t.match(await install(), { code: 0, stdout: /already/ })
    t.equal(statSync(join(opt, version)).ino, before)

    mkdirSync(join(opt, '0.0.1'))
    mkdirSync(join(opt, '0.0.2'))
    await run('ln', ['-sfn', '0.0.2', join(opt, 'current')])
    t.match(await install(), { code: 0, stdout: /formerly 0\.0\.2/ })
    t.equal(readlinkSync(join(opt, 'current')), version)
    t.ok(existsSync(join(opt, '0.0.2')))
    t.notOk(existsSync(join(opt, '0.0.1')))
  })

  t.test('--uninstall leaves the configuration', async (t) => {
    t.match(await run(script('install.sh'), ['--root', root, '--uninstall']), { code: 0 })
    t.notOk(existsSync(opt))
    t.notOk(existsSync(join(root, 'etc/systemd/system/deapd.service')))
    t.ok(existsSync(join(root, 'etc/deapd/config.json')))
  })

  t.test('what cannot work is refused with a reason', async (t) => {
    t.match(await install('--node', script('install.sh')), { code: 1, stderr: /is for no program/ })
    t.match(await install('--arch', 'riscv64'), { code: 1, stderr: /riscv64/ })
    t.match(await run(script('install.sh'), ['--root', '/nowhere']), { code: 1, stderr: /not a folder/ })
    t.match(await run(script('install.sh'), ['--frobnicate']), { code: 2, stderr: /unknown option/ })
    const other = process.arch === 'arm64' ? 'x64' : 'arm64'
    t.match(await install('--arch', other), { code: 1, stderr: new RegExp(`this installation is for ${other}`) })
  })
})

t.test('grant-clocks.sh grants the clock files and nothing else', async (t) => {
  const gpu = {
    min_freq: '1\n',
    max_freq: '2\n',
    cur_freq: '1\n',
    governor: 'x\n',
    device: { of_node: { name: 'gpu\0' } },
  }
  const root = t.testdir({
    sys: {
      class: { devfreq: { '17000000.gpu': gpu, nvdec: { ...gpu, device: { of_node: { name: 'nvdec\0' } } } } },
      devices: {
        system: {
          cpu: {
            cpu0: { online: '1\n' },
            cpu1: { online: '1\n' },
            cpu11: { online: '0\n', 'cpufreq-note': 'x\n' },
            cpuidle: { online: 'x\n' },
            cpufreq: { policy0: { scaling_min_freq: '1\n', scaling_max_freq: '2\n', scaling_governor: 'x\n' } },
          },
        },
      },
    },
  })
  const files = (await run('find', [root, '-type', 'f'])).stdout.trim().split('\n')
  for (const file of files) chmodSync(file, 0o644)
  const group = (await run('id', ['-gn'])).stdout.trim()
  const { code, stdout, stderr } = await run(script('grant-clocks.sh'), ['--root', root, '--group', group])
  t.equal(code, 0, stderr)
  t.match(stdout, /may write 6 clock files/)
  const granted = files.filter((file) => (statSync(file).mode & 0o020) !== 0).map((file) => file.slice(root.length + 1))
  t.same(granted.sort(), [
    'sys/class/devfreq/17000000.gpu/max_freq',
    'sys/class/devfreq/17000000.gpu/min_freq',
    'sys/devices/system/cpu/cpu1/online',
    'sys/devices/system/cpu/cpu11/online',
    'sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq',
    'sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq',
  ])
  t.match(await run(script('grant-clocks.sh'), ['--root', root, '--group', 'no-such-group']), { code: 1 })
})

/** A repository as small as prepare.mjs can see it, with an npm that only writes down how it was called. */
function smallRepository(t: Test) {
  const root = t.testdir({
    bin: { npm: '#!/bin/sh\necho "$ONNXRUNTIME_NODE_INSTALL $*" >> "$CALLS"\n' },
    scripts: {
      'copy-assets.mjs': '',
      'compile-kernels.mjs': '',
      'prepare.mjs': readFileSync(script('prepare.mjs'), 'utf8'),
    },
    src: { 'main.ts': '' },
    dist: { '.built': '' },
    'package.json': '{}',
    'tsconfig.json': '{}',
    'tsconfig.build.json': '{}',
    'package-lock.json': JSON.stringify({
      packages: {
        '': {},
        'node_modules/a': { version: '1.0.0', integrity: 'x' },
        'node_modules/other-platform': { version: '1.0.0', optional: true },
      },
    }),
    node_modules: {
      a: { 'package.json': '{}' },
      '.package-lock.json': JSON.stringify({ packages: { 'node_modules/a': { version: '1.0.0', integrity: 'x' } } }),
    },
  })
  chmodSync(join(root, 'bin/npm'), 0o755)
  const later = new Date(Date.now() + 10_000)
  utimesSync(join(root, 'dist/.built'), later, later)
  const calls = join(root, 'calls')
  return {
    root,
    async prepare(): Promise<{ code: number | null; stderr: string; calls: string[] }> {
      writeFileSync(calls, '')
      const env = { ...process.env, PATH: `${join(root, 'bin')}:${process.env.PATH}`, CALLS: calls }
      const { code, stderr } = await run(process.execPath, [join(root, 'scripts/prepare.mjs')], { env })
      return { code, stderr, calls: readFileSync(calls, 'utf8').split('\n').filter(Boolean) }
    },
  }
}

t.test('prepare.mjs does what is missing, and nothing when nothing is', async (t) => {
  const { root, prepare } = smallRepository(t)
  t.match(await prepare(), { code: 0, stderr: '', calls: [] })

  const installed = join(root, 'node_modules/.package-lock.json')
  const asItWas = readFileSync(installed, 'utf8')
  writeFileSync(installed, asItWas.replace('1.0.0', '0.9.0'))
  const old = await prepare()
  t.match(old, { code: 0, stderr: /installing .*a is not as package-lock\.json wants it/ })
  t.match(old.calls, [/^skip ci /], 'and the CUDA download is switched off')

  writeFileSync(installed, asItWas)
  const now = new Date(Date.now() + 20_000)
  utimesSync(join(root, 'src/main.ts'), now, now)
  t.match(await prepare(), { code: 0, stderr: /building .*src\/main\.ts/, calls: [/run --silent build/] })

  writeFileSync(join(root, 'bin/npm'), '#!/bin/sh\nexit 7\n')
  t.match(await prepare(), { code: 1, stderr: /exit code 7/ }, 'a failure is passed on')
})

t.test('the shell scripts are clean', { skip: without(['shellcheck', 'shellcheck']) }, async (t) => {
  const scripts = [script('install.sh'), script('grant-clocks.sh'), join(repository, '.ci/run')]
  t.match(await run('shellcheck', scripts), { code: 0, stdout: '' })
})
