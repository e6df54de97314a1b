"""What is known of a prompt before anything is changed: its pass, its sites, the features that fire."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitwise.dictionaries.dictionary import Dictionary, Firing
from circuitwise.model.forward import Pass, run
from circuitwise.model.model import Model
from circuitwise.model.tokens import n_excluded, pad
from circuitwise.vocabulary import AnyTokens, Site, Tokens, integers, numbers


@dataclass(frozen=True, slots=True, eq=False)
class Keyed:
    """Values by key; what has no key is zero."""

    keys: Int[Tensor, " entry"]
    """Ascending."""
    values: Float[Tensor, " entry"]
    """One a key."""

    def find(self, keys: Int[Tensor, " wanted"]) -> Float[Tensor, " wanted"]:
        """The values of some keys."""
        if not len(self.keys):
            return self.values.new_zeros(len(keys))
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[place] == keys, self.values[place], 0.0)


def distinct(keys: Int[Tensor, " key"]) -> tuple[Tensor, Tensor]:
    """The keys without repetition, ascending, and the place of each given key among them."""
    return cast("tuple[Tensor, Tensor]", keys.unique(return_inverse=True))


def contains(sorted_keys: Int[Tensor, " entry"], keys: Int[Tensor, " wanted"]) -> Tensor:
    """Which of the keys are among those that are sorted."""
    if not len(sorted_keys):
        return torch.zeros_like(keys, dtype=torch.bool)
    place = torch.searchsorted(sorted_keys, keys).clamp(max=len(sorted_keys) - 1)
    return sorted_keys[place] == keys


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """One prompt's own pass."""

    tokens: Tokens
    """The prompt."""
    n_excluded: int
    """Leading positions that hold no features."""
    logits: Float[Tensor, " vocab"]
    """At the last position."""
    kept: Pass
    """The pass, which may hold other prompts besides."""
    row: int
    """Which of its rows is this prompt."""
    firings: dict[int, Firing] = field(default_factory=dict[int, Firing])
    """By layer, as far as somebody asked."""
    keyed: dict[int, Keyed] = field(default_factory=dict[int, Keyed])
    """The same by key."""
    amounts: dict[int, dict[int, float]] = field(default_factory=dict[int, dict[int, float]])
    """The same, for single values."""

    @property
    def n_pos(self) -> int:
        """The length of the prompt."""
        return len(self.tokens)

    def site(self, site: Site) -> Float[Tensor, "pos width"]:
        """A site that was read."""
        return self.kept.sites[site][self.row, : self.n_pos]

    def firing(self, dictionary: Dictionary) -> Firing:
        """The features of a dictionary that fire, excluded positions left out."""
        if dictionary.layer not in self.firings:
            firing = dictionary.encode(self.site(dictionary.read).float())
            keep = firing.pos >= self.n_excluded
            self.firings[dictionary.layer] = Firing(
                pos=firing.pos[keep], feature=firing.feature[keep], value=firing.value[keep]
            )
        return self.firings[dictionary.layer]

    def activations(self, dictionary: Dictionary) -> Keyed:
        """The activations by ``position x features + feature``."""
        if dictionary.layer not in self.keyed:
            firing = self.firing(dictionary)
            self.keyed[dictionary.layer] = Keyed(firing.pos * dictionary.n_features + firing.feature, firing.value)
        return self.keyed[dictionary.layer]

    def amount(self, dictionary: Dictionary, pos: int, feature: int) -> float:
        """One activation."""
        if dictionary.layer not in self.amounts:
            found = self.activations(dictionary)
            pairs = zip(integers(found.keys), numbers(found.values), strict=True)
            self.amounts[dictionary.layer] = dict(pairs)
        return self.amounts[dictionary.layer].get(pos * dictionary.n_features + feature, 0.0)


def learn(model: Model, prompts: Sequence[AnyTokens], read: Collection[Site], *, keep_calls: bool) -> list[Known]:
    """One pass over several prompts; its calls are kept where edited copies shall go on from it."""
    seen = run(model, pad(prompts), read=read, keep_calls=keep_calls)
    kept = replace(seen, logits=seen.logits.float())
    return [
        Known(
            tokens=tokens,
            n_excluded=n_excluded(model, tokens),
            logits=kept.logits[row, 0],
            kept=kept,
            row=row,
        )
        for row, tokens in enumerate(prompts)
    ]
