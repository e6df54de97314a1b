"""One graph for every prompt that a circuit is looked for on: what led to the difference of its two answers.

The graph explains the logit of the right answer less that of the wrong one, at the first token where they differ;
tokens that both share stand behind the prompt.
"""

from dataclasses import dataclass
from math import isfinite

from circuitwise.attribution.attribute import Budget, attribute
from circuitwise.circuit.scores import scores
from circuitwise.graph import Graph, Kind
from circuitwise.prompts import Item
from circuitwise.replacement import Replacement
from circuitwise.study.baseline import read_item
from circuitwise.study.plan import USUAL_GRAPHS, GraphChoice
from circuitwise.targets import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptGraph:
    """What is known of one prompt's graph without opening it; scores are None where nothing reaches the target."""

    number: int
    """The prompt's place in its split; the file is named for it."""
    prompt: str
    """The prompt."""
    target: str
    """What the graph explains, such as `` Paris -  Rome``."""
    difference: float
    """The logit difference that it explains."""
    n_pos: int
    """Tokens of the prompt."""
    n_features: int
    """Features that are nodes."""
    n_edges: int
    """Edges."""
    replacement: float | None
    """The share of what reaches the target that starts in tokens and not in errors; what was not traced is an error."""
    completeness: float | None
    """The share of inputs that are no errors, weighted by influence; what was not traced is an error."""
    replacement_traced: float | None
    """Replacement among traced features alone."""
    completeness_traced: float | None
    """Completeness among traced features alone."""
    file: str
    """Where it lies in the run."""


def trace_item(replacement: Replacement, item: Item, how: GraphChoice = USUAL_GRAPHS) -> Graph:
    """The graph of what led to the difference of an item's answers."""
    tokens = read_item(replacement.model, item)
    target = Difference(*tokens.scored)
    return attribute(replacement, list(tokens.scored_prompt), targets=target, budget=Budget(rows=how.rows))


def describe_graph(graph: Graph, number: int, item: Item, file: str) -> PromptGraph:
    """The graph in a few numbers."""
    found, (target,) = scores(graph), graph.nodes.where(Kind.TARGET)
    return PromptGraph(
        number=number,
        prompt=item.prompt,
        target=graph.targets[0].text,
        difference=float(graph.nodes.value[target]),
        n_pos=graph.n_pos,
        n_features=len(graph.nodes.where(Kind.FEATURE)),
        n_edges=len(graph.edges),
        replacement=_known(found.replacement_folded),
        completeness=_known(found.completeness_folded),
        replacement_traced=_known(found.replacement),
        completeness_traced=_known(found.completeness),
        file=file,
    )


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
