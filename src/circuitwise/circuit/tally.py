"""Signed numbers of many prompts, added up as they come: sum, squares and signs of each item, and nothing else.

Sums carry the rest that rounding leaves (Knuth's TwoSum), so that they do not depend on the order of the prompts.
"""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

Keys = Int[Tensor, " item"]
Numbers = Float[Tensor, " item"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signed:
    """A signed number of every item over all prompts; where an item is absent it counts as zero."""

    mean: Numbers
    """The mean."""
    spread: Numbers
    """The standard deviation."""
    agreement: Numbers
    """Of the prompts in which it is not zero, the share with the sign of the majority; 0 where it is always zero."""

    def take(self, chosen: Keys) -> "Signed":
        """Some of the items, in the given order."""
        return Signed(mean=self.mean[chosen], spread=self.spread[chosen], agreement=self.agreement[chosen])


class Tally:
    """The sums of items that have a number each; they are kept in the order of these numbers."""

    def __init__(self) -> None:
        self.keys = torch.empty(0, dtype=torch.int64)
        self._sums = torch.empty(0, 4, dtype=torch.float64)  # of values and of squares, each with its rest
        self._signs = torch.empty(0, 2, dtype=torch.int32)

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, keys: Keys, values: Numbers) -> None:
        """Add one prompt: rising keys, each once, and a value for each."""
        self._make_room(keys)
        here = torch.searchsorted(self.keys, keys)
        exact = values.double()
        for column, added in ((0, exact), (2, exact.square())):
            before = self._sums[here, column]
            total = before + added
            taken = total - before
            self._sums[here, column] = total
            self._sums[here, column + 1] += (before - (total - taken)) + (added - taken)
        self._signs[here] += torch.stack([exact > 0, exact < 0], 1).int()

    @property
    def total(self) -> Numbers:
        """The sum of every item."""
        return self._sums[:, 0] + self._sums[:, 1]

    @property
    def count(self) -> Keys:
        """In how many prompts an item is not zero."""
        return self._signs.sum(1)

    def over(self, n_prompts: int) -> Signed:
        """What the items are over so many prompts."""
        mean = self.total / n_prompts
        squares = (self._sums[:, 2] + self._sums[:, 3]) / n_prompts
        majority = self._signs.amax(1).double()
        return Signed(
            mean=mean,
            spread=(squares - mean.square()).clamp(min=0).sqrt(),
            agreement=majority / self.count.clamp(min=1),
        )

    def _make_room(self, keys: Keys) -> None:
        union = sorted_distinct(torch.cat([self.keys, keys]))[0]
        if len(union) == len(self.keys):
            return
        place = torch.searchsorted(union, self.keys)
        sums = self._sums.new_zeros(len(union), self._sums.shape[1])
        signs = self._signs.new_zeros(len(union), self._signs.shape[1])
        sums[place], signs[place] = self._sums, self._signs
        self.keys, self._sums, self._signs = union, sums, signs


def sorted_distinct(values: Shaped[Tensor, " item"]) -> tuple[Shaped[Tensor, " distinct"], Int[Tensor, " item"]]:
    """The distinct values in rising order, and the place of each value among them."""
    return cast("tuple[Tensor, Tensor]", torch.unique(values, return_inverse=True))
