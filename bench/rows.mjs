/**
 * The "Must show" table: what is asked, the bar, and how a measured value is held against it. Sections fill in the values.
 * `least` and `most` are the bar; a row without either is for information.
 */
export const rows = [
  {
    id: 'decode_128',
    section: 'speed',
    what: 'decode at context 128, full level, tokens/s over llama.cpp',
    least: 1.2,
    digits: 2,
  },
  { id: 'decode_16', section: 'speed', what: 'decode at context 16, full level, tokens/s over llama.cpp', digits: 2 },
  {
    id: 'decode_42',
    section: 'speed',
    what: 'decode at context 128, smallest level (≤ 42 %), over llama.cpp',
    least: 2.4,
    digits: 2,
  },
  {
    id: 'bandwidth',
    section: 'speed',
    what: 'share of the read bandwidth while decoding (weights + KV)',
    least: 0.7,
    digits: 2,
  },
  {
    id: 'prefill_128',
    section: 'prefill',
    what: 'prefill of 128 tokens, tokens/s over llama.cpp',
    least: 1.1,
    digits: 2,
  },
  {
    id: 'prefill_512',
    section: 'prefill',
    what: 'prefill of 512 tokens, tokens/s over llama.cpp',
    least: 1.1,
    digits: 2,
  },
  {
    id: 'products_full',
    section: 'products',
    what: 'decode with our own operators, tokens/s over the runtime’s, full level',
    digits: 2,
  },
  { id: 'products_low', section: 'products', what: 'the same at the smallest level', digits: 2 },
  { id: 'products_prefill', section: 'products', what: 'the same reading a prompt of 128 tokens', digits: 2 },
  { id: 'fit_share', section: 'levels', what: 'levels: t = a + b·share, b/t(1)', least: 0.85, digits: 2 },
  { id: 'fit_r', section: 'levels', what: 'levels: correlation r', least: 0.97, digits: 3 },
  { id: 'smallest_share', section: 'levels', what: 'smallest level, part of the weight bytes', most: 0.42, digits: 2 },
  {
    id: 'switching',
    section: 'levels',
    what: 'a token after a change of level, time over one without',
    most: 1.02,
    digits: 3,
  },
  {
    id: 'private_llama',
    section: 'memory',
    what: 'private memory at context 4,096 over llama.cpp’s',
    most: 0.95,
    digits: 2,
  },
  {
    id: 'private_need',
    section: 'memory',
    what: 'private memory at context 4,096 over weights + KV',
    most: 1.1,
    digits: 2,
  },
  { id: 'warm_start', section: 'start', what: 'warm start of the package, seconds', most: 3, digits: 1 },
  { id: 'cold_start', section: 'start', what: 'first start of the package, seconds', digits: 1 },
  {
    id: 'context_1000',
    section: 'context',
    what: 'ms/token at context 1,000 over 100, over the ratio of bytes',
    most: 1.1,
    digits: 2,
  },
  {
    id: 'context_3000',
    section: 'context',
    what: 'ms/token at context 3,000 over 100, over the ratio of bytes',
    most: 1.1,
    digits: 2,
  },
  {
    id: 'context_3000_smallest',
    section: 'context',
    what: 'ms/token at context 3,000, smallest level over the full one',
    digits: 2,
  },
  { id: 'http_median', section: 'http', what: 'daemon’s cost per token over HTTP, median, ms', most: 2, digits: 2 },
  {
    id: 'http_p99',
    section: 'http',
    what: 'daemon’s cost per token over HTTP, 99th percentile, ms',
    most: 5,
    digits: 2,
  },
  {
    id: 'http_p99_alone',
    section: 'http',
    what: 'the same of tokens beside which other programs ran 2 ms at most',
    digits: 2,
  },
  {
    id: 'sleeper_p99',
    section: 'http',
    what: 'how late a thread that only sleeps is meanwhile, 99th percentile, ms',
    digits: 2,
  },
  { id: 'http_first', section: 'http', what: 'first byte over prefill, median, ms', most: 10, digits: 1 },
  { id: 'streams_4', section: 'streams', what: '4 concurrent streams, tokens/s over one', least: 1.9, digits: 2 },
  {
    id: 'sampling_us',
    section: 'sampling',
    what: 'choosing a token of 32,000, the slowest of four ways, µs',
    digits: 0,
  },
  ...[2, 3, 4, 5, 8].map((size) => ({
    id: `verify_${size}`,
    section: 'drafts',
    what: `a run of ${size} tokens over a run of one (draft verification)`,
    digits: 2,
  })),
]

/** `ok`, `MISS`, or an empty string for information. */
export function verdict({ least, most }, value) {
  if (least === undefined && most === undefined) return ''
  return (least === undefined || value >= least) && (most === undefined || value <= most) ? 'ok' : 'MISS'
}

/** The bar in words. */
export const bar = ({ least, most }) => (least !== undefined ? `≥ ${least}` : most !== undefined ? `≤ ${most}` : '')
