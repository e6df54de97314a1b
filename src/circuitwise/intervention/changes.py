"""The edits of one case, resolved: which numbers of which position are changed how.

Whatever the edit, a value ``v`` becomes

    v' = v + gain v + shift            gain = -1: v' = shift

Set and Patch have gain -1, Scale gain = factor - 1, Steer gain 0. A change is therefore exactly zero where an edit
changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from circuitwise.intervention.known import Known
from circuitwise.vocabulary import Site


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to one activation."""

    gain: float
    """How much of the value is added."""
    shift: float
    """What is added besides."""

    def after(self, earlier: "Rule | None") -> "Rule":
        """One rule for this one after another."""
        if earlier is None or self.gain == -1:
            return self
        if earlier.gain == -1:
            return Rule(-1.0, earlier.shift + self.gain * earlier.shift + self.shift)
        gain = earlier.gain + self.gain + earlier.gain * self.gain
        return Rule(gain, earlier.shift + self.shift + self.gain * earlier.shift)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SiteChange:
    """What happens to a site or to one head's part of it."""

    columns: slice
    """The part of its width."""
    pos: tuple[int, ...]
    """Positions of the prompt."""
    gain: float
    """How much of the value is added."""
    shift: Float[Tensor, "shifted width"]
    """What is added besides: one vector, or one a position."""
    follows: bool
    """Whether tokens that are generated are changed as well."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnlyChange:
    """All features but some take a reference."""

    pos: tuple[int, ...]
    """Positions of the prompt."""
    follows: bool
    """Whether tokens that are generated are changed as well."""
    kept: Mapping[int, frozenset[tuple[int, int]]]
    """By layer: (position, feature) that are left alone."""
    kept_following: Mapping[int, frozenset[int]]
    """By layer: features that are left alone in generated tokens."""
    means: Mapping[int, Float[Tensor, " feature"]] | None = None
    """By layer: the mean activations that the others take."""
    drawn: Known | None = None
    """The prompt whose activations the others take."""


@dataclass(slots=True)
class Changes:
    """All that is changed in one case."""

    features: dict[int, dict[tuple[int, int], Rule]] = field(default_factory=dict[int, dict[tuple[int, int], Rule]])
    """By layer, then (position, feature)."""
    following: dict[int, dict[int, Rule]] = field(default_factory=dict[int, dict[int, Rule]])
    """The same for generated tokens, by layer, then feature."""
    sites: dict[Site, list[SiteChange]] = field(default_factory=dict[Site, list[SiteChange]])
    """By site, in the order of the edits."""
    only: OnlyChange | None = None
    """Comes before the rules for features."""

    @property
    def reference(self) -> int:
        """What tells apart cases that cannot run together: the means that ``only`` refers to."""
        return 0 if self.only is None or self.only.means is None else id(self.only.means)

    def touches(self, layer: int) -> bool:
        """Whether features of a layer are changed in the prompt."""
        return self.only is not None or layer in self.features

    def add_rule(self, layer: int, pos: int, feature: int, rule: Rule) -> None:
        """One more edit of an activation."""
        here = self.features.setdefault(layer, {})
        here[pos, feature] = rule.after(here.get((pos, feature)))

    def add_following(self, layer: int, feature: int, rule: Rule) -> None:
        """One more edit of a feature in all tokens that are generated."""
        here = self.following.setdefault(layer, {})
        here[feature] = rule.after(here.get(feature))


def change_site(site: Float[Tensor, "pos width"], changes: Sequence[SiteChange], offset: int = 0) -> None:
    """Change one prompt's site in place; position p stands in row ``offset + p``, and what has no row is left out."""
    for change in changes:
        chosen = [place for place, pos in enumerate(change.pos) if 0 <= offset + pos < len(site)]
        rows = torch.tensor([offset + change.pos[place] for place in chosen], device=site.device, dtype=torch.long)
        shift = change.shift if len(change.shift) == 1 else change.shift[chosen]
        site[rows, change.columns] = _changed(site[rows, change.columns], change.gain, shift)


def change_following(site: Float[Tensor, "pos width"], changes: Sequence[SiteChange]) -> None:
    """Change generated tokens in place."""
    for change in changes:
        if change.follows:
            site[:, change.columns] = _changed(site[:, change.columns], change.gain, change.shift[:1])


def _changed(value: Tensor, gain: float, shift: Tensor) -> Tensor:
    shift = shift.to(value)
    return shift.expand_as(value) if gain == -1 else value + gain * value + shift
