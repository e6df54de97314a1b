"""Dictionaries that are trained together: one layer, or all layers that write to each other's outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from circuitwise.training.optimizer import Adam, price_at, rate_at
from circuitwise.training.parallel import ALONE, Company
from circuitwise.training.recipe import L0, L1, Recipe, Sparsity
from circuitwise.training.revival import revive
from circuitwise.training.weights import Encoded, Errors, Weights, constant, encode, gradients
from circuitwise.vocabulary import Site

PRECISIONS: Mapping[str, torch.dtype] = {"bfloat16": torch.bfloat16, "float32": torch.float32}
"""The precisions of large products."""


@dataclass(slots=True, kw_only=True, eq=False)
class Tally:
    """Sums over the steps since the last report."""

    unexplained: Float[Tensor, " site"]
    """Squared error at each written site."""
    variance: Float[Tensor, " site"]
    """Squared distance of each written site from its mean."""
    firing: Float[Tensor, " part"]
    """Features that fired, for each dictionary."""
    n_tokens: int = 0
    """Tokens that were looked at."""


class Learner:
    """Some dictionaries, their optimizer, and when each feature last fired."""

    def __init__(self, weights: tuple[Weights, ...], recipe: Recipe, company: Company = ALONE) -> None:
        """Before the first step."""
        self.weights, self.recipe, self.company = weights, recipe, company
        self.sites: tuple[Site, ...] = tuple(sorted({site for each in weights for site in each.part.writes}))
        """What they write to, together."""
        self.adam = Adam({name: tensor for name, tensor in self.tensors().items()})
        device = weights[0].encoder.device
        self.silent = [torch.zeros(recipe.width, dtype=torch.long, device=device) for _ in weights]
        """Tokens since each feature last fired, for each dictionary."""
        self.tally = self._empty()

    def read_and_written(self) -> list[Site]:
        """The sites whose activations a step needs."""
        return sorted({each.part.read for each in self.weights} | set(self.sites))

    def tensors(self) -> dict[str, Tensor]:
        """All weights by name."""
        return {
            f"{each.part.read.layer}.{name}": tensor for each in self.weights for name, tensor in each.tensors().items()
        }

    def n_dead(self, part: int) -> int:
        """How many features of a dictionary have been silent for too long."""
        return int((self.silent[part] >= self.recipe.revival.after).sum())

    def learn(self, batch: Mapping[Site, Tensor], step: int) -> None:
        """One step on a batch of scaled activations: this process' share of it."""
        recipe, precision = self.recipe, PRECISIONS[self.recipe.precision]
        sparsity = _priced(recipe.sparsity, price_at(recipe.schedule, step, recipe.n_steps))
        encoded = [encode(each, batch[each.part.read], sparsity, precision) for each in self.weights]
        target = torch.cat([batch[site] for site in self.sites], 1).float()
        error = self._error(target, batch, encoded, precision)
        n_tokens = self._count(target, error, encoded)
        found: dict[str, Tensor] = {}
        for part, (each, code) in enumerate(zip(self.weights, encoded, strict=True)):
            x, mine = batch[each.part.read], self._columns(error, each)
            rate = 2 / (error.shape[0] * each.encoder.shape[1])
            own = gradients(each, code, x, mine * rate, sparsity, precision)
            dead = (self.silent[part] >= recipe.revival.after).nonzero()[:, 0]
            if len(dead):
                revive(each, dead, x, -mine, recipe.revival, own)
            found |= {f"{each.part.read.layer}.{name}": gradient for name, gradient in own.items()}
        found = self.company.mean(found, len(error) / n_tokens)
        self.adam.step(found, rate_at(recipe.schedule, step, recipe.n_steps), recipe.schedule.clip)

    def report(self) -> Tally:
        """The sums since the last report, which start anew."""
        tally, self.tally = self.tally, self._empty()
        return tally

    def _error(
        self, target: Errors, batch: Mapping[Site, Tensor], encoded: list[Encoded], precision: torch.dtype
    ) -> Errors:
        """What was written less what should be there, the written sites side by side."""
        error = -target
        for each, code in zip(self.weights, encoded, strict=True):
            mine = self._columns(error, each)
            mine += code.code.decode(each.decoder, precision)
            mine[:, : each.bias.shape[0]] += constant(each, batch[each.part.read], precision)
        return error

    def _columns(self, error: Errors, weights: Weights) -> Float[Tensor, "token mine"]:
        """The part of the error that a dictionary can do something about: its own site and all later ones."""
        return error[:, error.shape[1] - weights.decoder.shape[1] :]

    def _count(self, target: Errors, error: Errors, encoded: list[Encoded]) -> int:
        """Count what the whole batch, of all processes, did; how many tokens it has."""
        n_sites = len(self.sites)
        mine = [error.new_tensor([len(error)]), _squares(error, n_sites), _squares(target, n_sites), target.sum(0)]
        mine += [each.code.counts() for each in encoded]
        whole = torch.split(self.company.total(torch.cat(mine)), [len(each) for each in mine])
        n_tokens, unexplained, squares, sums = int(whole[0]), *whole[1:4]
        self.tally.n_tokens += n_tokens
        self.tally.unexplained += unexplained
        self.tally.variance += squares - sums.view(n_sites, -1).square().sum(1) / n_tokens
        for part, count in enumerate(whole[4:]):
            self.silent[part] += n_tokens
            self.silent[part][count > 0] = 0
            self.tally.firing[part] += count.sum()
        return n_tokens

    def _empty(self) -> Tally:
        zeros = torch.zeros(len(self.sites), device=self.weights[0].encoder.device)
        firing = torch.zeros(len(self.weights), device=zeros.device)
        return Tally(unexplained=zeros.clone(), variance=zeros.clone(), firing=firing)


def _squares(values: Errors, n_sites: int) -> Float[Tensor, " site"]:
    """The sum of squares at each site."""
    return cast(Tensor, torch.linalg.vector_norm(values.view(len(values), n_sites, -1), dim=(0, 2))).square()


def _priced(sparsity: Sparsity, share: float) -> Sparsity:
    """The sparsity with this share of its full price."""
    match sparsity:
        case L1() | L0():
            return replace(sparsity, strength=sparsity.strength * share)
        case _:
            return sparsity
