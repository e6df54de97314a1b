"""What experiments act on: a circuit's strongest features one by one, its supernodes, all of it; with controls.

A control has for every member another feature of the same layer and role, drawn among those whose mean activation is
nearest.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from circuitwise.circuit.roles import RoleNode
from circuitwise.circuit.supernodes import Supernode
from circuitwise.errors import RequestError
from circuitwise.study.backdrop import Backdrop
from circuitwise.study.measurement import AimKind


@dataclass(frozen=True, slots=True, kw_only=True)
class InterventionChoice:
    """What is done, and how often."""

    features: int = 8
    """As many of the strongest features are acted on one by one."""
    supernodes: int = 2
    """As many supernodes, those with the strongest direct effect."""
    controls: int = 2
    """Random counterparts of each aim."""
    near: int = 10
    """Of as many features with the nearest activation one is drawn in a member's place."""
    inhibition: float = 1.0
    """Inhibited features are set to minus this times their activation."""
    strengths: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0)
    """Of steering, in mean activations."""
    steered: int = 2
    """As many of the strongest features are steered one by one; the circuit always is."""
    seed: int = 456
    """Governs what is drawn."""

    def __post_init__(self) -> None:
        if self.features < 1 or min(self.supernodes, self.controls, self.steered) < 0 or self.near < 1:
            raise RequestError(f"There is nothing to do with {self}. Ask for one feature at least, and no less than 0.")
        if not self.strengths or list(self.strengths) != sorted(set(self.strengths)) or self.strengths[0] <= 0:
            raise RequestError(f"The strengths {self.strengths} are not rising numbers above 0, such as 1, 2, 5, 10.")
        if self.inhibition <= 0:
            raise RequestError(f"An inhibition of {self.inhibition:g} does not inhibit. Give a number above 0.")


USUAL = InterventionChoice()
"""What is done unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Features that are acted on together."""

    label: str
    """What it is called in tables."""
    kind: AimKind
    """One feature, a supernode or the circuit."""
    members: tuple[RoleNode, ...]
    """Its features, each with its role."""
    controls: tuple[tuple[RoleNode | None, ...], ...]
    """In each, what stands for every member; None where its place has no other feature."""
    predicted: float | None = None
    """The effect of ablating it that the graphs predict: of one feature only, since those of several overlap."""

    @property
    def aligned(self) -> list[tuple[str, tuple[RoleNode | None, ...]]]:
        """The aim and its controls, named, each with something or nothing for every member."""
        return [("", self.members), *((f"feature {turn}", nodes) for turn, nodes in enumerate(self.controls, 1))]

    @property
    def arms(self) -> list[tuple[str, list[RoleNode]]]:
        """The same with what there is."""
        return [(name, [node for node in nodes if node is not None]) for name, nodes in self.aligned]


def choose_aims(
    members: Sequence[RoleNode],
    supernodes: Sequence[Supernode],
    effects: Mapping[RoleNode, float],
    backdrop: Backdrop,
    how: InterventionChoice = USUAL,
) -> tuple[Aim, ...]:
    """The aims of a circuit, strongest members first; ``effects`` are the mean effects that its graphs predict."""
    if not members:
        raise RequestError("The circuit has no feature to act on. Lower its thresholds, or give more prompts.")
    strongest = sorted(supernodes, key=lambda group: -abs(group.direct))[: how.supernodes]
    wanted: list[tuple[str, AimKind, tuple[RoleNode, ...], float | None]] = [
        ("circuit", "circuit", tuple(members), None),
        *((group.label, "supernode", group.members, None) for group in strongest),
        *((str(node), "feature", (node,), effects.get(node)) for node in members[: how.features]),
    ]
    return tuple(
        Aim(
            label=label,
            kind=kind,
            members=nodes,
            controls=_controls(nodes, set(members), backdrop, how, number),
            predicted=predicted,
        )
        for number, (label, kind, nodes, predicted) in enumerate(wanted)
    )


def _controls(
    nodes: Sequence[RoleNode], members: Collection[RoleNode], backdrop: Backdrop, how: InterventionChoice, number: int
) -> tuple[tuple[RoleNode | None, ...], ...]:
    """Random counterparts: in every one each member has another stand-in, as long as there are enough."""
    draws = np.random.default_rng([how.seed, number])
    near = _near(nodes, members, backdrop, how)
    orders = [[each[int(place)] for place in draws.permutation(len(each))] for each in near]
    found: list[tuple[RoleNode | None, ...]] = []
    for turn in range(how.controls):
        chosen: list[RoleNode | None] = []
        for order in orders:
            rotated = [order[(turn + step) % len(order)] for step in range(len(order))]
            chosen.append(next((node for node in rotated if node not in chosen), None))
        if any(chosen):
            found.append(tuple(chosen))
    return tuple(found)


def _near(
    nodes: Sequence[RoleNode], members: Collection[RoleNode], backdrop: Backdrop, how: InterventionChoice
) -> Iterator[list[RoleNode]]:
    """For every node, the other features of its place whose typical activation is nearest."""
    left_out = {*nodes, *members}
    for node in nodes:
        there = [each for each in backdrop.firing((node.layer, node.role), 0.0) if each not in left_out]
        own = backdrop.often(node).typical
        yield sorted(there, key=lambda each: (abs(backdrop.often(each).typical - own), each))[: how.near]
