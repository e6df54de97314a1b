"""Which pieces of text are kept for each feature, while a text streams by.

Two kinds, both at most one a sequence, so that no two show the same sentence:

- the strongest: where the feature fires most; of equal ones the earlier
- a sample: every firing draws a number, and the largest are kept. A sequence is kept the more likely the more often
  the feature fires in it, and within it every firing is equally likely. The numbers are a hash of seed, feature and
  place in the text, so neither the batch nor the machine decides
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitwise.errors import RequestError
from circuitwise.vocabulary import Indices, Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """What is kept of a text for each feature."""

    strongest: int = 10
    """Contexts in which it fires most strongly."""
    sampled: int = 20
    """Contexts drawn from all in which it fires; by strength they fall into five quintiles."""
    before: int = 11
    """Tokens of a context before the one that fires."""
    after: int = 4
    """Tokens after it."""
    tokens: int = 6
    """Tokens that it promotes, and as many that it suppresses."""
    seed: int = 0
    """Governs the sample."""

    def __post_init__(self) -> None:
        if self.strongest < 1 or min(self.sampled, self.before, self.after) < 0 or self.tokens < 1:
            raise RequestError(f"At least one strongest context and one token are kept, and nothing negative: {self}.")

    @property
    def length(self) -> int:
        """Tokens of a context."""
        return self.before + 1 + self.after


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contexts:
    """Contexts of all features of a layer, best first; where there are fewer, -1 and 0 stand in."""

    sequence: Int[Tensor, "feature example"]
    """In which sequence of the text."""
    pos: Int[Tensor, "feature example"]
    """Where in it the feature fires."""
    window: Float[Tensor, "feature example window"]
    """Its activations on the tokens of the context; 0 where it does not fire."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fired:
    """What fired on some sequences, ordered by sequence, position, feature."""

    sequence: Indices
    """Which of them, counted from 0."""
    pos: Indices
    """Where in it."""
    feature: Indices
    """Which feature."""
    value: Values
    """How strongly."""
    n_sequences: int
    """How many sequences there were."""
    n_pos: int
    """The length of each."""


def window_start(pos: Tensor, how: Examples, n_pos: int) -> Tensor:
    """Where the context of a position begins: it is moved inwards at both ends of the sequence."""
    return (pos - how.before).clamp(max=max(0, n_pos - how.length)).clamp(min=0)


class Best:
    """The contexts with the largest keys, one a sequence at most."""

    def __init__(self, n_features: int, n: int, how: Examples, n_pos: int, device: torch.device) -> None:
        """Room for ``n`` contexts of each feature."""
        self.how, self.n_features = how, n_features
        width = min(how.length, n_pos)
        self.key = torch.full((n_features, n), -1.0, dtype=torch.float64, device=device)
        self.sequence = torch.full((n_features, n), -1, dtype=torch.int32, device=device)
        self.pos = torch.full((n_features, n), -1, dtype=torch.int32, device=device)
        self.window = torch.zeros(n_features, n, width, device=device)

    def add(self, fired: Fired, key: Float[Tensor, " active"], first: int) -> None:
        """Take in what fired; its sequences are numbered from ``first``. Rows without a better key are not touched."""
        n = self.key.shape[1]
        if not n:
            return
        top, pos = self._best_of_each_sequence(fired, key)
        better = top > self.key[:, -1:]
        rows = torch.where(better.any(1))[0]
        if not len(rows):
            return
        fresh = torch.arange(first, first + fired.n_sequences, dtype=torch.int32, device=rows.device)
        keys = torch.cat([self.key[rows], torch.where(better, top, -1.0)[rows]], 1)
        keys, slot = keys.sort(dim=1, descending=True, stable=True)  # of equal ones, the earlier stays in front
        keys, slot = keys[:, :n], slot[:, :n]
        self.key[rows] = keys
        self.sequence[rows] = torch.cat([self.sequence[rows], fresh.expand(len(rows), -1)], 1).gather(1, slot)
        self.pos[rows] = torch.cat([self.pos[rows], pos[rows].int()], 1).gather(1, slot)
        old = self.window[rows].gather(1, slot.clamp(max=n - 1)[..., None].expand(-1, -1, self.window.shape[2]))
        row, place = torch.where((slot >= n) & (keys >= 0))
        old[row, place] = self._windows(fired, rows[row], slot[row, place] - n, self.pos[rows[row], place])
        self.window[rows] = old

    def contexts(self) -> Contexts:
        """What was kept."""
        missing = self.key < 0
        return Contexts(
            sequence=self.sequence.masked_fill(missing, -1).cpu(),
            pos=self.pos.masked_fill(missing, -1).cpu(),
            window=self.window.masked_fill(missing[..., None], 0).cpu(),
        )

    def _best_of_each_sequence(self, fired: Fired, key: Tensor) -> tuple[Tensor, Tensor]:
        """For every feature and sequence the largest key, or -1, and the first position that has it."""
        n = fired.n_sequences
        place = fired.feature * n + fired.sequence
        top = torch.full((self.n_features * n,), -1.0, dtype=torch.float64, device=key.device)
        top.scatter_reduce_(0, place, key, "amax")
        is_top = key == top[place]
        pos = torch.full_like(top, fired.n_pos, dtype=torch.long)
        pos.scatter_reduce_(0, place[is_top], fired.pos[is_top], "amin")
        return top.view(-1, n), pos.view(-1, n)

    def _windows(self, fired: Fired, feature: Tensor, sequence: Tensor, pos: Tensor) -> Float[Tensor, "new window"]:
        """The activations of features around positions."""
        start = window_start(pos.long(), self.how, fired.n_pos)
        offset = torch.arange(self.window.shape[2], device=pos.device)
        wanted = ((sequence * fired.n_pos + start)[:, None] + offset) * self.n_features + feature[:, None]
        there = (fired.sequence * fired.n_pos + fired.pos) * self.n_features + fired.feature
        at = torch.searchsorted(there, wanted).clamp(max=max(0, len(there) - 1))
        return torch.where(there[at] == wanted, fired.value[at], 0.0)


def priorities(fired: Fired, first: int, stream: int) -> Float[Tensor, " active"]:
    """A number in [0, 2^53) for every firing, evenly spread: a hash of its place in the text and ``stream``."""
    mixed = (
        (fired.sequence + first) * fired.n_pos + fired.pos
    ) * -7046029254386353131 + stream * 6364136223846793005 % 2**62
    mixed = _scatter(_scatter(mixed) + (fired.feature + 1) * -4417276706812531889)
    return ((mixed >> 11) & (2**53 - 1)).double()


def _scatter(number: Tensor) -> Tensor:
    """A reversible mix of 64 bits (the finaliser of splitmix64)."""
    number = (number ^ _shifted(number, 30)) * -4658895280553007687
    number = (number ^ _shifted(number, 27)) * -7723592293110705685
    return number ^ _shifted(number, 31)


def _shifted(number: Tensor, n: int) -> Tensor:
    """A shift to the right that fills with zeros."""
    return (number >> n) & ((1 << (64 - n)) - 1)
