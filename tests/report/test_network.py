"""What is drawn of a circuit or a graph is in it, with its numbers; what an edge carries follows from them."""

import pytest

from circuitwise.circuit.effect import effects
from circuitwise.circuit.prune import Prune, prune
from circuitwise.features import Survey
from circuitwise.graph import Kind
from circuitwise.report.network import (
    MOST_OF_PROMPT,
    circuit_network,
    prompt_network,
    pruned_network,
    role_order,
)
from circuitwise.study.circuits import BehaviourCircuit
from circuitwise.study.run import Run
from circuitwise.vocabulary import Feature


@pytest.fixture(scope="module")
def circuit(run: Run) -> BehaviourCircuit:
    found = run.circuit("agreement")
    assert found is not None
    return found


def test_an_edge_carries_its_share_of_its_targets_inputs_times_the_targets_effect(circuit: BehaviourCircuit):
    network, found = circuit_network(circuit), circuit.aggregate
    names = [str(node) for node in found.nodes]
    inputs: dict[str, dict[str, float]] = {}
    for edge in range(len(found.edges)):
        source, target = int(found.edges.source[edge]), int(found.edges.target[edge])
        if found.nodes[source].kind != Kind.BIAS:
            inputs.setdefault(names[target], {})[names[source]] = float(found.edges.weight.mean[edge])
    effect = {name: abs(float(value)) for name, value in zip(names, found.effect.mean, strict=True)}
    assert network.edges
    for target, source, weight, share, carried in network.edges:
        end, start = (str(network.nodes[number]["name"]) for number in (target, source))
        total = sum(abs(value) for value in inputs[end].values())
        assert weight == pytest.approx(inputs[end][start], rel=1e-3)
        assert share == pytest.approx(abs(weight) / total, rel=1e-3)
        assert carried == pytest.approx(abs(weight) if end == "target" else share * effect[end], rel=2e-3)
    strengths = [edge[4] for edge in network.edges]
    assert strengths == sorted(strengths, reverse=True)


def test_all_members_are_drawn_with_their_rank_and_the_bias_is_not(circuit: BehaviourCircuit):
    network = circuit_network(circuit)
    ranks = {node["name"]: node["rank"] for node in network.nodes if "rank" in node}
    assert ranks == {str(node): place for place, node in enumerate(circuit.members, 1)}
    kinds = {node["kind"] for node in network.nodes}
    assert "target" in kinds and "bias" not in kinds
    assert network.columns == tuple(sorted(network.columns, key=role_order))


def test_a_feature_that_was_ablated_alone_says_what_that_did(run: Run, circuit: BehaviourCircuit):
    found = run.interventions("agreement")
    assert found is not None
    effect = next(each for each in found.effects if (each.intervention_type, each.kind) == ("ablation_zero", "feature"))
    (node,) = [each for each in circuit_network(circuit, found.effects).nodes if each["name"] == effect.aim]
    value = effect.effect
    assert node["measured"] == pytest.approx([value.estimate, value.low, value.high], rel=1e-3)


def test_a_survey_gives_labels_tokens_and_contexts(circuit: BehaviourCircuit, labelled: Survey):
    node = next(each for each in circuit_network(circuit, survey=labelled).nodes if each["kind"] == "feature")
    layer, index = str(node["name"]).split("@")[0][1:].split("F")
    profile = labelled.profile(Feature(int(layer), int(index)))
    assert node["label"] == profile.label.text
    assert node["promoted"] == [token.text for token in profile.promoted]
    contexts = node["contexts"]
    assert isinstance(contexts, list) and len(contexts) == len(profile.strongest) > 0
    first = contexts[0]
    assert isinstance(first, list) and [text for text, _ in first] == [
        each.text for each in profile.strongest[0].tokens
    ]
    assert max(shade for _, shade in first) == 100


def test_a_prompts_graph_is_drawn_with_its_tokens_and_signed_effects(run: Run, circuit: BehaviourCircuit):
    graph = run.graph("agreement", 0)
    network = prompt_network(graph, circuit.members)
    assert len(network.columns) == graph.n_pos and network.n_drawn <= MOST_OF_PROMPT
    named = {graph.name(number): float(value) for number, value in enumerate(effects(graph))}
    for node in network.nodes:
        assert node["effect"] == pytest.approx(named[str(node["name"])], rel=1e-3)
    assert any(node.get("member") for node in network.nodes)
    assert not any(node.get("member") for node in prompt_network(graph).nodes)


def test_columns_say_what_they_are(run: Run, circuit: BehaviourCircuit):
    assert circuit_network(circuit).axis == "position, counted from the end"
    assert prompt_network(run.graph("agreement", 0)).axis == "token"


def test_a_graph_that_was_pruned_is_drawn_with_the_effects_of_what_was_kept(run: Run):
    part = prune(run.graph("agreement", 0), Prune(nodes=0.01))
    network = pruned_network(part)
    named = {part.graph.name(number): float(value) for number, value in enumerate(effects(part.graph))}
    assert network.nodes and all(
        node["effect"] == pytest.approx(named[str(node["name"])], rel=1e-3) for node in network.nodes
    )
    assert len(network.nodes) < len(prompt_network(run.graph("agreement", 0)).nodes)


def test_roles_stand_from_left_to_right():
    assert sorted(["-1", "subject", "-10", "-2"], key=role_order) == ["-10", "-2", "-1", "subject"]
