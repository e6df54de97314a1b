"""What a node does to the target in all: directly and through the features that read it, with its sign.

    effect[s] = edge[target, s] + sum_m edge[m, s] / value[m] * effect[m]          (m: the features that read s)

A feature that loses a part of its input passes that part less on: so it is in the frozen linear view, as long as all
features stay on. Influence (see ``influence``) knows no signs; an effect adds up over paths that disagree. The effects
of all that reads nothing, tokens, errors and the bias, add up to what the graph's edges into the target add up to.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from circuitwise.circuit.influence import read_inputs
from circuitwise.graph.graph import Graph, Kind


def direct_effects(graph: Graph) -> Float[Tensor, " node"]:
    """What every node contributes to the targets by itself."""
    edges, kind = graph.edges, graph.nodes.kind
    into = torch.where((kind == Kind.TARGET)[edges.target])[0]
    return torch.zeros(len(kind)).double().index_add_(0, edges.source[into], edges.weight[into].double())


def effects(graph: Graph) -> Float[Tensor, " node"]:
    """What every node does to the targets, directly and through features; a target does nothing."""
    edges, kind = graph.edges, graph.nodes.kind
    value = graph.nodes.value.double()
    gain = torch.where((kind == Kind.TARGET) | (value == 0), 1.0, 1 / value)
    passed = edges.weight.double() * gain[edges.target]
    inputs = read_inputs(graph, fold=False)
    own = (kind == Kind.TARGET).double()
    found = torch.zeros_like(own)
    for level in inputs.levels:
        target = inputs.target[level]
        found.index_add_(0, inputs.source[level], passed[inputs.edge[level]] * (found + own)[target])
    biased = torch.where((kind == Kind.BIAS)[edges.source])[0]
    return found.index_add_(0, edges.source[biased], passed[biased] * (found + own)[edges.target[biased]])
