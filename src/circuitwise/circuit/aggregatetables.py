"""Aggregates as tables and for networkx; ``interchange.write_s4`` writes the network as S4's GraphML and JSON."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from circuitwise.circuit.aggregation import Aggregate
from circuitwise.circuit.supernodes import Supernode
from circuitwise.circuit.tally import Signed
from circuitwise.vocabulary import Feature, integers, numbers

if TYPE_CHECKING:
    import networkx
    import pandas


def node_columns(of: Aggregate) -> dict[str, Tensor]:
    """The numbers of every node by their names."""
    return {
        "frequency": of.frequency,
        "activation": of.activation,
        **_signed_columns("effect", of.effect),
        **_signed_columns("direct", of.direct),
    }


def edge_columns(of: Aggregate) -> dict[str, Tensor]:
    """The numbers of every edge by their names."""
    edges = of.edges
    return {**_signed_columns("weight", edges.weight), "together": edges.together, "frequency": edges.frequency}


def _signed_columns(name: str, signed: Signed) -> dict[str, Tensor]:
    return {name: signed.mean, f"{name}_spread": signed.spread, f"{name}_agreement": signed.agreement}


def aggregate_tables(
    of: Aggregate, supernodes: Sequence[Supernode] = (), *, labels: Mapping[Feature, str] | None = None
) -> "tuple[pandas.DataFrame, pandas.DataFrame]":
    """The nodes (indexed by their number) and the edges (by target and source) as tables."""
    import pandas  # 60 MB: only where tables are asked for

    group = {member: each.label for each in supernodes for member in each.members}
    node_table = pandas.DataFrame(
        {
            "name": [str(node) for node in of.nodes],
            "kind": [node.kind.name.lower() for node in of.nodes],
            "layer": [node.layer for node in of.nodes],
            "role": [node.role for node in of.nodes],
            "index": [node.index for node in of.nodes],
            **{name: numbers(column) for name, column in node_columns(of).items()},
            "label": [(labels or {}).get(node.feature, "") if node.feature else "" for node in of.nodes],
            "supernode": [group.get(node, "") for node in of.nodes],
        },
        index=pandas.RangeIndex(len(of.nodes), name="node"),
    )
    edge_table = pandas.DataFrame(
        {
            "target": integers(of.edges.target),
            "source": integers(of.edges.source),
            **{name: numbers(column) for name, column in edge_columns(of).items()},
        }
    )
    return node_table, edge_table


def aggregate_network(
    of: Aggregate, supernodes: Sequence[Supernode] = (), *, labels: Mapping[Feature, str] | None = None
) -> "networkx.DiGraph[str]":
    """The aggregate for networkx: nodes by name with all that is known of them, edges from source to target."""
    import networkx

    node_table, edge_table = aggregate_tables(of, supernodes, labels=labels)
    network: networkx.DiGraph[str] = networkx.DiGraph(
        model=of.model,
        transcoders=of.transcoders,
        n_layers=of.n_layers,
        n_prompts=of.n_prompts,
        misfit=of.misfit,
        positions=of.positions,
        min_frequency=of.how.frequency,
        min_activation=of.how.activation,
        threshold=of.how.edge,
        threshold_as=of.how.edge_as,
    )
    names: list[str] = node_table["name"].tolist()
    for name, row in zip(names, node_table.drop(columns="name").to_dict("records"), strict=True):
        network.add_node(name, **{str(key): value for key, value in row.items()})
    ends = zip(integers(of.edges.source), integers(of.edges.target), strict=True)
    for (source, target), row in zip(
        ends, edge_table.drop(columns=["source", "target"]).to_dict("records"), strict=True
    ):
        network.add_edge(names[source], names[target], **{str(key): value for key, value in row.items()})
    return network
