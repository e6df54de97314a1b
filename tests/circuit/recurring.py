"""Graphs of many prompts: made by hand, random ones with one target, and those of planted circuits."""

from dataclasses import replace
from functools import cache
from itertools import count

import torch

from circuitwise.attribution.attribute import attribute
from circuitwise.circuit.aggregation import Aggregate, Aggregation
from circuitwise.graph import Graph
from circuitwise.planted.assembly import NOISE
from circuitwise.planted.planted import PlantedPrompt
from circuitwise.replacement import Replacement
from tests.circuit.drawn import FEATURE, TARGET, TOKEN, Link, Place, graph_of, random_graph
from tests.planted.recovery import plant

ALL = Aggregation(prune=None, frequency=0.0, activation=0.0, edge=0.0, top_edges=None)
"""Nothing is left out."""


def prompt(number: int, graph: Graph) -> Graph:
    """The same graph, as if of another prompt of that length."""
    ids = tuple(100 * number + pos for pos in range(graph.n_pos))
    return replace(graph, prompt=f"prompt {number}", token_ids=ids)


def three_prompts() -> list[Graph]:
    """F1 pushes the target by 2, then by -2, and is absent at last; F2 always by 1; F3 reads F2 once."""
    token, f1, f2 = (TOKEN, -1, 0, 7), (FEATURE, 0, 1, 1), (FEATURE, 0, 1, 2)
    f3, target = (FEATURE, 1, 1, 3), (TARGET, 3, 1, -1)
    whole: list[Place] = [token, f1, f2, f3, target]
    first: list[Link] = [(1, 0, 1.0), (2, 0, 1.0), (3, 2, 3.0), (4, 1, 2.0), (4, 2, 1.0), (4, 3, 0.5)]
    second: list[Link] = [(1, 0, 1.0), (2, 0, 1.0), (4, 1, -2.0), (4, 2, 1.0), (4, 3, 0.5)]
    graphs = [graph_of(whole, first), graph_of(whole, second)]
    graphs.append(graph_of([token, f2, target], [(1, 0, 1.0), (2, 1, 1.0)]))
    return [prompt(number, graph) for number, graph in enumerate(graphs)]


def random_prompts(n: int) -> list[Graph]:
    """Random graphs with one target; they share many nodes."""
    drawn = (random_graph(seed) for seed in count())
    chosen = (graph for graph in drawn if len(graph.targets) == 1 and len(graph.edges))
    return [prompt(number, next(chosen)) for number in range(n)]


def numbers_of(found: Aggregate) -> dict[str, int]:
    return {str(node): number for number, node in enumerate(found.nodes)}


def edges_of(found: Aggregate) -> dict[tuple[str, str], int]:
    """The number of every edge, by its target's and source's names."""
    ends = zip(found.edges.target.tolist(), found.edges.source.tolist(), strict=True)
    return {(str(found.nodes[target]), str(found.nodes[source])): at for at, (target, source) in enumerate(ends)}


def columns_of(found: Aggregate) -> list[torch.Tensor]:
    """Every column there is."""
    edges = found.edges
    signed = [
        column
        for each in (found.direct, found.effect, edges.weight)
        for column in (each.mean, each.spread, each.agreement)
    ]
    return [found.frequency, found.activation, *signed, edges.target, edges.source, edges.together, edges.frequency]


def assert_same_aggregate(found: Aggregate, expected: Aggregate) -> None:
    assert found.nodes == expected.nodes
    for one, other in zip(columns_of(found), columns_of(expected), strict=True):
        assert one.dtype == other.dtype and one.equal(other)
    for name in ("model", "transcoders", "n_layers", "n_prompts", "misfit", "positions", "how"):
        assert getattr(found, name) == getattr(expected, name), name


@cache
def planted_prompts(name: str) -> tuple[PlantedPrompt, ...]:
    """Two prompts of six held-out clusters, each text once."""
    pairs = list({pair.cluster: pair for pair in plant(name, 0.0).held_out}.values())[:6]
    prompts = [prompt for pair in pairs for prompt in (pair.clean, pair.corrupted)]
    return tuple({prompt.text: prompt for prompt in prompts}.values())


@cache
def planted_graphs(name: str) -> tuple[Graph, ...]:
    return graphs_of(plant(name, NOISE).replacement, name)


def graphs_of(replacement: Replacement, name: str) -> tuple[Graph, ...]:
    """The graphs of the planted circuit's prompts."""
    return tuple(attribute(replacement, prompt.text, targets=prompt.answer) for prompt in planted_prompts(name))
