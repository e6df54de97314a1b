"""How alike two graphs are: whether the same nodes matter as much and read each other as strongly.

Nodes are the same if kind, layer, position and number agree (and the label, for targets). ``by="feature"`` leaves the
position out and adds up what a feature, token or error does at all of its positions, so that prompts of any length can
be compared. What one graph lacks counts as zero there. The bias takes no part.

    weighted Jaccard = sum min(a, b) / sum max(a, b)        an edge that changed its sign has no overlap

Shares and influence are folded (see ``influence``), so that a graph with a smaller budget looks like a part of the
larger one and not like another graph. What is equal to the last bit compares as exactly 1.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitwise.circuit.influence import Inputs, read_inputs
from circuitwise.circuit.tally import sorted_distinct
from circuitwise.errors import RequestError
from circuitwise.graph.graph import Graph, Kind
from circuitwise.vocabulary import integers

By = Literal["node", "feature"]
"""Node by node, position for position; or feature by feature, wherever it fires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Where influence on the targets starts: 1 is all that starts in tokens and errors; nan where nothing does."""

    tokens: float
    """The part that starts in tokens."""
    errors: float
    """The part that starts in errors, features without a node included."""
    direct: float
    """The part of both that goes straight to a target, through no feature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How alike two graphs are: 1 for the same, 0 for nothing in common."""

    by: By
    """What was matched with what."""
    shared_nodes: int
    """How many nodes (or features, errors, tokens) matter in both."""
    only_a: int
    """How many matter in the first only."""
    only_b: int
    """How many matter in the second only."""
    node_jaccard: float
    """The overlap of influence."""
    edge_jaccard: float
    """The overlap of signed shares."""
    edge_cosine: float
    """The cosine between the lists of weights."""
    rank_correlation: float
    """Spearman's, of the influence of the shared nodes; 0 where fewer than two are shared."""
    a: Origins
    """Where the first graph's influence starts."""
    b: Origins
    """Where the second's does."""


def compare(a: Graph, b: Graph, *, by: By = "node") -> Comparison:
    """How alike two graphs are, node by node or feature by feature."""
    _check_comparable(a, b, by)
    names: dict[tuple[int | str, ...], int] = {}
    first, second = _Side.of(a, by, names), _Side.of(b, by, names)
    n_names = len(names)
    influence = [torch.zeros(n_names).double().index_add_(0, side.name, side.influence) for side in (first, second)]
    shared = (influence[0] > 0) & (influence[1] > 0)
    keys, place = sorted_distinct(torch.cat([first.edge_keys(n_names), second.edge_keys(n_names)]))
    places = (place[: len(first.share)], place[len(first.share) :])
    sums = [torch.zeros(len(keys), 2).double() for _ in places]
    for total, here, side in zip(sums, places, (first, second), strict=True):
        total.index_add_(0, here, torch.stack([side.share, side.weight], 1))
    return Comparison(
        by=by,
        shared_nodes=int(shared.sum()),
        only_a=int(((influence[0] > 0) & ~shared).sum()),
        only_b=int(((influence[1] > 0) & ~shared).sum()),
        node_jaccard=_jaccard(*influence),
        edge_jaccard=_jaccard(sums[0][:, 0], sums[1][:, 0]),
        edge_cosine=_cosine(sums[0][:, 1], sums[1][:, 1]),
        rank_correlation=_rank_correlation(influence[0][shared], influence[1][shared]),
        a=first.origins,
        b=second.origins,
    )


def _check_comparable(a: Graph, b: Graph, by: By) -> None:
    if a.n_layers != b.n_layers:
        raise RequestError(
            f"The graphs come from models with {a.n_layers} and {b.n_layers} layers; their features have nothing to do "
            f"with each other. Compare graphs of the same model, or of its checkpoints."
        )
    if by == "node" and a.n_pos != b.n_pos:
        raise RequestError(
            f"The prompts have {a.n_pos} and {b.n_pos} tokens, so their positions do not correspond. Compare by "
            f"“feature”, which leaves positions out, or take prompts of equal length."
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Side:
    """One of two graphs, in names that both have."""

    name: Int[Tensor, " node"]
    """Each node's name, as a number."""
    influence: Float[Tensor, " node"]
    """Its influence."""
    target: Int[Tensor, " edge"]
    """The name of each edge's target; edges from the bias are left out."""
    source: Int[Tensor, " edge"]
    """The name of its source."""
    share: Float[Tensor, " edge"]
    """Its share, signed."""
    weight: Float[Tensor, " edge"]
    """Its weight."""
    origins: Origins
    """Where the influence starts."""

    @classmethod
    def of(cls, graph: Graph, by: By, names: dict[tuple[int | str, ...], int]) -> "_Side":
        name = torch.tensor([names.setdefault(key, len(names)) for key in _keys(graph, by)])
        inputs = read_inputs(graph, fold=True)
        share = inputs.shares(inputs.size)
        influence = inputs.sweep(share)
        own = inputs.edge >= 0
        weight = graph.edges.weight[inputs.edge[own]].double()
        return cls(
            name=name,
            influence=influence,
            target=name[inputs.target[own]],
            source=name[inputs.source[own]],
            share=share[own] * weight.sign(),
            weight=weight,
            origins=_origins(graph, inputs, share, influence),
        )

    def edge_keys(self, n_names: int) -> Int[Tensor, " edge"]:
        """One number for each pair of names."""
        return self.target * n_names + self.source


def _keys(graph: Graph, by: By) -> list[tuple[int | str, ...]]:
    nodes = graph.nodes
    pos = nodes.pos if by == "node" else torch.zeros_like(nodes.pos)
    columns = [integers(column) for column in (nodes.kind, nodes.layer, pos, nodes.index)]
    keys: list[tuple[int | str, ...]] = list(zip(*columns, strict=True))
    for number, label in zip(integers(nodes.where(Kind.TARGET)), graph.targets, strict=True):
        keys[number] = (*keys[number], label.text)
    return keys


def _origins(
    graph: Graph, inputs: Inputs, share: Float[Tensor, " input"], influence: Float[Tensor, " node"]
) -> Origins:
    kind = graph.nodes.kind
    token, error = kind == Kind.TOKEN, kind == Kind.ERROR
    straight = share * inputs.weight[inputs.target] * (token | error)[inputs.source]
    tokens, errors = influence[token].sum(), influence[error].sum()
    total = tokens + errors
    return Origins(tokens=float(tokens / total), errors=float(errors / total), direct=float(straight.sum() / total))


def _jaccard(a: Float[Tensor, " item"], b: Float[Tensor, " item"]) -> float:
    """Weighted Jaccard of two signed lists."""
    if bool(a.equal(b)):
        return 1.0
    overlap = float((a.abs().minimum(b.abs()) * (a.sign() == b.sign())).sum())
    return overlap / (float(a.abs().sum()) + float(b.abs().sum()) - overlap)


def _cosine(a: Float[Tensor, " item"], b: Float[Tensor, " item"]) -> float:
    if bool(a.equal(b)):
        return 1.0
    sizes = (float(a @ a) * float(b @ b)) ** 0.5
    return float(a @ b) / sizes if sizes else 0.0


def _rank_correlation(a: Float[Tensor, " item"], b: Float[Tensor, " item"]) -> float:
    if len(a) < 2:
        return float(len(a) == len(b) == 1 and bool(a.equal(b)))
    first, second = _ranks(a), _ranks(b)
    return _cosine(first - first.mean(), second - second.mean())


def _ranks(values: Float[Tensor, " item"]) -> Float[Tensor, " item"]:
    """Each value's rank; equal values share the mean of theirs."""
    place = sorted_distinct(values)[1]
    count = torch.bincount(place)
    return (count.cumsum(0).double() - (count - 1) / 2)[place]
