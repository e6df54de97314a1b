"""An aggregate says of every node and edge what the prompts say together, and gives back circuits that were planted."""

import random
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from circuitwise.circuit.aggregate import aggregate
from circuitwise.circuit.aggregation import Aggregate, Aggregation
from circuitwise.circuit.prune import Prune, prune
from circuitwise.circuit.roles import Anywhere, ByName, resolve_roles
from circuitwise.errors import RequestError
from circuitwise.graph import Graph, Kind
from circuitwise.planted.assembly import NOISE
from tests.circuit.drawn import twelve
from tests.circuit.recurring import (
    ALL,
    assert_same_aggregate,
    columns_of,
    edges_of,
    numbers_of,
    planted_graphs,
    planted_prompts,
    prompt,
    random_prompts,
    three_prompts,
)
from tests.planted.recovery import difference, plant


def test_three_prompts_give_the_numbers_that_one_works_out_by_hand():
    found = aggregate(three_prompts(), how=ALL)
    at, edge = numbers_of(found), edges_of(found)
    assert list(at) == ["L0F1@-1", "L0F2@-1", "L1F3@-1", "token@-2", "target"]
    assert found.n_prompts == 3
    assert found.frequency.tolist() == [2 / 3, 1.0, 2 / 3, 1.0, 1.0]
    assert found.activation.tolist() == [1.0] * 5
    assert found.direct.mean.tolist() == pytest.approx([0, 1, 1 / 3, 0, 0])
    assert found.direct.spread.tolist() == pytest.approx([(8 / 3) ** 0.5, 0, (1 / 18) ** 0.5, 0, 0], abs=1e-7)
    assert found.direct.agreement.tolist() == [0.5, 1.0, 1.0, 0.0, 0.0]
    # by way of F3, F2 does 3 * 0.5 more on the first prompt
    assert found.effect.mean[at["L0F2@-1"]] == pytest.approx((2.5 + 1 + 1) / 3)
    assert found.effect.mean[at["token@-2"]] == pytest.approx((4.5 - 1 + 1) / 3)
    cancelled, once = edge["target", "L0F1@-1"], edge["L1F3@-1", "L0F2@-1"]
    edges = found.edges
    assert (edges.weight.mean[cancelled], edges.together[cancelled], edges.weight.agreement[cancelled]) == (0, 0, 0.5)
    assert (edges.weight.mean[once], edges.together[once]) == (1.0, 1.5)
    assert (edges.frequency[once], edges.weight.agreement[once]) == (pytest.approx(1 / 3), 1.0)


def test_a_prompt_that_comes_again_counts_once():
    graphs = three_prompts()
    assert_same_aggregate(aggregate([*graphs, graphs[0], graphs[0]], how=ALL), aggregate(graphs, how=ALL))


@pytest.mark.parametrize("how", [ALL, Aggregation(), Aggregation(edge_as="weight", edge=0.3, top_edges=2)])
def test_the_order_of_the_graphs_changes_nothing(how: Aggregation):
    graphs = random_prompts(12)
    expected = aggregate(graphs, how=how)
    assert len(expected.edges) > 5
    for seed in range(4):
        random.Random(seed).shuffle(graphs)
        assert_same_aggregate(aggregate(graphs, how=how), expected)


def plain(graph: Graph, number: int) -> tuple[int, int, str, int]:
    """What a node is without its prompt."""
    node = graph.nodes[number]
    role = "" if node.kind in (Kind.TARGET, Kind.BIAS) else str(node.pos - graph.n_pos)
    return node.kind, node.layer, role, node.index if node.kind == Kind.FEATURE else -1


def weights_of(graph: Graph) -> dict[tuple[object, object], float]:
    """The weight from node to node, over positions with the same role."""
    found: dict[tuple[object, object], float] = {}
    edges = graph.edges
    for target, source, weight in zip(edges.target.tolist(), edges.source.tolist(), edges.weight.tolist(), strict=True):
        ends = plain(graph, target), plain(graph, source)
        found[ends] = found.get(ends, 0.0) + weight
    return found


def means_of(found: Aggregate) -> dict[tuple[object, object], float]:
    nodes = [(node.kind, node.layer, node.role, node.index) for node in found.nodes]
    columns = (found.edges.target.tolist(), found.edges.source.tolist(), found.edges.weight.mean.tolist())
    return {(nodes[target], nodes[source]): mean for target, source, mean in zip(*columns, strict=True)}


def test_means_are_those_of_a_loop_over_all_pruned_graphs():
    graphs = random_prompts(9)
    expected: dict[tuple[object, object], float] = {}
    for graph in graphs:
        for ends, weight in weights_of(prune(graph).graph).items():
            expected[ends] = expected.get(ends, 0.0) + weight / len(graphs)
    assert means_of(aggregate(graphs, how=replace(ALL, prune=Prune()))) == pytest.approx(expected, abs=1e-12)


def test_the_aggregate_of_one_graph_is_that_graph():
    (graph,) = random_prompts(1)
    found = aggregate([graph], how=ALL)
    assert len(found.nodes) == len(graph.nodes) and len(found.edges) == len(graph.edges)
    assert means_of(found) == weights_of(graph)
    assert found.edges.together.equal(found.edges.weight.mean) and not found.edges.weight.spread.any()
    assert found.frequency.eq(1).all() and found.edges.frequency.equal(found.edges.weight.agreement)


def test_without_roles_what_a_feature_does_at_its_positions_is_added_up():
    graph = replace(three_prompts()[0])
    graph.nodes.index[2], graph.nodes.pos[2], graph.nodes.value[2] = 1, 0, 3.0
    found = aggregate([graph], placing=Anywhere(), how=ALL)
    at = numbers_of(found)
    assert float(found.direct.mean[at["L0F1"]]) == 3.0
    assert float(found.activation[at["L0F1"]]) == 3.0
    assert float(found.edges.weight.mean[edges_of(found)["L0F1", "token"]]) == 2.0


def test_thresholds_are_honoured():
    graphs = three_prompts()
    graphs[1].nodes.value[2] = graphs[2].nodes.value[1] = graphs[0].nodes.value[2] = 0.09
    for frequency, expected in ((0.6, {"L0F1@-1", "L1F3@-1"}), (2 / 3, {"L0F1@-1", "L1F3@-1"}), (0.7, set())):
        found = aggregate(graphs, how=Aggregation(prune=None, frequency=frequency, edge=0.0))
        assert {name for name in numbers_of(found) if name.startswith("L")} == expected
        assert "token@-2" in numbers_of(found)
    kept = {"share": "target,L0F2@-1 target,L1F3@-1", "weight": "target,L0F2@-1"}
    for measure, expected in (("share", 0.25), ("weight", 0.34)):
        found = aggregate(three_prompts(), how=replace(ALL, edge=expected, edge_as=measure))
        into_target = [",".join(ends) for ends in edges_of(found) if ends[0] == "target"]
        assert " ".join(into_target) == kept[measure]
    for n in (1, 2, 3):
        found = aggregate(three_prompts(), how=replace(ALL, top_edges=n))
        strongest = ["L0F2@-1", "L1F3@-1", "L0F1@-1"][:n]
        assert {source for target, source in edges_of(found) if target == "target"} == set(strongest)


def test_edges_from_the_bias_come_on_top_and_take_no_part_in_a_share():
    graph = replace(twelve(), targets=twelve().targets[:1])
    graph.nodes.kind[11] = Kind.TOKEN
    found = aggregate([graph], how=replace(ALL, top_edges=1, edge=0.5))
    assert [source for target, source in edges_of(found) if target == "target"] == ["L2F7@-1", "bias"]


def test_graphs_are_let_go_one_after_the_other():
    alive: list[weakref.ref[torch.Tensor]] = []

    def passing() -> Iterator[Graph]:
        for number in range(30):
            graph = prompt(number, random_prompts(1)[0])
            alive.append(weakref.ref(graph.edges.weight))
            yield graph
            del graph
            assert sum(each() is not None for each in alive) <= 2

    assert aggregate(passing()).n_prompts == 30


@pytest.mark.parametrize("name", ["agreement", "decoy"])
def test_a_planted_circuit_is_found_over_many_prompts(name: str):
    planted = plant(name, NOISE)
    found = aggregate(planted_graphs(name), placing=Anywhere())
    assert {node.feature for node in found.nodes if node.feature} == planted.true_features
    assert {node.feature for node in found.strongest(len(planted.true_features))} == planted.true_features
    between = {
        (found.nodes[source].feature, found.nodes[target].feature, float(agreement))
        for target, source, agreement in zip(
            found.edges.target.tolist(), found.edges.source.tolist(), found.edges.weight.agreement, strict=True
        )
        if found.nodes[source].feature and found.nodes[target].feature
    }
    true = {(a[0], b[0], 1.0) for each in planted_prompts(name) for a, b in each.edges}
    assert between == true


def test_roles_carry_a_circuit_from_some_prompts_to_others():
    planted = plant("agreement", NOISE)

    def roles(text: str) -> dict[str, int]:
        return {"subject": text.split().index("The") + 2, "last": -1}

    found = aggregate(planted_graphs("agreement"), placing=ByName(lambda graph: roles(graph.prompt)))
    members = found.strongest(4)
    assert {node.role for node in members} == {"subject", "last"}
    assert found.frequency[[found.nodes.index(node) for node in members]].tolist() == [0.5] * 4
    for pair in planted.train[:6]:
        text = pair.clean.text
        places = [(feature, pos % (len(text.split()) + 1)) for feature, pos in resolve_roles(members, roles(text))]
        assert pair.clean.features <= set(places)
        whole = difference(planted, pair.clean)
        assert difference(planted, pair.clean, only=places) == pytest.approx(whole, rel=0.15)


def test_graphs_that_do_not_belong_together_are_refused():
    first, second, lower = three_prompts()
    (label,) = second.targets
    lower.nodes.layer[2] = 1  # its target
    cases = {
        "from none \\(3 layers\\) with none and from other": [first, replace(second, model="other")],
        "none \\(3 layers\\) with other": [first, replace(second, transcoders="other")],
        "none \\(4 layers\\)": [first, replace(second, n_layers=4)],
        "direction, “prompt 1” on a token's logit": [
            first,
            replace(second, targets=(replace(label, probability=0.5),)),
        ],
        "direction, “prompt 2” on something in layer 1": [first, lower],
        "has 2 targets, but an aggregate is about one": [twelve()],
        "two targets, “out 0” and “b - a”": [first, replace(first, targets=(replace(label, text="b - a"),))],
        "There is no graph": [],
    }
    for message, graphs in cases.items():
        with pytest.raises(RequestError, match=message):
            aggregate(graphs)


@pytest.mark.parametrize(
    "wrong", [{"frequency": 1.1}, {"activation": -1.0}, {"edge": -0.1}, {"top_edges": 0}, {"edge": float("nan")}]
)
def test_thresholds_that_make_no_sense_are_refused(wrong):
    with pytest.raises(RequestError, match="|".join(str(value) for value in wrong.values())):
        Aggregation(**wrong)


def test_a_misfit_marks_the_whole_and_no_features_are_asked_for_in_vain():
    graphs = three_prompts()
    found = aggregate([graphs[0], replace(graphs[1], misfit=True), graphs[2]])
    assert found.misfit and not aggregate(graphs).misfit
    assert all(bool(column.isfinite().all()) for column in columns_of(found))
    with pytest.raises(RequestError, match="0 features are none"):
        found.strongest(0)
