"""A behaviour's circuit is the aggregate of its graphs, its supernodes and its strongest features."""

from pathlib import Path

from circuitwise.circuit.aggregate import aggregate
from circuitwise.study.circuits import find_circuit
from circuitwise.study.graphs import trace_item
from circuitwise.study.plan import CircuitChoice, GraphChoice
from tests.study.material import small_replacement, small_suite


def test_a_circuit_is_what_aggregating_by_hand_gives(tmp_path: Path) -> None:
    replacement, suite = small_replacement(tmp_path), small_suite(tmp_path)
    graphs = [trace_item(replacement, item, GraphChoice(rows=30)) for item in suite.train[:4]]
    how = CircuitChoice(size=3, frequency=0.5)
    found, by_hand = find_circuit(graphs, "tiny", how), aggregate(graphs, how=how.aggregation)
    assert found.aggregate.nodes == by_hand.nodes and found.members == by_hand.strongest(3)
    strongest = max((node for node in by_hand.nodes if node.feature), key=lambda node: abs(found.effects[node]))
    assert found.members[0] == strongest
