import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const kernels = fileURLToPath(new URL('../../src/engine/kernels/', import.meta.url))
const support = fileURLToPath(new URL('../support/', import.meta.url))

interface Variant {
  readonly arch: string
  readonly lanes: string
  readonly flags: readonly string[]
}

/** How a processor's programs are made and run here: as they are, or by a cross compiler and an emulator. */
const machines: Readonly<Record<string, { readonly compiler: string; readonly run: readonly string[] }>> = {
  [process.arch]: { compiler: 'cc', run: [] },
  ...(process.arch !== 'arm64' && {
    arm64: { compiler: 'aarch64-linux-gnu-gcc', run: ['qemu-aarch64-static', '-cpu', 'max'] },
  }),
}

/** As the build has them, and no warning. */
const warnings = ['-O3', '-fopenmp-simd', '-ffp-contract=off', '-Wall', '-Wextra', '-Werror']

const variants: readonly Variant[] = JSON.parse(readFileSync(join(kernels, 'variants.json'), 'utf8'))

/** What is held against sums in double. */
const checks = [
  { of: 'products', source: 'product.c', check: 'products-check.c' },
  { of: 'attention', source: 'attention.c', check: 'attention-check.c' },
]

for (const { of, source, check } of checks) {
  /** Of the results of each variant. */
  const digests = new Set<string | undefined>()
  for (const { arch, lanes, flags } of variants) {
    t.test(`our own ${of} for ${arch} with ${lanes} compute what sums in double do`, async (t) => {
      const machine = machines[arch]
      if (machine === undefined) return void t.pass(`no programs of ${arch} run here`, { skip: true })
      const program = join(t.testdir({}), 'check')
      const sources = [join(support, check), join(kernels, source), join(kernels, 'product.c')]
      const args = [...warnings, ...flags, '-I', kernels, ...new Set(sources), '-static', '-o', program, '-lm']
      const compiled = spawnSync(machine.compiler, args, { encoding: 'utf8' })
      t.equal(compiled.status, 0, compiled.error?.message ?? compiled.stderr)
      const [command, ...rest] = [...machine.run, program]
      const { status, stdout, error } = spawnSync(command, rest, { encoding: 'utf8' })
      if (stdout?.startsWith('this processor')) return void t.pass(stdout.trim(), { skip: true })
      const digest = /^\d\d+ kinds, 0 wrong, digest (\w{16})$/m.exec(stdout ?? '')?.[1]
      t.ok(digest, error?.message ?? stdout)
      digests.add(digest)
      t.equal(digests.size, 1, 'to the same bits as with other instructions')
      t.equal(status, 0)
    })
  }
}
