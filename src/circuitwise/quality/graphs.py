"""How much of the graphs made with a set runs through features: their scores, and each layer's part in the errors.

    replacement = influence of tokens / (influence of tokens + influence of errors)

so what is missing to 1 is the sum of the layers' error shares (and of layers that have no dictionary).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import torch

from circuitwise.attribution.attribute import Budget, attribute
from circuitwise.attribution.local import check_traceable
from circuitwise.circuit.influence import influence
from circuitwise.circuit.scores import Scores, scores
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import DictionaryError, RequestError
from circuitwise.graph.graph import Graph, Kind
from circuitwise.quality.estimates import mean, mean_of
from circuitwise.quality.quality import GraphScores
from circuitwise.replacement import Replacement
from circuitwise.vocabulary import Tokens, numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What graphs of some prompts show."""

    scores: GraphScores
    """Their mean scores."""
    error_share: dict[int, float]
    """By layer, the share of paths that starts in its errors; empty where nothing has a score."""


def explain(
    replacement: Replacement, prompts: Sequence[str | Tokens], rows: int, done: Callable[[], None]
) -> Explained:
    """Make a graph of every prompt and score it; ``done`` is called after each."""
    texts: list[str] = []
    found: list[Scores] = []
    shares: list[dict[int, float]] = []
    for prompt in prompts:
        graph = attribute(replacement, prompt, budget=Budget(rows=rows))
        texts.append(graph.prompt)
        scored = scores(graph)
        if isfinite(scored.replacement) and isfinite(scored.completeness):
            found.append(scored)
            shares.append(error_shares(graph))
        done()
    return Explained(
        scores=GraphScores(
            prompts=tuple(texts),
            rows=rows,
            n_scored=len(found),
            replacement=mean_of([each.replacement for each in found]),
            completeness=mean_of([each.completeness for each in found]),
            replacement_folded=mean_of([each.replacement_folded for each in found]),
            completeness_folded=mean_of([each.completeness_folded for each in found]),
        ),
        error_share={layer: mean([share[layer] for share in shares]) for layer in (shares[0] if shares else ())},
    )


def error_shares(graph: Graph) -> dict[int, float]:
    """The share of paths to the targets that starts in the errors of each layer, of those that start anywhere."""
    size, kind = influence(graph, fold=False), graph.nodes.kind
    errors = kind == Kind.ERROR
    total = float(size[errors | (kind == Kind.TOKEN)].sum())
    placed = errors & (graph.nodes.layer >= 0)
    summed = torch.bincount(graph.nodes.layer[placed], weights=size[placed], minlength=graph.n_layers)
    return dict(enumerate(value / total for value in numbers(summed)))


def refusal(transcoders: Transcoders) -> str | None:
    """Why a set allows no graphs; None where it does."""
    try:
        for dictionary in transcoders:
            check_traceable(dictionary, transcoders.name)
    except (DictionaryError, RequestError) as error:
        return str(error)
    return None
