"""Tables and networks hold every number, and networkx reads back what is written, signs and weights intact."""

import json
from pathlib import Path

import networkx
import pytest

from circuitwise.circuit.aggregate import aggregate
from circuitwise.circuit.aggregatetables import aggregate_network, aggregate_tables
from circuitwise.circuit.roles import Anywhere
from circuitwise.circuit.supernodes import Supernode
from circuitwise.interchange import write_s4
from circuitwise.vocabulary import Feature
from tests.circuit.recurring import ALL, edges_of, numbers_of, random_prompts, three_prompts

LABELS = {Feature(0, 1): "fires on “Paris” <b>"}


def test_tables_hold_every_number():
    found = aggregate(three_prompts(), how=ALL)
    nodes, edges = aggregate_tables(found, labels=LABELS)
    assert nodes["name"].tolist() == list(numbers_of(found))
    assert nodes["kind"].tolist() == ["feature"] * 3 + ["token", "target"]
    assert nodes["role"].tolist() == ["-1"] * 3 + ["-2", ""]
    assert nodes["label"].tolist() == [LABELS[Feature(0, 1)], "", "", "", ""]
    assert nodes["effect"].tolist() == found.effect.mean.tolist()
    assert nodes["direct_agreement"].tolist() == found.direct.agreement.tolist()
    assert edges["weight_spread"].tolist() == found.edges.weight.spread.tolist()
    assert edges["together"].tolist() == found.edges.together.tolist()


def test_supernodes_are_named_at_their_members():
    found = aggregate(random_prompts(12), placing=Anywhere(), how=ALL)
    member = found.strongest(1)[0]
    group = Supernode(label="both", members=(member,), sign=1, direct=0.0)
    network = aggregate_network(found, [group])
    assert [name for name, node in network.nodes(data=True) if node["supernode"]] == [str(member)]


@pytest.mark.parametrize("kind", ["json", "graphml"])
def test_networkx_reads_back_what_is_written(tmp_path: Path, kind: str):
    found = aggregate(random_prompts(6), how=ALL)
    plain, graphml = write_s4(aggregate_network(found, labels=LABELS), tmp_path, "agreement", "train")
    assert (plain.name, graphml.name) == ("attribution_graph_train.json", "attribution_graph_train.graphml")
    if kind == "graphml":
        network = networkx.read_graphml(graphml)
        about = network.graph
    else:
        written = json.loads(plain.read_text())
        network = networkx.node_link_graph(written, edges="edges")
        about = written["metadata"]
        assert set(written) >= {"nodes", "edges", "metadata"}
    assert network.is_directed() and about["n_prompts"] == 6 and about["positions"] == "from end"
    at = numbers_of(found)
    assert set(network.nodes) == set(at)
    for name, node in network.nodes(data=True):
        assert node["effect"] == float(found.effect.mean[at[name]])
        assert node["frequency"] == float(found.frequency[at[name]])
    places = edges_of(found)
    assert {(target, source) for source, target in network.edges} == set(places)
    weights = {ends: network.edges[ends[1], ends[0]]["weight"] for ends in places}
    assert weights == {ends: float(found.edges.weight.mean[at]) for ends, at in places.items()}
    assert min(weights.values()) < 0 < max(weights.values())
