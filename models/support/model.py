"""The bundled model: a small LLaMA whose layers can run with some MLP chunks and attention heads left out.

A sub-network never recomputes a prompt: the daemon reads prompts with the full network and only the tokens of an answer with a smaller one, on the same
keys and values. `Model.answers` is that regime: it runs only the answers' positions, and what it does not run it takes from the full network's pass.
Products are bfloat16 (four times as fast on a CPU that has it), weights, sums and the residual stream float32.
"""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F

D, LAYERS, HEADS, FFN, VOCAB, CONTEXT, THETA = 192, 5, 6, 512, 896, 512, 500000.0
HEAD = D // HEADS


class Linear(nn.Linear):
    """A bias-free linear layer whose weights pass through int4 rounding when asked (straight-through gradient)."""
    rounding = False

    def __init__(self, i, o):
        super().__init__(i, o, bias=False)

    def forward(self, x):
        w = self.weight
        if Linear.rounding:
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


def rotate(x, cos, sin):
    """x [b, heads, s, HEAD] turned by its position; cos and sin [.., s, HEAD]."""
    return x * cos + torch.cat((-x[..., HEAD // 2:], x[..., :HEAD // 2]), -1) * sin


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.self_attn = nn.ModuleDict({k: Linear(D, D) for k in ('q_proj', 'k_proj', 'v_proj', 'o_proj')})
        self.mlp = nn.ModuleDict({'gate_proj': Linear(D, FFN), 'up_proj': Linear(D, FFN), 'down_proj': Linear(FFN, D)})

    def forward(self, x, cos, sin, mask, gates=None, past=None, places=None):
        """x [b, s, D] and the keys and values of the layer. With `past` (keys and values of the full network) and `places`
        [b, s] (where the rows of x stand), those rows are put in their places among them. gates: (channels [FFN], heads [HEADS])."""
        b, s, _ = x.shape
        h, a = self.input_layernorm(x), self.self_attn
        q, k, v = (a[n](h).view(b, s, HEADS, HEAD).transpose(1, 2) for n in ('q_proj', 'k_proj', 'v_proj'))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if past is not None:
            at = places[:, None, :, None].expand_as(k)
            k, v = past[0].scatter(2, at, k), past[1].scatter(2, at, v)
        w = (q * HEAD ** -0.5 @ k.transpose(-1, -2) + mask).softmax(-1)
        read = (w @ v).transpose(1, 2)
        if gates is not None:
            read = read * gates[1][:, None]
        x = x + a['o_proj'](read.reshape(b, s, D))
        h, m = self.post_attention_layernorm(x), self.mlp
        h = F.silu(m['gate_proj'](h)) * m['up_proj'](h)
        return x + m['down_proj'](h if gates is None else h * gates[0]), (k, v)


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
        signature of what they find. Layer 1: three heads look for the place whose predecessor is this token, for the place whose
        two predecessors are this token and the one before it, and for the place with the same two tokens two and three back (the
        order number); all copy the identity of what stands there."""
        identity, constant, width = 64, 64, 16
        signature = [slice(constant + 1 + h * width, constant + 1 + (h + 1) * width) for h in range(3)]
        self.embed_tokens.weight.normal_(std=1.0)
        self.embed_tokens.weight[:, identity:] = 0
        self.embed_tokens.weight[:, constant] = 2.0 * (D / 128) ** 0.5  # the position heads need something that every token has
        self.embed_tokens.weight[:, :identity] *= (D / 128) ** 0.5
        fast, slow = torch.arange(4), torch.arange(7, HEAD // 2)  # fast rotary pairs tell neighbours apart, slow ones carry content
        content = torch.cat((slow, slow + HEAD // 2))
        angle = THETA ** (-2 * fast.float() / HEAD)
        head = lambda name, layer, h: (self.layers[layer].self_attn[name].weight[:, h * HEAD:(h + 1) * HEAD] if name == 'o_proj'
                                       else self.layers[layer].self_attn[name].weight[h * HEAD:(h + 1) * HEAD])
        mix = torch.linalg.qr(torch.randn(identity, width))[0].T
        for h in range(3):
            q, k, v = (head(n, 0, h).zero_() for n in ('q_proj', 'k_proj', 'v_proj'))
            q[fast, constant] = 2.5
            k[fast, constant], k[fast + HEAD // 2, constant] = 2.5 * torch.cos(angle * (h + 1)), 2.5 * torch.sin(angle * (h + 1))
            v[:width, :identity] = mix
            head('o_proj', 0, h)[signature[h], :width] = 0.73 * torch.eye(width)
        half = len(content) // 2
        q, k = (head(n, 1, 0).zero_() for n in ('q_proj', 'k_proj'))
        q[content[:width], :identity], k[content[:width], signature[0]] = 2.1 * mix, 2.1 * torch.eye(width)
        q, k = (head(n, 1, 1).zero_() for n in ('q_proj', 'k_proj'))
        q[content[:half], :identity], k[content[:half], signature[0]] = 2.15 * mix[:half], 2.15 * torch.eye(half, width)
        q[content[half:], signature[0]], k[content[half:], signature[1]] = 2.15 * torch.eye(half, width), 2.15 * torch.eye(half, width)
        for n in ('q_proj', 'k_proj'):
            same = head(n, 1, 2).zero_()
            same[content[:half], signature[1]], same[content[half:], signature[2]] = 2.15 * torch.eye(half, width), 2.15 * torch.eye(half, width)
        for h in range(3):
            copy = torch.linalg.qr(torch.randn(identity, HEAD))[0].T
            head('v_proj', 1, h).zero_()[:, :identity] = copy
            head('o_proj', 1, h)[:identity] = copy.T

    def logits(self, x):
        with torch.autocast('cpu', torch.bfloat16):
            return F.linear(self.norm(x), self.embed_tokens.weight).float()

    def forward(self, ids):
        """Last hidden rows [b, s, D] of the full network, and its keys and values per layer."""
        x, s, kept = self.embed_tokens(ids), ids.shape[1], []
        with torch.autocast('cpu', torch.bfloat16):
            for layer in self.layers:
                x, kv = layer(x, self.cos[:s], self.sin[:s], self.mask[:s, :s])
                kept.append(kv)
        return x, kept

    def answers(self, ids, places, kept, gates):
        """Hidden rows [b, p, D] of a sub-network at `places` [b, p] of ids, on the full network's keys and values elsewhere."""
        x = self.embed_tokens(ids.gather(1, places))
        cos, sin, mask = self.cos[places][:, None], self.sin[places][:, None], self.mask[places][:, None, :, :ids.shape[1]]
        with torch.autocast('cpu', torch.bfloat16):
            for layer, past, gate in zip(self.layers, kept, gates):
                x, _ = layer(x, cos, sin, mask, gate, past, places)
        return x
