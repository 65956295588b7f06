import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readJson } from './safetensors.ts'

/**
 * LLaMA-2's chat form, for folders that bring no template: system text inside the first user turn, one user and one
 * assistant turn after the other.
 */
export const llama2Template = `{{ bos_token }}{% set system = messages[0].content if messages[0].role == 'system' else '' %}\
{% set turns = messages[1:] if messages[0].role == 'system' else messages %}\
{% for message in turns %}\
{% if message.role == 'user' %}[INST] {% if loop.first and system %}<<SYS>>
{{ system }}
<</SYS>>

{% endif %}{{ message.content }} [/INST]\
{% else %} {{ message.content }} {{ eos_token }}{% endif %}\
{% endfor %}`

/** The folder's chat template: its own file, the one in tokenizer_config.json, or LLaMA-2's. */
export function chatTemplate(folder: string): string {
  const file = join(folder, 'chat_template.jinja')
  if (existsSync(file)) return readFileSync(file, 'utf8')
  const inConfig = readJson(folder, 'tokenizer_config.json')?.chat_template
  return typeof inConfig === 'string' ? inConfig : llama2Template
}
