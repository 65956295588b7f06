"""Nested sub-networks, learnt: one score a group, one threshold a level, so that a smaller level is part of every larger one by construction.

A group is 64 MLP channels of a layer or one attention head's queries and output columns. Its gate in level j is a hard-concrete variable (Louizos et al.
2018) of (score - threshold of j); MLP chunks of a layer open in sequence. Each level has a budget of energy, as a share of what a token of the full network
costs: decoding is bound by the bytes it reads, so the energy of a group is its int4 bytes. The loss of level j gets lambda_j (E_j - B_j), with
lambda_j <- max(0, lambda_j + eta (E_j - B_j)) after each step: dual ascent, in place of a hand-picked weight of the energy term.
"""
import math
import numpy as np
import torch
import torch.nn as nn
from model import D, FFN, HEAD, HEADS, LAYERS, VOCAB

CHUNK = 64
CHUNKS = FFN // CHUNK
HEAT, STRETCH = 0.66, (-0.1, 1.1)
INT4, INT8 = 4 / 8 + 4 / 32, 8 / 8 + 4 / 32  # bytes a weight with its share of a float32 scale per 32
chunk_bytes, head_bytes = 3 * CHUNK * D * INT4, 2 * HEAD * D * INT4
always = LAYERS * 2 * D * D * INT4 + VOCAB * D * INT8
everything = always + LAYERS * (CHUNKS * chunk_bytes + HEADS * head_bytes)


class Nesting(nn.Module):
    def __init__(self, budgets, eta=0.3):
        super().__init__()
        self.budgets, self.eta = budgets, eta
        self.chunk_scores = nn.Parameter(torch.linspace(1.5, -1.5, CHUNKS).repeat(LAYERS, 1))
        self.head_scores = nn.Parameter(torch.full((LAYERS, HEADS), 1.0))
        self.thresholds = nn.Parameter(torch.linspace(0.5, -1.0, len(budgets)))
        self.register_buffer('multipliers', torch.zeros(len(budgets)))
        self.register_buffer('chosen', torch.zeros(0))  # after `freeze`: [levels, groups] of zeros and ones

    def gates(self, level, noise):
        """Chunks [LAYERS, CHUNKS] and heads [LAYERS, HEADS] of a level, each 0 to 1. Without noise: the middle of the distribution."""
        def gate(scores):
            u = torch.rand_like(scores).clamp(1e-4, 1 - 1e-4) if noise else torch.full_like(scores, 0.5)
            return (torch.sigmoid((torch.log(u / (1 - u)) + self.lean(scores, level)) / HEAT) * (STRETCH[1] - STRETCH[0]) + STRETCH[0]).clamp(0, 1)
        return self.fixed(level) or (gate(self.chunk_scores).cumprod(-1), gate(self.head_scores))

    def lean(self, scores, level):
        return 4 * (scores - self.thresholds[level])

    def fixed(self, level):
        """The level's gates once they are decided, else nothing."""
        if len(self.chosen):
            flat = self.chosen[level]
            return flat[:LAYERS * CHUNKS].view(LAYERS, CHUNKS), flat[LAYERS * CHUNKS:].view(LAYERS, HEADS)

    def energy(self, level):
        """Expected energy of a level's token as a share of the full network's: by the chance that a gate is open, which has a slope everywhere."""
        opens = lambda scores: torch.sigmoid(self.lean(scores, level) - HEAT * math.log(-STRETCH[0] / STRETCH[1]))
        chunks, heads = self.fixed(level) or (opens(self.chunk_scores).cumprod(-1), opens(self.head_scores))
        return (always + chunks.sum() * chunk_bytes + heads.sum() * head_bytes) / everything

    def ascend(self):
        """The dual step; returns the energies."""
        energies = torch.tensor([float(self.energy(j)) for j in range(len(self.budgets))])
        self.multipliers.add_(self.eta * (energies - torch.tensor(self.budgets))).clamp_(min=0)
        return energies

    def penalty(self, level):
        return self.multipliers[level] * (self.energy(level) - self.budgets[level])

    @torch.no_grad()
    def freeze(self):
        """From scores to yes or no: groups by falling score (a chunk never before the one in front of it) as long as they fit into the budget."""
        chunks = self.chunk_scores.cummin(-1)[0]
        scores = torch.cat((chunks.flatten(), self.head_scores.flatten()))
        cost = torch.cat((torch.full((LAYERS * CHUNKS,), chunk_bytes), torch.full((LAYERS * HEADS,), head_bytes)))
        order = scores.sort(dim=0, descending=True, stable=True)[1]
        self.chosen = torch.zeros(len(self.budgets), len(scores))
        for j, budget in enumerate(self.budgets):
            self.chosen[j, order[always + cost[order].cumsum(0) <= budget * everything]] = 1


def expand(gates):
    """Per layer: channels [FFN] and heads [HEADS]."""
    return [(c.repeat_interleave(CHUNK), h) for c, h in zip(*gates)]


def random_gates(rng):
    """A random width in every layer (half of the time the same one), and now and then a layer above the second that does not read its context."""
    widths = rng.integers(0, CHUNKS + 1, LAYERS if rng.random() < 0.5 else (1,)) + np.zeros(LAYERS, int)
    reads = (rng.random(LAYERS) > 0.1) | (np.arange(LAYERS) < 2)
    chunks = np.arange(CHUNKS)[None] < widths[:, None]
    return torch.from_numpy(chunks).float(), torch.from_numpy(reads[:, None].repeat(HEADS, 1)).float()
