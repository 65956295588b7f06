"""Trains the bundled customer-service model: a plain, dense LLaMA on the dialogues of src/evaluate/support.

    npm run build && node dist/evaluate/support/prepare.js models/support/run
    python3 models/support/train.py --data models/support/run --out models/support/checkpoint

Debian: apt-get install --no-install-recommends python3-torch libopenblas0-pthread (torch 1.13). One CPU core: half an hour.
Writes a Hugging Face folder with curve.csv beside it; resumes from state.pt in the data folder after a kill.
The last fifth of the steps sees its weights through int4 rounding (symmetric, blocks of 32), so that quantising costs little.
"""
import argparse, json, math, os, random, shutil, struct, time
# OpenBLAS' own threads get in the way of torch's: with them a step took 2.7 times as long on two cores.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

p = argparse.ArgumentParser()
p.add_argument('--data', required=True)
p.add_argument('--out', required=True)
p.add_argument('--steps', type=int, default=5200)
p.add_argument('--tokens', type=int, default=2048, help='tokens per step')
p.add_argument('--lr', type=float, default=0.01, help='of the matrices; embeddings and norms take a quarter')
p.add_argument('--seed', type=int, default=1)
p.add_argument('--threads', type=int, default=1)
args = p.parse_args()
torch.manual_seed(args.seed); random.seed(args.seed); torch.set_num_threads(args.threads)

D, LAYERS, HEADS, FFN, VOCAB, CONTEXT, THETA = 128, 4, 4, 384, 896, 512, 500000.0
HEAD = D // HEADS
here = os.path.dirname(os.path.abspath(__file__))
rounding = False  # becomes true for the last fifth


class Linear(nn.Linear):
    """A bias-free linear layer whose weights pass through int4 rounding when asked (straight-through gradient)."""
    def __init__(self, i, o):
        super().__init__(i, o, bias=False)

    def forward(self, x):
        w = self.weight
        if rounding:
            b = w.detach().view(w.shape[0], -1, 32)
            s = b.abs().amax(-1, keepdim=True).clamp_min(1e-8) / 7.5
            w = w + ((b / s).round().clamp(-8, 7) * s).view_as(w) - w.detach()
        return F.linear(x, w)


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(D))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.self_attn = nn.ModuleDict({k: Linear(D, D) for k in ('q_proj', 'k_proj', 'v_proj', 'o_proj')})
        self.mlp = nn.ModuleDict({'gate_proj': Linear(D, FFN), 'up_proj': Linear(D, FFN), 'down_proj': Linear(FFN, D)})

    def forward(self, x, cos, sin, mask):
        b, s, _ = x.shape
        h, a = self.input_layernorm(x), self.self_attn
        q, k, v = (a[n](h).view(b, s, HEADS, HEAD).transpose(1, 2) for n in ('q_proj', 'k_proj', 'v_proj'))
        turn = lambda t: torch.cat((-t[..., HEAD // 2:], t[..., :HEAD // 2]), -1)
        q, k = q * cos + turn(q) * sin, k * cos + turn(k) * sin
        w = (q @ k.transpose(-1, -2) / math.sqrt(HEAD) + mask[:s, :s]).softmax(-1)
        x = x + a['o_proj']((w @ v).transpose(1, 2).reshape(b, s, D))
        h, m = self.post_attention_layernorm(x), self.mlp
        return x + m['down_proj'](F.silu(m['gate_proj'](h)) * m['up_proj'](h))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCAB, D)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = Norm()
        f = torch.outer(torch.arange(CONTEXT).float(), THETA ** (-torch.arange(0, HEAD, 2).float() / HEAD))
        self.cos, self.sin = torch.cat((f, f), -1).cos(), torch.cat((f, f), -1).sin()
        self.mask = torch.full((CONTEXT, CONTEXT), float('-inf')).triu(1)
        for n, w in self.named_parameters():
            if n.endswith(('o_proj.weight', 'down_proj.weight')):
                nn.init.zeros_(w)
            elif w.dim() == 2:
                nn.init.normal_(w, std=w.shape[1] ** -0.5)
        nn.init.constant_(self.norm.weight, 0.05)  # keeps the tied head's first guesses mild
        self.start_with_look_up()

    @torch.no_grad()
    def start_with_look_up(self):
        """Training alone sat for thousands of steps on the plateau before in-context copying (it is known for that), so the first two
        layers begin as an induction circuit and are trained on from there. The residual stream begins as 64 channels of token
        identity, one constant, and three signatures of 16. Layer 0: three heads attend one, two and three tokens back and leave a
        signature of what they find. Layer 1: one head looks for the place whose predecessor is this token, one for the place with
        the same two tokens two and three back (the order number); both copy the identity of what stands there."""
        identity, constant, width = 64, 64, 16
        signature = [slice(constant + 1 + h * width, constant + 1 + (h + 1) * width) for h in range(3)]
        self.embed_tokens.weight.normal_(std=1.0)
        self.embed_tokens.weight[:, identity:] = 0
        self.embed_tokens.weight[:, constant] = 2.0  # the position heads need something that every token has
        fast, slow = torch.arange(4), torch.arange(7, HEAD // 2)  # fast rotary pairs tell neighbours apart, slow ones carry content
        content = torch.cat((slow, slow + HEAD // 2))
        angle = THETA ** (-2 * fast.float() / HEAD)
        head = lambda name, layer, h: (self.layers[layer].self_attn[name].weight[:, h * HEAD:(h + 1) * HEAD] if name == 'o_proj'
                                       else self.layers[layer].self_attn[name].weight[h * HEAD:(h + 1) * HEAD])
        mixes = [torch.linalg.qr(torch.randn(identity, width))[0].T for _ in range(3)]
        for h, mix in enumerate(mixes):
            q, k, v = (head(n, 0, h).zero_() for n in ('q_proj', 'k_proj', 'v_proj'))
            q[fast, constant] = 2.5
            k[fast, constant], k[fast + HEAD // 2, constant] = 2.5 * torch.cos(angle * (h + 1)), 2.5 * torch.sin(angle * (h + 1))
            v[:width, :identity] = mix
            head('o_proj', 0, h)[signature[h], :width] = 0.73 * torch.eye(width)
        q, k = (head(n, 1, 0).zero_() for n in ('q_proj', 'k_proj'))
        q[content[:width], :identity], k[content[:width], signature[0]] = 2.1 * mixes[0], 2.1 * torch.eye(width)
        half = len(content) // 2
        for n in ('q_proj', 'k_proj'):
            same = head(n, 1, 1).zero_()
            same[content[:half], signature[1]], same[content[half:], signature[2]] = 2.15 * torch.eye(half, width), 2.15 * torch.eye(half, width)
        for h in range(2):
            copy = torch.linalg.qr(torch.randn(identity, HEAD))[0].T
            head('v_proj', 1, h).zero_()[:, :identity] = copy
            head('o_proj', 1, h)[:identity] = copy.T

    def forward(self, ids):
        x, s = self.embed_tokens(ids), ids.shape[1]
        for layer in self.layers:
            x = layer(x, self.cos[:s], self.sin[:s], self.mask)
        return self.norm(x)


def load(name, length):
    shape = (-1, length + 1)
    return (np.fromfile(f'{args.data}/{name}.ids', np.uint16).reshape(shape), np.fromfile(f'{args.data}/{name}.mask', np.uint8).reshape(shape))


warm_up, train, long, validation = load('warm-up', 192), load('train', 256), load('long', 512), load('validation', 256)


def losses(model, ids, mask, score=False):
    """Answer loss, loss of all real tokens, and the share of answers that are right to the last token (when asked to score)."""
    ids, mask = torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(mask.astype(np.float32))
    cut = int((ids != 0).any(0).nonzero().max()) + 1
    ids, mask = ids[:, :cut], mask[:, :cut]
    logits = F.linear(model(ids[:, :-1]), model.embed_tokens.weight)
    goal, m = ids[:, 1:], mask[:, 1:]
    ce = F.cross_entropy(logits.reshape(-1, VOCAB), goal.reshape(-1), reduction='none').view_as(m)
    real = (goal != 0).float()
    first = (ce * m).sum() / m.sum(), (ce * real).sum() / real.sum()
    if not score:
        return first
    wrong = (logits.argmax(-1) != goal).float() * m
    starts = ((m[:, 1:] - m[:, :-1]) > 0).sum().item()
    run = torch.cumsum((m[:, 1:] - m[:, :-1] > 0).float(), 1)  # number of the answer each token belongs to
    bad = sum(len(set(run[i][wrong[i, 1:] > 0].tolist())) for i in range(len(ids)))
    return *first, 1 - bad / max(1, starts)


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
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    a = x @ x.T
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                x = x.T if tall else x
                w.mul_(1 - group['lr'] * 0.05).add_(x, alpha=-group['lr'] * max(1, w.shape[0] / w.shape[1]) ** 0.5)


model = Model()
inner = [w for n, w in model.named_parameters() if w.dim() == 2 and 'embed' not in n]
outer = [w for n, w in model.named_parameters() if w.dim() < 2 or 'embed' in n]
optimisers = [(Muon(inner, args.lr), args.lr), (torch.optim.AdamW(outer, lr=args.lr / 4, betas=(0.9, 0.95), weight_decay=0.01), args.lr / 4)]
start, state, curve = 0, f'{args.data}/state.pt', []
if os.path.exists(state):
    saved = torch.load(state)
    model.load_state_dict(saved['model']); start, curve = saved['step'], saved['curve']
    for (opt, _), was in zip(optimisers, saved['optimisers']):
        opt.load_state_dict(was)
    print(f'resuming at step {start}', flush=True)


def save(step):
    torch.save({'model': model.state_dict(), 'optimisers': [opt.state_dict() for opt, _ in optimisers], 'step': step, 'curve': curve}, state + '.part')
    os.replace(state + '.part', state)
    os.makedirs(args.out, exist_ok=True)
    tensors = {('model.' + k): v.half().numpy() for k, v in model.state_dict().items()}
    header, offset = {'__metadata__': {'format': 'pt'}}, 0
    for k, v in tensors.items():
        header[k] = {'dtype': 'F16', 'shape': list(v.shape), 'data_offsets': [offset, offset + v.nbytes]}
        offset += v.nbytes
    head = json.dumps(header).encode(); head += b' ' * (-len(head) % 8)
    with open(f'{args.out}/model.safetensors', 'wb') as f:
        f.write(struct.pack('<Q', len(head)) + head)
        for v in tensors.values():
            f.write(v.tobytes())
    config = {'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_size': D, 'intermediate_size': FFN, 'num_hidden_layers': LAYERS, 'num_attention_heads': HEADS,
              'num_key_value_heads': HEADS, 'vocab_size': VOCAB, 'max_position_embeddings': CONTEXT, 'rms_norm_eps': 1e-5, 'rope_theta': THETA, 'hidden_act': 'silu',
              'tie_word_embeddings': True, 'bos_token_id': 1, 'eos_token_id': 2, 'torch_dtype': 'float16'}
    json.dump(config, open(f'{args.out}/config.json', 'w'), indent=1)
    for source in (f'{args.data}/tokenizer.json', *(f'{here}/{n}' for n in ('chat_template.jinja', 'deapd.json'))):
        shutil.copy(source, args.out)
    with open(f'{args.out}/curve.csv', 'w') as f:
        f.write('step,seconds,lr,train_answer_loss,train_loss,validation_answer_loss,validation_exact,int4_rounding\n')
        f.writelines(','.join(str(x) for x in row) + '\n' for row in curve)


clock, began = time.time(), (curve[-1][1] if curve else 0)
for step in range(start, args.steps):
    rng = np.random.default_rng(args.seed * 1_000_003 + step)  # resuming sees the same batches
    rounding = step >= args.steps * 0.8
    decay = min(1, (step + 1) / (0.02 * args.steps)) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
    for opt, lr in optimisers:
        for g in opt.param_groups:
            g['lr'] = lr * decay
    ids, mask = warm_up if step < 0.1 * args.steps and step % 4 else long if rng.random() < 0.1 else train
    rows = rng.integers(0, len(ids), args.tokens // (ids.shape[1] - 1))
    answer, every = losses(model, ids[rows], mask[rows])
    model.zero_grad(set_to_none=True)
    (answer + 0.2 * every).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for opt, _ in optimisers:
        opt.step()
    if (step + 1) % 100 == 0 or step + 1 == args.steps:
        with torch.no_grad():
            parts = [losses(model, validation[0][i:i + 50], validation[1][i:i + 50], score=True) for i in range(0, len(validation[0]), 50)]
        v = np.mean([float(q[0]) for q in parts]); e = np.mean([q[2] for q in parts])
        curve.append([step + 1, round(began + time.time() - clock), round(args.lr * decay, 6), round(float(answer), 4), round(float(every), 4), round(v, 4), round(e, 4), int(rounding)])
        print(curve[-1], flush=True)
        save(step + 1)
