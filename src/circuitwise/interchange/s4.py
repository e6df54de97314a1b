"""Graphs in the layout of the behaviour studies (acceptance rows S4-32 and S4-34), for networkx and as plain JSON.

    attribution_graphs/{behaviour}/attribution_graph_{split}.json      {nodes, edges, metadata}
    attribution_graphs/{behaviour}/attribution_graph_{split}.graphml

One prompt: tokens are ``input_{pos}``, features ``L{layer}_F{index}@{pos}``, errors ``L{layer}_error@{pos}``, targets
``output_…``. For many prompts, see ``circuit.aggregate``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from circuitwise.circuit.influence import influence
from circuitwise.errors import ArtifactError, RequestError
from circuitwise.graph.graph import FOREIGN, Graph, Kind
from circuitwise.graph.tables import write_network
from circuitwise.interchange.jsonfile import write_value
from circuitwise.interchange.validation import ADDRESS
from circuitwise.vocabulary import integers, numbers

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True, slots=True, kw_only=True)
class S4:
    """What of a graph is shown."""

    threshold: float = 0.0
    """Edges whose absolute weight is smaller are left out."""
    top: int | None = None
    """As many features of a prompt, the most influential ones; None: all."""
    outputs: tuple[str, ...] = ()
    """The targets' names in their order, such as ``output_correct``, ``output_incorrect``; else ``output_0``, ...."""


def s4_network(graph: Graph, how: S4 = S4()) -> "networkx.DiGraph[str]":
    """The graph of one prompt: nodes by name, edges from source to target."""
    import networkx

    network: networkx.DiGraph[str] = networkx.DiGraph(
        model=graph.model, transcoders=graph.transcoders, threshold=how.threshold, prompt=graph.prompt, n_prompts=1
    )
    names = _names(graph, how)
    values, places, layers = numbers(graph.nodes.value), integers(graph.nodes.pos), integers(graph.nodes.layer)
    for number, name in names.items():
        node = graph.nodes[number]
        is_feature = node.kind == Kind.FEATURE and node.index >= 0
        network.add_node(
            name,
            kind=node.kind.name.lower(),
            layer=layers[number],
            value=values[number],
            feature=f"L{node.layer}_F{node.index}" if is_feature else "",
            pos=places[number],
            token=graph.tokens[node.pos] if node.pos >= 0 else "",
            label=graph.labels.get(number, ""),
        )
    edges = graph.edges
    columns = (integers(edges.source), integers(edges.target), numbers(edges.weight))
    for source, target, weight in zip(*columns, strict=True):
        if source in names and target in names and abs(weight) >= how.threshold and weight != 0:
            network.add_edge(names[source], names[target], weight=weight)
    return network


def write_s4(network: "networkx.DiGraph[str]", folder: Path | str, behaviour: str, split: str) -> tuple[Path, Path]:
    """Write the network as JSON and GraphML below ``folder`` and return the two paths."""
    for name in (behaviour, split):
        if not ADDRESS.fullmatch(name) or not name.strip("."):
            raise RequestError(f"“{name}” cannot be part of a file's name: use letters, digits, “_”, “.” and “-”.")
    inside = Path(folder) / "attribution_graphs" / behaviour
    try:
        inside.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{inside} cannot be made ({error.strerror}). Choose another folder.") from error
    plain, graphml = inside / f"attribution_graph_{split}.json", inside / f"attribution_graph_{split}.graphml"
    write_value(plain, s4_value(network))
    write_network(network, graphml)
    return plain, graphml


def s4_value(network: "networkx.DiGraph[str]") -> dict[str, object]:
    """The network as JSON that ``networkx.node_link_graph(…, edges="edges")`` reads."""
    return {
        "directed": True,
        "multigraph": False,
        "nodes": [{"id": name, **attributes} for name, attributes in network.nodes(data=True)],
        "edges": [
            {"source": source, "target": target, **attributes}
            for source, target, attributes in network.edges(data=True)
        ],
        "metadata": {**network.graph, "n_nodes": len(network), "n_edges": network.number_of_edges()},
    }


def _names(graph: Graph, how: S4) -> dict[int, str]:
    """The names of the nodes that are shown, by their numbers."""
    targets = integers(graph.nodes.where(Kind.TARGET))
    if how.outputs and len(how.outputs) != len(targets):
        raise RequestError(f"{len(how.outputs)} names of outputs were given, but the graph has {len(targets)} targets.")
    outputs = how.outputs or tuple(f"output_{place}" for place in range(len(targets)))
    names = dict(zip(targets, outputs, strict=True))
    features = graph.nodes.where(Kind.FEATURE)
    if how.top is not None:
        strength = influence(graph, fold=False)[features]
        features = features[torch.argsort(strength, descending=True, stable=True)[: how.top]].sort().values
    kind = graph.nodes.kind
    others = torch.where((kind != Kind.TARGET) & (kind != Kind.FEATURE) & ~graph.nodes.elsewhere())[0]
    for number in [*integers(features), *integers(others)]:
        names[number] = _name(graph, number)
    return dict(sorted(names.items()))


def _name(graph: Graph, number: int) -> str:
    node = graph.nodes[number]
    match node.kind:
        case _ if node.index == FOREIGN:
            return f"L{node.layer}_foreign{number}@{node.pos}"
        case Kind.FEATURE:
            return f"L{node.layer}_F{node.index}@{node.pos}"
        case Kind.ERROR:
            return f"L{node.layer}_error@{node.pos}"
        case Kind.TOKEN:
            return f"input_{node.pos}"
        case _:
            return "bias"
