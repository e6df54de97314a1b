"""The studies' layout: names by layer and feature, both files open in networkx."""

import json
from pathlib import Path

import networkx
import pytest

from circuitwise.circuit.influence import influence
from circuitwise.errors import ArtifactError, RequestError
from circuitwise.graph import Kind
from circuitwise.interchange import S4, s4_network, write_s4
from tests.graphs import computed, hand_made

OUTPUTS = ("output_correct", "output_incorrect")


def test_one_prompt_has_tokens_features_errors_bias_and_outputs():
    network = s4_network(hand_made(), S4(outputs=OUTPUTS))
    assert set(network) == {
        *("L0_F4@1", "L1_F3@2", "L0_error@1", "L1_error@2", "input_0", "input_1", "input_2", "bias"),
        *OUTPUTS,
    }
    assert network.edges["L0_F4@1", "L1_F3@2"]["weight"] == 0.5
    assert network.edges["L1_F3@2", "output_incorrect"]["weight"] == -1.0
    assert network.nodes["L1_F3@2"]["feature"] == "L1_F3"
    assert network.nodes["input_1"]["token"] == ' "b"'
    assert network.graph["prompt"] == hand_made().prompt


def test_edges_below_the_threshold_and_all_but_the_top_features_are_left_out():
    network = s4_network(hand_made(), S4(threshold=0.5))
    assert min(abs(weight) for _, _, weight in network.edges(data="weight")) == 0.5
    graph = computed()
    features = graph.nodes.where(Kind.FEATURE)
    best = features[influence(graph, fold=False)[features].topk(3).indices]
    expected = {f"L{node.layer}_F{node.index}@{node.pos}" for node in (graph.nodes[int(at)] for at in best)}
    shown = {name for name, kind in s4_network(graph, S4(top=3)).nodes(data="kind") if kind == "feature"}
    assert shown == expected


def test_both_files_open_in_networkx(tmp_path: Path):
    network = s4_network(computed())
    plain, graphml = write_s4(network, tmp_path, "agreement", "train")
    folder = tmp_path / "attribution_graphs" / "agreement"
    assert (plain, graphml) == (folder / "attribution_graph_train.json", folder / "attribution_graph_train.graphml")
    value = json.loads(plain.read_text())
    assert set(value) == {"nodes", "edges", "metadata", "directed", "multigraph"}
    assert value["metadata"]["n_edges"] == network.number_of_edges()
    read = [networkx.node_link_graph(value, edges="edges"), networkx.read_graphml(graphml)]
    for again in read:
        assert again.is_directed() and not again.is_multigraph()
        assert set(again.edges(data="weight")) == set(network.edges(data="weight"))
        assert {name: dict(again.nodes[name]) for name in again} == {name: network.nodes[name] for name in network}


def test_misuse_gets_one_sentence(tmp_path: Path):
    with pytest.raises(RequestError, match="1 names of outputs were given, but the graph has 2 targets"):
        s4_network(hand_made(), S4(outputs=("output_correct",)))
    for name in ("..", "a/b", "", "."):
        with pytest.raises(RequestError, match="cannot be part of a file's name"):
            write_s4(s4_network(hand_made()), tmp_path, name, "train")
    (tmp_path / "attribution_graphs").write_text("a file")
    with pytest.raises(ArtifactError, match="cannot be made"):
        write_s4(s4_network(hand_made()), tmp_path, "agreement", "train")
