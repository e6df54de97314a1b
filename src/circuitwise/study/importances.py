"""Every feature against the logit difference: found on training prompts, tested again on test prompts.

1. on training prompts, every feature's correlation with the logit difference within cells (prompts with the same two
   answers, so that what separates one pair of words from another does not count), a permutation p, and q within its
   group (sparse, dense, layer 0)
2. the strongest candidates of each group again on test prompts, one-sided in the direction that was found, corrected
   for the candidates alone; *confirmed* means that this q is small enough

This is association; what a feature does is shown by an intervention.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitwise.errors import RequestError
from circuitwise.evidence.effects import q_values
from circuitwise.evidence.encoding import Encodings, encode_prompts
from circuitwise.evidence.importance import GROUPS, Group, ImportantFeature
from circuitwise.evidence.screening import Screen, correlations, p_values
from circuitwise.replacement import Replacement
from circuitwise.study.measurement import Cell
from circuitwise.study.question import Question
from circuitwise.vocabulary import integers

Progress = Callable[[int, int], None]
"""Called with the prompts that are read and the prompts that there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceChoice:
    """How features are found and confirmed."""

    prompts: int = 100
    """As many of each split are read at most, drawn by the seed."""
    candidates: int = 50
    """The strongest of each group that are tested again."""
    draws: int = 9999
    """Permutations."""
    alpha: float = 0.05
    """The share of false discoveries among what is called confirmed."""
    dense: float = 0.1
    """A feature that fires at more than this share of positions is dense."""
    seed: int = 456
    """Governs draws and permutations."""

    def __post_init__(self) -> None:
        if self.prompts < FEWEST or self.candidates < 1 or self.draws < 99 or not 0 < self.alpha < 1:
            raise RequestError(
                f"Importance asks for {FEWEST} prompts of each split at least, a candidate, 99 permutations and an "
                f"alpha between 0 and 1, not {self}."
            )


FEWEST = 6
"""Fewer prompts do not correlate with anything beyond chance."""
USUAL_SWEEP = ImportanceChoice()
"""How features are found and confirmed unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Importances:
    """Every feature's association with a behaviour."""

    candidates: tuple[ImportantFeature, ...]
    """Those that were tested again, group by group, strongest first."""
    layers: Mapping[int, Sequence[Mapping[str, Cell]]]
    """By layer, a row for every feature that was tested, strongest first: the tables that S4 asks for."""
    within: Literal["cells", "all prompts"]
    """Whether correlations are taken within cells; not where most prompts are the only one with their two answers."""
    n_tested: int
    """Features that were tested on training prompts."""
    n_training: int
    """Training prompts."""
    n_test: int
    """Test prompts."""

    @property
    def confirmed(self) -> tuple[ImportantFeature, ...]:
        """The candidates that held on test prompts."""
        return tuple(each for each in self.candidates if each.confirmed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """What training prompts say of the features that vary there."""

    encodings: Encodings
    """Of the training prompts."""
    columns: Int[Tensor, " tested"]
    """Of the encodings."""
    correlation: Float[Tensor, " tested"]
    """With the logit difference, within cells."""
    p: Float[Tensor, " tested"]
    """By permutation."""
    q: Float[Tensor, " tested"]
    """Corrected within its group."""
    group: Sequence[Group]
    """Each feature's group."""


def sweep(
    replacement: Replacement,
    training: Sequence[Question],
    test: Sequence[Question],
    how: ImportanceChoice = USUAL_SWEEP,
    progress: Progress | None = None,
) -> Importances:
    """Every feature's correlation with the logit difference."""
    first, second = _some(training, how, "training"), _some(test, how, "test")
    cells = _share_cells(first) and _share_cells(second)
    found = _discover(_encode(replacement, first, 3, progress), _codes(first, cells), how)
    again = _encode(replacement, second, 1, progress)
    screen = correlations(_aligned(again, found), again.difference, _codes(second, cells))
    return Importances(
        candidates=_candidates(found, screen, how),
        layers=_layers(found, screen.statistic),
        within="cells" if cells else "all prompts",
        n_tested=len(found.columns),
        n_training=len(first),
        n_test=len(second),
    )


def _some(questions: Sequence[Question], how: ImportanceChoice, name: str) -> list[Question]:
    """All prompts, or as many as are asked for."""
    if len(questions) < FEWEST:
        raise RequestError(
            f"{len(questions)} {name} prompts are too few to correlate anything with. Give {FEWEST} at least."
        )
    order = np.random.default_rng(how.seed).permutation(len(questions))[: how.prompts]
    return [questions[int(number)] for number in sorted(order)]


def _share_cells(questions: Sequence[Question]) -> bool:
    """Whether most prompts have the two answers of another one."""
    counts = Counter(question.difference for question in questions)
    return sum(counts[question.difference] > 1 for question in questions) >= len(questions) / 2


def _codes(questions: Sequence[Question], cells: bool) -> Int[Tensor, " prompt"]:
    """The number of each prompt's cell, or one for each prompt where cells do not count."""
    names = [question.difference if cells else question.number for question in questions]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names], device="cpu")


def _encode(
    replacement: Replacement, questions: Sequence[Question], fewest: int, progress: Progress | None
) -> Encodings:
    tokens = [question.tokens for question in questions]
    differences = [question.difference for question in questions]
    return encode_prompts(replacement, tokens, differences, fewest=fewest, progress=progress)


def _discover(encodings: Encodings, codes: Int[Tensor, " prompt"], how: ImportanceChoice) -> _Found:
    """What varies on training prompts, and how it goes with the logit difference there."""
    columns = torch.where(encodings.activation.amax(0) > encodings.activation.amin(0))[0]
    if not len(columns):
        raise RequestError("No feature varies over the training prompts, so none can be tested. Give more prompts.")
    screen = correlations(encodings.activation[:, columns], encodings.difference, codes)
    p = p_values(screen, draws=how.draws, seed=how.seed)
    dense = encodings.density[columns] > how.dense
    group: list[Group] = [
        "layer 0" if layer == 0 else "dense" if often else "sparse"
        for layer, often in zip(integers(encodings.layer[columns]), integers(dense), strict=True)
    ]
    q = torch.empty_like(p)
    for members in _by_group(group):
        q[members] = torch.from_numpy(q_values(p[members].double())).float()
    return _Found(encodings=encodings, columns=columns, correlation=screen.statistic, p=p, q=q, group=group)


def _by_group(group: Sequence[Group]) -> list[Int[Tensor, " member"]]:
    """The places of each group's members, group by group."""
    places = [[place for place, own in enumerate(group) if own == name] for name in GROUPS]
    return [torch.tensor(members, device="cpu") for members in places if members]


def _aligned(again: Encodings, found: _Found) -> Float[Tensor, "prompt tested"]:
    """The tested features on test prompts; those that never fire there stay at zero."""
    columns = {again.feature(column): column for column in range(again.activation.shape[1])}
    activation = torch.zeros(len(again), len(found.columns), device="cpu")
    there = [columns.get(found.encodings.feature(int(column)), -1) for column in found.columns]
    place = torch.tensor(there, device="cpu")
    activation[:, place >= 0] = again.activation[:, place[place >= 0]]
    return activation


def _candidates(found: _Found, screen: Screen, how: ImportanceChoice) -> tuple[ImportantFeature, ...]:
    """The strongest of each group, tested again in the direction that was found."""
    chosen = [
        members[torch.argsort(found.correlation[members].abs(), descending=True, stable=True)][: how.candidates]
        for members in _by_group(found.group)
    ]
    return tuple(candidate for members in chosen for candidate in _confirmed(found, members, screen, how))


def _confirmed(
    found: _Found, members: Int[Tensor, " chosen"], screen: Screen, how: ImportanceChoice
) -> list[ImportantFeature]:
    again = replace(screen, columns=screen.columns[:, members])
    p = p_values(again, draws=how.draws, seed=how.seed + 1, signs=found.correlation[members].sign())
    q = q_values(p.double())
    return [
        ImportantFeature(
            feature=found.encodings.feature(int(found.columns[number])),
            group=found.group[number],
            frequency=float(found.encodings.frequency[found.columns[number]]),
            statistic=float(found.correlation[number]),
            size=float(found.correlation[number]),
            p=float(found.p[number]),
            q=float(found.q[number]),
            held_out=float(again.statistic[place]),
            held_out_size=float(again.statistic[place]),
            p_held_out=float(p[place]),
            q_held_out=float(q[place]),
            confirmed=bool(q[place] <= how.alpha),
        )
        for place, number in enumerate(integers(members))
    ]


def _layers(found: _Found, held_out: Float[Tensor, " tested"]) -> dict[int, list[Mapping[str, Cell]]]:
    """The tables: one a layer, strongest correlation first."""
    tables: dict[int, list[Mapping[str, Cell]]] = {}
    for number in integers(found.correlation.abs().argsort(descending=True, stable=True)):
        column = int(found.columns[number])
        feature = found.encodings.feature(column)
        tables.setdefault(feature.layer, []).append(
            {
                "feature": feature.index,
                "correlation": float(found.correlation[number]),
                "p": float(found.p[number]),
                "q": float(found.q[number]),
                "held_out_correlation": float(held_out[number]),
                "frequency": float(found.encodings.frequency[column]),
                "density": float(found.encodings.density[column]),
                "group": found.group[number],
            }
        )
    return dict(sorted(tables.items()))
