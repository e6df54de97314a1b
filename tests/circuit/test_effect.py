"""Effects are those of the linear system that a graph is, and what reads nothing adds up to the target."""

import pytest
import torch

from circuitwise.attribution.attribute import attribute
from circuitwise.circuit.effect import direct_effects, effects
from circuitwise.graph import Graph, Kind
from circuitwise.targets import Difference
from tests import tiny
from tests.circuit.drawn import random_graph


def solved(graph: Graph) -> torch.Tensor:
    """The effects, from one dense system of equations."""
    n_nodes, is_target = len(graph.nodes), graph.nodes.kind == Kind.TARGET
    weight = torch.zeros(n_nodes, n_nodes, dtype=torch.float64)
    weight[graph.edges.target.long(), graph.edges.source.long()] = graph.edges.weight.double()
    passed = weight / graph.nodes.value.double()[:, None]
    passed[is_target] = 0
    return torch.linalg.solve(torch.eye(n_nodes).double() - passed.T, weight[is_target].sum(0))


@pytest.mark.parametrize("seed", range(12))
def test_effects_solve_the_linear_system(seed: int):
    graph = random_graph(seed)
    graph.nodes.value.uniform_(0.5, 2.0)
    torch.testing.assert_close(effects(graph), solved(graph), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["relu", "skip", "cross-layer"])
def test_what_reads_nothing_adds_up_to_the_target(kind: str):
    graph = attribute(tiny.tiny_replacement(kind=kind), tiny.tokens_of(5), targets=Difference(5, 9))
    started = graph.nodes.kind != Kind.FEATURE
    target = int(graph.nodes.where(Kind.TARGET)[0])
    assert len(graph.folded.mass) == 0
    assert float(effects(graph)[started].sum()) == pytest.approx(float(graph.nodes.value[target]), rel=1e-3, abs=1e-4)
    into = {source: weight for source, weight in graph.into(target)}
    direct = direct_effects(graph)
    assert all(float(direct[number]) == into.get(number, 0.0) for number in range(len(graph.nodes)))
