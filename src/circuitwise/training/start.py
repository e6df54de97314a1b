"""Where training starts: every feature answers to one token that was seen, and writes what stood there.

Encoder row and decoder row of a feature are the scaled input and output of one drawn token, both made of length one;
the encoder is then scaled so that what is written has the size that explains most. The decoder's bias is zero: a scaled
output has mean zero, so the mean output is what the empty code gives. Where a price keeps the features few, the biases
of the encoder (L1) or the thresholds (L0) let few of them fire from the first step on; half would otherwise.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from circuitwise.training.pool import Pool
from circuitwise.training.recipe import L0, L1, Part, Recipe
from circuitwise.training.selection import floor_of
from circuitwise.training.weights import Weights, encode

SAMPLE = 2048
"""Tokens on which the encoder's size is chosen."""
TINY = 1e-6
"""No threshold starts below."""
FIRING = 64
"""Features that fire on a token at the start, on average, where a price keeps them few."""
NOISE = 0.1
"""Length of what is added to the rows, so that two features that drew the same token differ."""


def blank_weights(part: Part, recipe: Recipe, d_model: int, device: torch.device) -> Weights:
    """Weights of zero in the right shapes."""
    width = recipe.width
    return Weights(
        part=part,
        encoder=torch.zeros(width, d_model, device=device),
        encoder_bias=torch.zeros(width, device=device),
        decoder=torch.zeros(width, len(part.writes) * d_model, device=device),
        bias=torch.zeros(d_model, device=device),
        log_threshold=torch.zeros(width, device=device) if isinstance(recipe.sparsity, L0) else None,
        skip=torch.zeros(d_model, d_model, device=device) if part.skip else None,
    )


def start_weights(part: Part, pool: Pool, recipe: Recipe) -> Weights:
    """The weights of one dictionary before the first step."""
    draws = torch.Generator().manual_seed((recipe.seed + 1) * 11_000_003 + part.read.layer)
    pool.draw(0)
    device, width = pool.model.device, recipe.width
    started = blank_weights(part, recipe, pool.model.d_model, device)
    order = torch.randperm(pool.n_tokens, generator=draws).repeat(-(-width // pool.n_tokens))[:width].to(device)
    started.encoder.copy_(_unit(pool.gather(part.read, order).float(), draws))
    started.decoder.copy_(_unit(torch.cat([pool.gather(site, order) for site in part.writes], 1).float(), draws))
    _make_few(started, pool, recipe)
    size = _size(started, pool, recipe)
    started.encoder.mul_(size)
    started.encoder_bias.mul_(size)
    if started.log_threshold is not None:
        started.log_threshold.add_(math.log(size))
    return started


def _unit(rows: Tensor, draws: torch.Generator) -> Tensor:
    noise = torch.randn(rows.shape, generator=draws).to(rows.device)
    return normalize(normalize(rows, dim=1) + NOISE * normalize(noise, dim=1), dim=1)


def _make_few(weights: Weights, pool: Pool, recipe: Recipe) -> None:
    """Let few features fire where nothing but a price would keep them few."""
    if not isinstance(recipe.sparsity, L0 | L1):
        return
    x = pool.gather(weights.part.read, pool.draw(0)[:SAMPLE]).float()
    floor = max(floor_of(x @ weights.encoder.T, min(FIRING, recipe.width)), TINY)
    if weights.log_threshold is None:
        weights.encoder_bias.sub_(floor)
    else:
        weights.log_threshold.fill_(math.log(floor))


def _size(weights: Weights, pool: Pool, recipe: Recipe) -> float:
    """By how much to multiply the code so that it explains most of the output."""
    places = pool.draw(0)[:SAMPLE]
    y = torch.cat([pool.gather(site, places) for site in weights.part.writes], 1).float()
    code = encode(weights, pool.gather(weights.part.read, places), recipe.sparsity, torch.float32).code
    written = code.decode(weights.decoder, torch.float32)
    size = float((y * written).sum() / written.square().sum().clamp(min=1e-12))
    return size if size > 0 else 1.0
