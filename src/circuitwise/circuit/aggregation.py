"""What many prompts' graphs are together: the thresholds, the numbers of every node, the edges. Data only."""

from dataclasses import dataclass
from typing import Literal, get_args

from jaxtyping import Float, Int
from torch import Tensor

from circuitwise.circuit.prune import Prune
from circuitwise.circuit.roles import RoleNode
from circuitwise.circuit.tally import Signed
from circuitwise.errors import RequestError
from circuitwise.vocabulary import integers

Positions = Literal["from end", "by name", "anywhere"]
"""What stands for a position."""
EdgeMeasure = Literal["share", "weight"]
"""An edge's part of all inputs to its target, or its weight as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Aggregation:
    """What of each graph counts, and what of all of them together is kept."""

    prune: Prune | None = Prune()
    """How every graph is cut before it counts; None: not at all."""
    frequency: float = 0.2
    """Features, tokens and errors in a smaller share of the prompts are left out..."""
    activation: float = 0.1
    """...and features whose mean activation, where they are, is smaller."""
    edge: float = 0.01
    """Edges whose mean weight over all prompts is smaller, whatever its sign, are left out."""
    edge_as: EdgeMeasure = "share"
    """What that is: a share of all mean weights into the same target (biases aside), or a weight as it is."""
    top_edges: int | None = 10
    """Of the edges into a node, as many are kept, the strongest; None: all. Edges from the bias come on top."""

    def __post_init__(self) -> None:
        if not 0 <= self.frequency <= 1:
            raise RequestError(f"The frequency {self.frequency} is no share of prompts: give a number from 0 to 1.")
        if not (self.activation >= 0 and self.edge >= 0):
            raise RequestError(
                f"The thresholds are activation = {self.activation} and edge = {self.edge}, but sizes are compared "
                f"with them: give numbers from 0 on."
            )
        if self.edge_as not in get_args(EdgeMeasure):
            raise RequestError(f"Edges are measured as “share” or “weight”, not as “{self.edge_as}”.")
        if self.top_edges is not None and self.top_edges < 1:
            raise RequestError(f"{self.top_edges} edges into a node are none. Ask for one at least, or for all (None).")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanEdges:
    """Edges over all prompts, sorted by target, then source."""

    target: Int[Tensor, " edge"]
    """The number of the node that receives."""
    source: Int[Tensor, " edge"]
    """The number of the node that contributes."""
    weight: Signed
    """The contribution, zero in prompts without the edge."""
    together: Float[Tensor, " edge"]
    """The mean contribution over the prompts in which both nodes are."""
    frequency: Float[Tensor, " edge"]
    """The share of the prompts in which the edge is."""

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aggregate:
    """The circuit of many prompts."""

    model: str
    """The model's name."""
    transcoders: str
    """The dictionaries' name."""
    n_layers: int
    """How many layers the model has."""
    n_prompts: int
    """How many distinct prompts it is made of."""
    misfit: bool
    """Whether the dictionaries of any graph failed to reconstruct the model and were let through."""
    positions: Positions
    """What stands for a position."""
    how: Aggregation
    """What was asked for."""
    nodes: tuple[RoleNode, ...]
    """What was kept, in rising order."""
    frequency: Float[Tensor, " node"]
    """The share of the prompts in whose pruned graph each node is."""
    activation: Float[Tensor, " node"]
    """The mean value of each node over the prompts in which it is: of a feature, its activation."""
    direct: Signed
    """What each node contributes to the target by itself."""
    effect: Signed
    """What each node does to the target, directly and through features."""
    edges: MeanEdges
    """What was kept of the edges."""

    def strongest(self, n: int) -> tuple[RoleNode, ...]:
        """The features with the largest mean effect, whatever its sign; ``resolve_roles`` finds them on a prompt."""
        if n < 1:
            raise RequestError(f"{n} features are none. Ask for one at least.")
        numbers = [number for number, node in enumerate(self.nodes) if node.feature is not None]
        order = self.effect.mean[numbers].abs().argsort(descending=True, stable=True)[:n]
        return tuple(self.nodes[numbers[place]] for place in integers(order))
