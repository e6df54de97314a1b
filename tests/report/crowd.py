"""Networks as full as they get: as many nodes in as many layers as real models have, most of them in one column."""

from itertools import pairwise
from random import Random

from circuitwise.report.network import Network
from circuitwise.storage import Json

N_LAYERS = 30
CONTEXT = ["[]{}/\\ word", 55]


def crowded(n_nodes: int, n_edges: int, columns: tuple[str, ...] = ("-2", "-1"), *, surveyed: bool = False) -> Network:
    """A token below each column, features and errors in all layers, an answer, and edges that lead upwards."""
    draw = Random(0)
    nodes: list[dict[str, Json]] = [
        {"name": f"token@{name}", "kind": "token", "layer": -1, "column": place, "effect": 0.1}
        for place, name in enumerate(columns)
    ]
    for number in range(n_nodes - len(columns) - 1):
        layer, column = draw.choice([0, draw.randrange(N_LAYERS)]), len(columns) - 1 if draw.random() < 0.7 else 0
        told: dict[str, Json] = {
            "name": f"L{layer}F{number}@{columns[column]}",
            "kind": "error" if number % 25 == 7 else "feature",
            "layer": layer,
            "column": column,
            "effect": float(f"{draw.uniform(-1, 1) ** 3:.4g}"),
            "activation": 1.234,
        }
        if number % 2:
            told["rank"] = number
        if number % 20 == 0:
            told["group"] = 0
        if surveyed:
            told |= {"spread": 0.1234, "agreement": 0.95, "direct": 0.1234, "frequency": 0.25, "label": "x" * 90}
            told |= {"promoted": ["token"] * 6, "suppressed": ["token"] * 6, "contexts": [[CONTEXT] * 16] * 4}
        nodes.append(told)
    nodes.append({"name": "target", "kind": "target", "layer": N_LAYERS, "column": len(columns) - 1, "effect": 0.0})
    nodes.sort(key=lambda node: int(str(node["layer"])))
    edges: list[tuple[int, int, float, float, float]] = []
    while len(edges) < n_edges:
        source, target = sorted(draw.sample(range(len(nodes)), 2))
        if nodes[source]["layer"] != nodes[target]["layer"]:
            weight = float(f"{draw.uniform(-1, 1) ** 3:.4g}")
            edges.append((target, source, weight, 0.1234, abs(weight)))
    edges.sort(key=lambda edge: -edge[4])
    assert all(first[4] >= second[4] for first, second in pairwise(edges))
    return Network(columns=columns, axis="position", nodes=nodes, edges=edges, n_features=n_nodes, n_edges=n_edges)
