"""The circuit of a behaviour: what recurs in the graphs of its training prompts.

aggregate    nodes and edges over all prompts, with roles (distances from the end) instead of positions
supernodes   features of it that read the same, write the same and push the same way
members      the features with the strongest effects: what is intervened on and put to the proof
"""

from collections.abc import Iterable
from dataclasses import dataclass

from circuitwise.circuit.aggregate import aggregate
from circuitwise.circuit.aggregation import Aggregate
from circuitwise.circuit.roles import RoleNode
from circuitwise.circuit.supernodes import Supernode, supernodes
from circuitwise.graph import Graph
from circuitwise.study.plan import USUAL_CIRCUIT, CircuitChoice
from circuitwise.vocabulary import numbers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BehaviourCircuit:
    """What recurs in the graphs of a behaviour."""

    behaviour: str
    """The suite's name."""
    aggregate: Aggregate
    """Nodes and edges over all prompts, with roles instead of positions."""
    supernodes: tuple[Supernode, ...]
    """Features that play one part."""
    members: tuple[RoleNode, ...]
    """The features that are intervened on and tested, those with the strongest effects first."""

    @property
    def effects(self) -> dict[RoleNode, float]:
        """What every node does to the difference of the answers, on average, as the graphs have it."""
        return dict(zip(self.aggregate.nodes, numbers(self.aggregate.effect.mean), strict=True))


def find_circuit(graphs: Iterable[Graph], behaviour: str, how: CircuitChoice = USUAL_CIRCUIT) -> BehaviourCircuit:
    """The circuit of many prompts, from their graphs."""
    return circuit_of(aggregate(graphs, how=how.aggregation), behaviour, how)


def circuit_of(found: Aggregate, behaviour: str, how: CircuitChoice = USUAL_CIRCUIT) -> BehaviourCircuit:
    """An aggregate with its supernodes and members."""
    return BehaviourCircuit(
        behaviour=behaviour,
        aggregate=found,
        supernodes=supernodes(found, how.grouping),
        members=found.strongest(how.size),
    )
