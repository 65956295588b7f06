import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { listFolder, readText } from '../power/files.ts'

/**
 * What of a board is copied into a fixture, and nothing else: folders (a `*` stands for any name) and the files in them.
 * Serial numbers, addresses and names of people or networks live elsewhere.
 */
const wanted: readonly (readonly [folder: string, files: RegExp])[] = [
  ['proc/device-tree', /^(compatible|model)$/],
  ['proc', /^(meminfo|buddyinfo)$/],
  ['etc', /^(nv_tegra_release|nvpmodel\.conf)$/],
  ['var/lib/nvpmodel', /^status$/],
  [
    'sys/class/hwmon/*',
    /^(name|label|update_interval|samples|in\d+_(label|input)|curr\d+_(input|max|crit|max_alarm|crit_alarm)|power\d+_input|oc\d+_(event_cnt|throt_en)|pwm\d+|fan\d+_input|rpm)$/,
  ],
  ['sys/class/thermal/*', /^(type|temp|mode|cur_state|max_state|trip_point_\d+_(type|temp|hyst))$/],
  ['sys/class/devfreq/*', /^((available_frequencies|cur_freq|min_freq|max_freq)|governor)$/],
  ['sys/class/devfreq/*/device', /^(load|railgate_enable|tpc_pg_mask)$/],
  ['sys/class/devfreq/*/device/of_node', /^name$/],
  ['sys/devices/system/cpu', /^(possible|present)$/],
  ['sys/devices/system/cpu/*', /^online$/],
  [
    'sys/devices/system/cpu/cpufreq/*',
    /^(scaling_((min|max|cur)_freq|available_frequencies|governor)|(affected|related)_cpus|cpuinfo_(min|max)_freq)$/,
  ],
  [
    'sys/bus/i2c/drivers/ina3221x/*/*',
    /^(rail_name_\d|in_(power|voltage|current)\d_input|(warn|crit)_current_limit_\d)$/,
  ],
  ['sys/class/powercap/*', /^(name|energy_uj|max_energy_range_uj)$/],
]

export interface Copied {
  readonly files: readonly string[]
  /** What was wanted and could not be read, such as the temperature of a zone that is powered down. */
  readonly unreadable: readonly string[]
  /** What looked as if it told one board from another, and was left out. */
  readonly withheld: readonly string[]
}

/** Copies the tree of a board below `out`; links become folders. */
export function copyFixture(root: string, out: string): Copied {
  const files: string[] = []
  const unreadable: string[] = []
  const withheld: string[] = []
  for (const [pattern, name] of wanted) {
    for (const folder of expand(root, pattern.split('/'))) {
      for (const file of listFolder(join(root, folder)).filter((entry) => name.test(entry))) {
        const path = join(folder, file)
        const text = readText(join(root, path))
        if (text === undefined) unreadable.push(path)
        else if (isIdentifying(text)) withheld.push(path)
        else {
          mkdirSync(dirname(join(out, path)), { recursive: true })
          writeFileSync(join(out, path), text)
          files.push(path)
        }
      }
    }
  }
  return { files, unreadable, withheld }
}

function expand(root: string, [first, ...rest]: readonly string[], at = ''): readonly string[] {
  if (first === undefined) return [at]
  const names = first === '*' ? listFolder(join(root, at)) : [first]
  return names.flatMap((name) => expand(root, rest, join(at, name)))
}

/** A network address, or digits as long as a serial number in something that is not just numbers. */
export function isIdentifying(text: string): boolean {
  if (/\b([0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b/i.test(text)) return true
  return /\d{13,}/.test(text) && !/^[\s\d]*$/.test(text)
}
