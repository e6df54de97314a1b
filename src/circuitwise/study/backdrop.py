"""What else fires where a circuit's features are: the pool that controls are drawn from.

Measured on the prompts that the circuit was found on. A place is a layer and a role.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from circuitwise.circuit.roles import RoleNode
from circuitwise.evidence.encoding import Fired, fired
from circuitwise.graph import Kind
from circuitwise.model.tokens import tokenize
from circuitwise.replacement import Replacement
from circuitwise.storage.jsontext import Json
from circuitwise.study.question import Question
from circuitwise.vocabulary import integers, numbers

Place = tuple[int, str]
"""A layer and a role."""


@dataclass(frozen=True, slots=True)
class Often:
    """How a feature fires at a place."""

    share: float
    """Of the prompts that have the place, those in which it fires there."""
    mean: float
    """Its mean activation where it fires; of a role that is several positions, its highest one counts."""

    @property
    def typical(self) -> float:
        """Its mean activation over all prompts that have the place, zeros included."""
        return self.share * self.mean


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backdrop:
    """What fires at some places."""

    n_prompts: int
    """Prompts that were read."""
    places: Mapping[Place, Mapping[int, Often]]
    """By place, every feature that fires there on some prompt."""

    def often(self, node: RoleNode) -> Often:
        """How a feature fires where it is."""
        return self.places.get((node.layer, node.role), {}).get(node.index, Often(0.0, 0.0))

    def firing(self, place: Place, share: float) -> list[RoleNode]:
        """The features that fire at a place on at least a share of the prompts."""
        layer, role = place
        found = self.places.get(place, {})
        return [RoleNode(Kind.FEATURE, layer, role, index) for index in sorted(found) if found[index].share >= share]

    def as_json(self) -> dict[str, Json]:
        """Everything, for a file."""
        places = [
            [*place, [[index, each.share, each.mean] for index, each in found.items()]]
            for place, found in self.places.items()
        ]
        return {"n_prompts": self.n_prompts, "places": places}


def backdrop_of(written: Mapping[str, Json]) -> Backdrop:
    """The backdrop that was written so."""
    places = cast("list[tuple[int, str, list[tuple[int, float, float]]]]", written["places"])
    found = {(layer, role): {index: Often(share, mean) for index, share, mean in rows} for layer, role, rows in places}
    return Backdrop(n_prompts=cast(int, written["n_prompts"]), places=found)


def look_around(replacement: Replacement, questions: Iterable[Question], members: Sequence[RoleNode]) -> Backdrop:
    """What fires at the places of a circuit's members, prompt by prompt."""
    asked = list(questions)
    places = {place: node for node in members for place in [(node.layer, node.role)]}
    n_there = dict.fromkeys(places, 0)
    counts: dict[Place, dict[int, tuple[int, float]]] = {place: defaultdict(lambda: (0, 0.0)) for place in places}
    tokens = [tokenize(replacement.model, question.tokens) for question in asked]
    for question, each in zip(asked, fired(replacement, tokens), strict=True):
        for place, node in places.items():
            if (at := question.positions(node)) is None:
                continue
            n_there[place] += 1
            for index, value in _strongest(each, place[0], at.positions).items():
                count, total = counts[place][index]
                counts[place][index] = count + 1, total + value
    found = {
        place: {index: Often(count / n_there[place], total / count) for index, (count, total) in sorted(own.items())}
        for place, own in counts.items()
    }
    return Backdrop(n_prompts=len(asked), places=found)


def _strongest(each: Fired, layer: int, positions: Sequence[int]) -> dict[int, float]:
    """The features of a layer that fire at some positions, each with its highest activation there."""
    here = (each.layer == layer) & torch.isin(each.pos, torch.tensor(positions, device="cpu"))
    found: dict[int, float] = {}
    for index, value in zip(integers(each.feature[here]), numbers(each.value[here]), strict=True):
        found[index] = max(value, found.get(index, value))
    return found
