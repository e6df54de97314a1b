"""Graphs for the page's script: a circuit over all prompts, and what led to the answer on single ones.

A network has columns (roles or tokens), nodes and edges. What an edge carries says which ones matter to the answer:

    share   = |weight| / sum of |weights| into the same target, biases aside
    carried = share * |effect of the target on the answer|;  into the answer itself: |weight|

The bias has no place in a prompt and is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import torch

from circuitwise.circuit.aggregation import MeanEdges
from circuitwise.circuit.effect import effects
from circuitwise.circuit.prune import Circuit, prune
from circuitwise.circuit.roles import RoleNode
from circuitwise.features import Survey
from circuitwise.features.labels import readable
from circuitwise.features.profile import Context, Profile
from circuitwise.graph import Edges, Graph, Kind
from circuitwise.storage import Json
from circuitwise.study.circuits import BehaviourCircuit
from circuitwise.study.effects import Effect
from circuitwise.vocabulary import Feature, integers, numbers

MOST_FEATURES, MOST_ERRORS = 160, 40
"""Nodes of a circuit that are drawn: those with the strongest effects."""
MOST_OF_PROMPT, MOST_ERRORS_OF_PROMPT = 60, 20
"""The same of one prompt's graph."""
MOST_EDGES, MOST_EDGES_OF_PROMPT = 2000, 500
"""Edges of a circuit and of a prompt's graph that are drawn: those that carry most."""
CONTEXTS = 4
"""Pieces of text that are shown for a feature."""
TINY = 1e-30
"""Less than any input; what reads nothing has no share of it."""
DIGITS = 4
"""Significant digits of numbers that are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A graph that can be drawn."""

    columns: tuple[str, ...]
    """What stands below each column."""
    axis: str
    """What the columns are."""
    nodes: Sequence[Mapping[str, Json]]
    """What is known of each node that is drawn."""
    edges: Sequence[tuple[int, int, float, float, float]]
    """Target, source, weight, share, what it carries in nats; what carries most comes first."""
    n_features: int
    """How many features the graph has, drawn or not."""
    n_edges: int
    """How many edges, drawn or not."""

    @property
    def n_drawn(self) -> int:
        """How many features are drawn."""
        return sum(node["kind"] == "feature" for node in self.nodes)

    def as_json(self) -> dict[str, Json]:
        """What the script reads."""
        return {"columns": self.columns, "axis": self.axis, "nodes": list(self.nodes), "edges": list(self.edges)}


def circuit_network(circuit: BehaviourCircuit, done: Sequence[Effect] = (), survey: Survey | None = None) -> Network:
    """A behaviour's circuit, with what ablating its features one by one did."""
    found, members = circuit.aggregate, circuit.members
    measured = {each.aim: each for each in done if (each.intervention_type, each.kind) == ("ablation_zero", "feature")}
    groups = {node: place for place, group in enumerate(circuit.supernodes) for node in group.members}
    kept = _chosen([node.kind for node in found.nodes], found.effect.mean, MOST_FEATURES, MOST_ERRORS)
    columns = sorted({found.nodes[number].role for number in kept} - {""}, key=role_order)
    if any(not found.nodes[number].role and found.nodes[number].kind != Kind.TARGET for number in kept):
        columns.append("")
    nodes: list[dict[str, Json]] = []
    for number in kept:
        node = found.nodes[number]
        told: dict[str, Json] = {
            "name": str(node),
            "kind": node.kind.name.lower(),
            "layer": node.layer,
            "column": len(columns) - 1 if node.kind == Kind.TARGET else columns.index(node.role),
            "effect": _short(found.effect.mean[number]),
            "spread": _short(found.effect.spread[number]),
            "agreement": _short(found.effect.agreement[number]),
            "direct": _short(found.direct.mean[number]),
            "frequency": _short(found.frequency[number]),
            "activation": _short(found.activation[number]),
        }
        if node in members:
            told["rank"] = members.index(node) + 1
        if node in groups:
            told["group"] = groups[node]
        if node.feature is not None:
            told |= _measured(measured.get(str(node))) | _known(node.feature, survey)
        nodes.append(told)
    edges = _edges(found.edges, [node.kind for node in found.nodes], found.effect.mean, kept)
    return Network(
        columns=tuple(columns),
        axis="position, counted from the end" if found.positions == "from end" else "role",
        nodes=nodes,
        edges=edges[:MOST_EDGES],
        n_features=sum(node.kind == Kind.FEATURE for node in found.nodes),
        n_edges=len(found.edges),
    )


def prompt_network(graph: Graph, members: Sequence[RoleNode] = (), survey: Survey | None = None) -> Network:
    """One prompt's graph, pruned; what belongs to the behaviour's circuit says so."""
    circuit = prune(graph)
    return _prompt(circuit.graph, effects(graph)[circuit.origin], members, survey)


def pruned_network(circuit: Circuit) -> Network:
    """A graph that was pruned before; effects are those of what was kept."""
    return _prompt(circuit.graph, effects(circuit.graph))


def _prompt(
    part: Graph, total: torch.Tensor, members: Sequence[RoleNode] = (), survey: Survey | None = None
) -> Network:
    """A pruned graph with the effects of its nodes."""
    inside = {(node.feature, node.role) for node in members}
    kinds = [Kind(kind) for kind in integers(part.nodes.kind)]
    kept = _chosen(kinds, total, MOST_OF_PROMPT, MOST_ERRORS_OF_PROMPT)
    nodes: list[dict[str, Json]] = []
    for number in kept:
        node = part.nodes[number]
        told: dict[str, Json] = {
            "name": part.name(number),
            "kind": node.kind.name.lower(),
            "layer": node.layer,
            "column": node.pos if node.pos >= 0 else part.n_pos - 1,
            "effect": _short(total[number]),
            "activation": _short(part.nodes.value[number]),
        }
        if node.kind == Kind.FEATURE and node.index >= 0:
            feature = Feature(node.layer, node.index)
            role = str(node.pos - part.n_pos)
            if not inside.isdisjoint({(feature, role), (feature, "")}):
                told["member"] = True
            if survey is not None:
                told["label"] = survey.labels([feature]).get(feature, "")
        nodes.append(told)
    edges = _edges(part.edges, kinds, total, kept)
    return Network(
        columns=tuple(readable(token) for token in part.tokens),
        axis="token",
        nodes=nodes,
        edges=edges[:MOST_EDGES_OF_PROMPT],
        n_features=sum(kind == Kind.FEATURE for kind in kinds),
        n_edges=len(part.edges),
    )


def _chosen(kinds: Sequence[Kind], effect: torch.Tensor, most_features: int, most_errors: int) -> list[int]:
    """The numbers of the nodes that are drawn, in rising order."""
    limits = {Kind.FEATURE: most_features, Kind.ERROR: most_errors, Kind.BIAS: 0}
    strength = effect.abs()
    kept: list[int] = []
    for kind in Kind:
        own = [number for number, each in enumerate(kinds) if each == kind]
        order = strength[own].argsort(descending=True, stable=True)
        kept += [own[place] for place in integers(order)[: limits.get(kind)]]
    return sorted(kept)


def _edges(
    edges: Edges | MeanEdges, kinds: Sequence[Kind], effect: torch.Tensor, kept: Sequence[int]
) -> list[tuple[int, int, float, float, float]]:
    """The edges among the nodes that are drawn, by their places there."""
    place = {number: at for at, number in enumerate(kept)}
    target, source = edges.target.long(), edges.source.long()
    weight = (edges.weight if isinstance(edges, Edges) else edges.weight.mean).double()
    size = weight.abs() * torch.tensor([kind != Kind.BIAS for kind in kinds])[source]
    share = size / torch.zeros(len(kinds)).double().index_add_(0, target, size)[target].clamp(min=TINY)
    answer = torch.tensor([kind == Kind.TARGET for kind in kinds])[target]
    carried = torch.where(answer, size, share * effect.double().abs()[target])
    rows = zip(integers(target), integers(source), numbers(weight), numbers(share), numbers(carried), strict=True)
    found = [
        (place[end], place[start], _short(own), _short(part), _short(through))
        for end, start, own, part, through in rows
        if {end, start} <= place.keys()
    ]
    return sorted(found, key=lambda edge: (-edge[4], edge[:2]))


def _measured(effect: Effect | None) -> dict[str, Json]:
    """What ablating a feature alone did."""
    if effect is None:
        return {}
    value = effect.effect
    bounds = (_short(bound) if isfinite(bound) else None for bound in (value.low, value.high))
    return {"measured": [_short(value.estimate), *bounds]}


def _known(feature: Feature, survey: Survey | None) -> dict[str, Json]:
    """A feature's label, tokens and contexts."""
    if survey is None or feature.layer not in survey.layers:
        return {}
    profile = survey.profile(feature)
    return {
        "label": profile.label.text,
        "promoted": [readable(token.text) for token in profile.promoted],
        "suppressed": [readable(token.text) for token in profile.suppressed],
        "contexts": [_context(context, profile) for context in profile.strongest[:CONTEXTS]],
    }


def _context(context: Context, profile: Profile) -> Json:
    """Its tokens, each with how strongly it is shaded, in percent."""
    most = profile.maximum or 1.0
    pairs = zip(context.tokens, context.activations, strict=True)
    return [[readable(token.text), round(100 * max(0.0, value) / most)] for token, value in pairs]


def _short(value: torch.Tensor | float) -> float:
    """A number with as many digits as are shown."""
    return float(f"{float(value):.{DIGITS}g}")


def role_order(role: str) -> tuple[int, str]:
    """Roles from left to right: those that count from the end by number, others by name."""
    return (int(role), "") if role.removeprefix("-").isdigit() else (0, role)
