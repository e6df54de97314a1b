"""Supernodes: features of an aggregate that read the same, write the same and push the target the same way.

A feature's profile has two parts, each of length one: the mean weights of the edges into it, and those of the edges out
of it, its direct effect on the target among them. Both keep their signs; biases are left out.

    likeness(a, b) = (in_a . in_b + out_a . out_b) / 2          1: copies, up to their size; 0 or less: unrelated

Features join as long as every two of a group are alike enough, few enough layers apart and of one sign of effect
(complete linkage): a group never drifts from its first member to something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitwise.circuit.aggregation import Aggregate
from circuitwise.circuit.roles import RoleNode
from circuitwise.errors import RequestError
from circuitwise.graph.graph import Kind
from circuitwise.vocabulary import Feature, integers

if TYPE_CHECKING:
    import numpy as np

NAMED = 3
"""As many members stand in a name that nobody gave."""
ROUNDING = 1e-6
"""Copies are this much less alike than 1, at most."""
_NEVER = 4.0
"""A distance that is larger than any between profiles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping:
    """When features are one supernode."""

    likeness: float = 0.8
    """How alike every two members are, at least."""
    span: int = 3
    """How many layers they are apart, at most."""
    at_most: int = 2000
    """As many features are compared, those with the strongest effects: each with each."""

    def __post_init__(self) -> None:
        if not 0 < self.likeness <= 1:
            raise RequestError(f"Likeness goes from 0 (unrelated) to 1 (copies); {self.likeness} is not above 0 to 1.")
        if self.span < 0 or self.at_most < 2:
            raise RequestError(
                f"A span of {self.span} layers among {self.at_most} features groups nothing: give a span from 0 and "
                f"two features at least."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Supernode:
    """Features that play one part."""

    label: str
    """What it is called."""
    members: tuple[RoleNode, ...]
    """Its features, in rising order."""
    sign: int
    """Whether its members speak for the target (1), against it (-1) or neither (0)."""
    direct: float
    """What its members contribute to the target by themselves, added up; zero in prompts without them."""


def supernodes(
    of: Aggregate, how: Grouping = Grouping(), *, labels: Mapping[Feature, str] | None = None
) -> tuple[Supernode, ...]:
    """Groups of two features or more, the largest first; what belongs to no group is left out."""
    chosen = set(of.strongest(how.at_most))
    numbers = [number for number, node in enumerate(of.nodes) if node in chosen]
    if len(numbers) < 2:
        return ()
    groups: dict[int, list[int]] = {}
    for number, group in zip(numbers, _groups(of, torch.tensor(numbers), how), strict=True):
        groups.setdefault(group, []).append(number)
    found = [_supernode(of, members, labels or {}) for members in groups.values() if len(members) > 1]
    return tuple(sorted(found, key=lambda group: (-len(group.members), group.members)))


def likeness(of: Aggregate, features: Int[Tensor, " feature"]) -> Float[Tensor, "feature feature"]:
    """How alike every two features are, given the numbers of their nodes."""
    read, written = (_units(part) for part in _profiles(of, features))
    return (read @ read.T + written @ written.T) / 2


def _profiles(of: Aggregate, features: Int[Tensor, " feature"]) -> tuple[Tensor, Tensor]:
    """What features read and what they write, one row a feature."""
    edges, weight = of.edges, of.edges.weight.mean
    row = torch.full((len(of.nodes),), -1)
    row[features] = torch.arange(len(features))
    biased = torch.tensor([node.kind == Kind.BIAS for node in of.nodes])[edges.source]
    reading, writing = torch.where((row[edges.target] >= 0) & ~biased)[0], torch.where(row[edges.source] >= 0)[0]
    read, written = torch.zeros(2, len(features), len(of.nodes)).double()
    read[row[edges.target[reading]], edges.source[reading]] = weight[reading]
    written[row[edges.source[writing]], edges.target[writing]] = weight[writing]
    target = next(number for number, node in enumerate(of.nodes) if node.kind == Kind.TARGET)
    written[:, target] = of.direct.mean[features]
    return read, written


def _units(rows: Float[Tensor, "feature column"]) -> Float[Tensor, "feature column"]:
    """Each row at length one; zero stays zero."""
    return torch.nn.functional.normalize(rows, dim=1)


def _groups(of: Aggregate, numbers: Int[Tensor, " feature"], how: Grouping) -> list[int]:
    """The group of every feature."""
    from scipy.cluster import hierarchy  # takes a while to import: only where features are grouped
    from scipy.spatial import distance

    layer = torch.tensor([of.nodes[number].layer for number in integers(numbers)])
    sign = of.effect.mean[numbers].sign()
    apart = ((layer[:, None] - layer).abs() > how.span) | (sign[:, None] != sign)
    distances = (1 - likeness(of, numbers)).clamp(min=0).masked_fill(apart, _NEVER)
    distances.fill_diagonal_(0)
    joined = cast("np.ndarray", hierarchy.linkage(distance.squareform(distances.numpy(), checks=False), "complete"))
    return [int(group) for group in hierarchy.fcluster(joined, 1 - how.likeness + ROUNDING, "distance")]


def _supernode(of: Aggregate, numbers: list[int], labels: Mapping[Feature, str]) -> Supernode:
    members = tuple(of.nodes[number] for number in numbers)
    own = [labels.get(member.feature, "") for member in members if member.feature is not None]
    names = list(dict.fromkeys(filter(None, own))) or [str(member) for member in members]
    return Supernode(
        label=", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else ""),
        members=members,
        sign=int(of.effect.mean[numbers[0]].sign()),
        direct=float(of.direct.mean[numbers].sum()),
    )
