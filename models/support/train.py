"""Trains the bundled customer-service model on the dialogues of src/evaluate/support: from nothing, or on from a trained one, plain or with nested sub-networks.

    npm run build && node dist/evaluate/support/prepare.js models/support/run
    cd models/support
    python3 train.py --data run --out base
    python3 train.py --data run --from base --out plain --steps 3000 --lr 0.004 --seed 2
    python3 train.py --data run --from base --out checkpoint --steps 3000 --lr 0.004 --seed 2 --nested

Debian: apt-get install --no-install-recommends python3-torch libopenblas0-pthread (torch 1.13).
The last two see the same batches, so what they differ in is the nesting. Each writes a Hugging Face folder with curve.csv beside it and resumes after a kill.
The last steps see the weights through int4 rounding (symmetric, blocks of 32).
"""
import argparse, json, math, os, random, shutil, struct, sys, time
# Memory is kept and lies in huge pages: giving it back after every step and faulting it in again took more than half of the time.
if 'GLIBC_TUNABLES' not in os.environ:
    os.environ['GLIBC_TUNABLES'] = 'glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592'
    os.execv(sys.executable, [sys.executable, *sys.argv])
# OpenBLAS' own threads get in the way of torch's: with them a step took 2.7 times as long on two cores.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from model import CONTEXT, D, FFN, HEADS, LAYERS, THETA, VOCAB, Linear, Model
from nesting import Nesting, expand, random_gates

p = argparse.ArgumentParser()
p.add_argument('--data', required=True)
p.add_argument('--out', required=True)
p.add_argument('--from', dest='base', help='folder of a trained checkpoint to go on from')
p.add_argument('--nested', action='store_true')
p.add_argument('--steps', type=int, default=5000)
p.add_argument('--tokens', type=int, default=3072, help='tokens per step')
p.add_argument('--lr', type=float, default=0.01, help='of the matrices; embeddings and norms take a quarter')
p.add_argument('--budgets', type=float, nargs='+', default=[0.34, 0.37, 0.41, 0.6], help='energy of each level, as a share of the full one')
p.add_argument('--sub-weight', type=float, default=0.5, help="of each sub-network's loss, against one for the full network's")
p.add_argument('--freeze-from', type=float, default=0.3, help='part after which the levels are fixed')
p.add_argument('--round-from', type=float, default=0.85, help='part after which weights are rounded')
p.add_argument('--seed', type=int, default=1)
p.add_argument('--threads', type=int, default=1)
p.add_argument('--stop-at', type=int, default=10 ** 9, help='end early at this step, with everything saved')
args = p.parse_args()
torch.manual_seed(args.seed); random.seed(args.seed); torch.set_num_threads(args.threads)
here = os.path.dirname(os.path.abspath(__file__))
freeze_from, round_from = (int(args.steps * f) for f in (args.freeze_from, args.round_from))
TEMPERATURE = 2.0


def load(name, length):
    shape = (-1, length + 1)
    return (np.fromfile(f'{args.data}/{name}.ids', np.uint16).reshape(shape), np.fromfile(f'{args.data}/{name}.mask', np.uint8).reshape(shape))


warm_up, train, long, validation = load('warm-up', 256), load('train', 384), load('long', 512), load('validation', 384)


def tensors(ids, mask):
    """ids [b, s + 1] and stratum + 1 of each answer token, cut to the longest row."""
    cut = int((ids != 0).any(0).nonzero()[0].max()) + 1
    return torch.from_numpy(ids[:, :cut].astype(np.int64)), torch.from_numpy(mask[:, :cut].astype(np.int64))


def answer_places(mask):
    """Positions a smaller level decides from: answer tokens that an answer token follows ([b, p], padded with the row's last one), and which are real."""
    inside = (mask[:, :-1] > 0) & (mask[:, 1:] > 0)
    count = inside.sum(1)
    order = inside.int().sort(dim=1, descending=True, stable=True)[1][:, :int(count.max())]
    real = torch.arange(order.shape[1])[None] < count[:, None]
    return torch.where(real, order, order.gather(1, (count - 1).clamp_min(0)[:, None])), real


def sub_loss(model, ids, goal, teacher, kept, places, real, gates):
    """Half the truth, half the full network's distribution, over the answer tokens that a sub-network decides."""
    logits = model.logits(model.answers(ids, places, kept, expand(gates)))[real]
    soft = F.log_softmax(logits / TEMPERATURE, -1)
    return 0.5 * F.cross_entropy(logits, goal) + 0.5 * TEMPERATURE ** 2 * F.kl_div(soft, teacher, reduction='batchmean', log_target=True)


@torch.no_grad()
def score(model, nesting):
    """Share of answers right to the last token, per network (the levels, then the full one) and stratum, with the right text so far."""
    right = [[[] for _ in range(3)] for _ in range(len(args.budgets) * (nesting is not None) + 1)]
    total, count = 0.0, 0
    for i in range(0, len(validation[0]), 25):
        ids, mask = tensors(validation[0][i:i + 25], validation[1][i:i + 25])
        inputs, goal, m = ids[:, :-1], ids[:, 1:], mask[:, 1:]
        x, kept = model(inputs)
        logits = model.logits(x)
        total += float(F.cross_entropy(logits[m > 0], goal[m > 0], reduction='sum')); count += int((m > 0).sum())
        picks = [logits.argmax(-1)]
        if nesting is not None:
            places, real = answer_places(mask)
            for j in reversed(range(len(args.budgets))):
                y = model.logits(model.answers(inputs, places, kept, expand(nesting.gates(j, False)))).argmax(-1)
                picks.insert(0, picks[-1].scatter(1, places, y))
        starts = (m > 0) & (mask[:, :-1] == 0)
        number = starts.cumsum(1)
        for row in range(len(ids)):
            for n in range(1, int(number[row].max()) + 1):
                here = (number[row] == n) & (m[row] > 0)
                for k, pick in enumerate(picks):
                    right[k][int(m[row][here][0]) - 1].append(bool((pick[row][here] == goal[row][here]).all()))
    return total / count, [[round(float(np.mean(r)), 4) for r in level] for level in right]


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal by five Newton-Schulz steps (Jordan et al. 2024), for the matrices inside the layers."""
    def __init__(self, params, lr):
        super().__init__(params, {'lr': lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group['params']:
                m = self.state[w].setdefault('momentum', torch.zeros_like(w))
                m.mul_(0.95).add_(w.grad)
                u = w.grad.add(m, alpha=0.95)
                tall = u.shape[0] > u.shape[1]
                x = u.T if tall else u
                x = (x / (x.norm() + 1e-7)).bfloat16()
                for _ in range(5):
                    a = x @ x.T
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                x = x.T if tall else x
                w.mul_(1 - group['lr'] * 0.05).add_(x.float(), alpha=-group['lr'] * max(1, w.shape[0] / w.shape[1]) ** 0.5)


model = Model()
nesting = Nesting(args.budgets)
inner = [w for n, w in model.named_parameters() if w.dim() == 2 and 'embed' not in n]
outer = [w for n, w in model.named_parameters() if w.dim() < 2 or 'embed' in n]
optimisers = [(Muon(inner, args.lr), args.lr), (torch.optim.AdamW(outer, lr=args.lr / 4, betas=(0.9, 0.95), weight_decay=0.01), args.lr / 4)]
gating = torch.optim.Adam(nesting.parameters(), lr=0.03)
start, curve, state = 0, [], f'{args.data}/{os.path.basename(os.path.normpath(args.out))}.pt'


def keep(path, step):
    torch.save({'model': model.state_dict(), 'nesting': nesting.state_dict(), 'optimisers': [o.state_dict() for o, _ in optimisers] + [gating.state_dict()],
                'step': step, 'curve': curve}, path + '.part')
    os.replace(path + '.part', path)


def read_weights(folder):
    """A folder's model.safetensors (F16) as tensors by their names in the model."""
    blob = open(f'{folder}/model.safetensors', 'rb').read()
    length = struct.unpack('<Q', blob[:8])[0]
    header = json.loads(blob[8:8 + length])
    part = lambda e: np.frombuffer(blob[8 + length:][slice(*e['data_offsets'])], np.float16).reshape(e['shape']).astype(np.float32)
    return {name[len('model.'):]: torch.from_numpy(part(e)) for name, e in header.items() if name != '__metadata__'}


@torch.no_grad()
def put_strong_channels_first(model):
    """Sorts each layer's MLP channels by what they add to the residual stream (mean size of the activation times the length of its output column), for
    levels keep the first chunks. The network computes the same."""
    ids, _ = tensors(train[0][:32], train[1][:32])
    strength = []
    watch = [layer.mlp['down_proj'].register_forward_pre_hook(lambda m, x: strength.append(x[0].float().abs().mean((0, 1)) * m.weight.norm(dim=0))) for layer in model.layers]
    model(ids[:, :-1])
    for hook, layer, of in zip(watch, model.layers, strength):
        hook.remove()
        order = of.sort(descending=True, stable=True)[1]
        for name in ('gate_proj', 'up_proj'):
            layer.mlp[name].weight.copy_(layer.mlp[name].weight[order])
        layer.mlp['down_proj'].weight.copy_(layer.mlp['down_proj'].weight[:, order])


if os.path.exists(state):
    saved = torch.load(state)
    nesting.chosen = torch.zeros_like(saved['nesting']['chosen'])
    model.load_state_dict(saved['model']); nesting.load_state_dict(saved['nesting']); start, curve = saved['step'], saved['curve']
    for opt, was in zip([o for o, _ in optimisers] + [gating], saved['optimisers']):
        opt.load_state_dict(was)
    print(f'going on from {state} at step {start}', flush=True)
elif args.base:
    model.load_state_dict(read_weights(args.base))
    if args.nested:
        put_strong_channels_first(model)


def save(step):
    keep(state, step)
    os.makedirs(args.out, exist_ok=True)
    weights = {('model.' + k): v.half().numpy() for k, v in model.state_dict().items()}
    header, offset = {'__metadata__': {'format': 'pt'}}, 0
    for k, v in weights.items():
        header[k] = {'dtype': 'F16', 'shape': list(v.shape), 'data_offsets': [offset, offset + v.nbytes]}
        offset += v.nbytes
    head = json.dumps(header).encode(); head += b' ' * (-len(head) % 8)
    with open(f'{args.out}/model.safetensors', 'wb') as f:
        f.write(struct.pack('<Q', len(head)) + head)
        for v in weights.values():
            f.write(v.tobytes())
    config = {'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_size': D, 'intermediate_size': FFN, 'num_hidden_layers': LAYERS, 'num_attention_heads': HEADS,
              'num_key_value_heads': HEADS, 'vocab_size': VOCAB, 'max_position_embeddings': CONTEXT, 'rms_norm_eps': 1e-5, 'rope_theta': THETA, 'hidden_act': 'silu',
              'tie_word_embeddings': True, 'bos_token_id': 1, 'eos_token_id': 2, 'torch_dtype': 'float16'}
    json.dump(config, open(f'{args.out}/config.json', 'w'), indent=1)
    for source in (f'{args.data}/tokenizer.json', *(f'{here}/{n}' for n in ('chat_template.jinja', 'deapd.json'))):
        shutil.copy(source, args.out)
    if args.nested:
        levels = [{'budget': b, 'widths': (nesting.gates(j, False)[0].sum(1) * FFN / nesting.gates(j, False)[0].shape[1]).tolist(), 'heads': nesting.gates(j, False)[1].tolist()}
                  for j, b in enumerate(args.budgets)]
        json.dump({'levels': levels}, open(f'{args.out}/nesting.json', 'w'))
    networks = [f'level_{j}' for j in range(len(args.budgets))] * args.nested + ['full']
    with open(f'{args.out}/curve.csv', 'w') as f:
        f.write('step,seconds,lr,answer_loss,sub_loss,validation_answer_loss,' + ','.join(f'{n}_{s}' for n in networks for s in ('easy', 'medium', 'hard')) +
                (',' + ','.join(f'{w}_{j}' for w in ('energy', 'multiplier') for j in range(len(args.budgets))) if args.nested else '') + '\n')
        for row in curve:
            f.write(','.join(str(c) for c in row['head'] + row['exact'] + (row['energy'] if args.nested else [])) + '\n')


clock, began = time.time(), (curve[-1]['head'][1] if curve else 0)
for step in range(start, min(args.steps, args.stop_at)):
    rng = np.random.default_rng(args.seed * 1_000_003 + step)  # resuming sees the same batches
    Linear.rounding = step >= round_from
    if args.nested and step >= freeze_from and not len(nesting.chosen):
        nesting.freeze()
    decay = min(1, (step + 1) / (0.02 * args.steps)) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
    for opt, lr in optimisers:
        for g in opt.param_groups:
            g['lr'] = lr * decay
    source = warm_up if not args.base and step < 0.08 * args.steps and step % 4 else long if rng.random() < 0.1 else train
    rows = rng.integers(0, len(source[0]), args.tokens // (source[0].shape[1] - 1))
    ids, mask = tensors(source[0][rows], source[1][rows])
    inputs, goal, answer = ids[:, :-1], ids[:, 1:], mask[:, 1:] > 0
    x, kept = model(inputs)
    logits = model.logits(x)
    ce = F.cross_entropy(logits.reshape(-1, VOCAB), goal.reshape(-1), reduction='none').view_as(goal)
    own = ce[answer].mean()
    loss, of_subs = own + 0.2 * ce[goal != 0].mean(), torch.zeros(())
    if args.nested:
        places, real = answer_places(mask)
        target = goal.gather(1, places)[real]
        teacher = F.log_softmax(logits.detach().gather(1, places[..., None].expand(-1, -1, VOCAB))[real] / TEMPERATURE, -1)
        other = int(rng.integers(1, len(args.budgets)))
        free = step < freeze_from and rng.random() < 0.5
        for level, gates in ((0, nesting.gates(0, True)), (other, random_gates(rng) if free else nesting.gates(other, True))):
            of_subs = of_subs + sub_loss(model, inputs, target, teacher, kept, places, real, gates)
        loss = loss + args.sub_weight * of_subs
        if not len(nesting.chosen):
            loss = loss + sum(nesting.penalty(j) for j in range(len(args.budgets)))
    for opt in [o for o, _ in optimisers] + [gating]:
        opt.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for opt, _ in optimisers:
        opt.step()
    if args.nested and not len(nesting.chosen):
        gating.step()
        nesting.ascend()
    if (step + 1) % 100 == 0 or step + 1 == args.steps:
        v, exact = score(model, nesting if args.nested else None)
        curve.append({'head': [step + 1, round(began + time.time() - clock), round(args.lr * decay, 6), round(float(own), 4), round(float(of_subs), 4), round(v, 4)],
                      'exact': [e for level in exact for e in level],
                      'energy': [round(float(nesting.energy(j)), 4) for j in range(len(args.budgets))] + [round(float(m), 3) for m in nesting.multipliers]})
        print(curve[-1]['head'], exact, curve[-1]['energy'] if args.nested else '', flush=True)
        save(step + 1)
