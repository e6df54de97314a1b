"""The runs that a proof needs, prompt by prompt: nothing, the circuit alone, all but it, and random circuits.

    alone    every feature outside of the circuit takes its reference, everywhere
    without  the circuit's features take theirs, each where its role is

The reference is a feature's value on the contrast prompt, which differs in the subject alone, its mean over prompts
that the circuit was found on, or zero.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from circuitwise.circuit.roles import RoleNode
from circuitwise.edits import Edit, MeanOver, Only, ResampleFrom, Set
from circuitwise.errors import RequestError
from circuitwise.evidence.intervals import Bootstrap
from circuitwise.evidence.nulls import random_circuits
from circuitwise.evidence.weighing import Demands
from circuitwise.intervention import Case, intervene_many
from circuitwise.replacement import Replacement
from circuitwise.study.acting import nothing
from circuitwise.study.backdrop import Backdrop
from circuitwise.study.question import Ids, Placed, Question

Ablation = Literal["contrast", "mean", "zero"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofChoice:
    """How a circuit is put to the proof."""

    ablation: Literal["usual", "contrast", "mean", "zero"] = "usual"
    """What ablated features are set to: their value on the contrast prompt, their mean, or zero. Usual is the first
    where every prompt has a contrast, else the second."""
    controls: int = 100
    """Random circuits, with as many features of every layer and role."""
    draw_from: Literal["all", "others"] = "all"
    """Whether random circuits may hold members of the real one."""
    activity: float = 0.5
    """Only features that fire at a place on this share of prompts can be drawn there."""
    tried: int = 10
    """As many of the strongest members are left out one at a time."""
    references: int = 20
    """Prompts that means are taken over."""
    demands: Demands = Demands()
    """What is asked of the circuit, declared before anything is measured."""
    bootstrap: Bootstrap = Bootstrap(seed=789)
    """How intervals are found."""
    seed: int = 456
    """Governs the random circuits and the references."""

    def __post_init__(self) -> None:
        if self.controls < 100 or self.tried < 1 or self.references < 1 or not 0 < self.activity <= 1:
            raise RequestError(
                "A proof needs 100 random circuits at least, one member to leave out, one prompt to take means over "
                f"and an activity above 0 and up to 1, not {self}."
            )


USUAL_PROOF = ProofChoice()
"""How a circuit is put to the proof unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is run on every prompt."""

    ablation: Ablation
    """What ablated features are set to."""
    members: tuple[RoleNode, ...]
    """The circuit, strongest first."""
    tried: tuple[RoleNode, ...]
    """Members that are left out one at a time."""
    random: tuple[tuple[RoleNode, ...], ...]
    """Random circuits."""
    references: tuple[Ids, ...]
    """Prompts that means are taken over; empty where none are needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRow:
    """The logit difference of one prompt under everything that was run."""

    prompt_idx: int
    """The prompt's place in its split."""
    group: str
    """Its group."""
    full: float
    """Of the whole model."""
    empty: float
    """With every feature at its reference."""
    circuit: float
    """Of the circuit alone."""
    rest: float
    """Of all but the circuit."""
    without: tuple[float, ...]
    """Of the circuit alone without each tried member."""
    random_circuits: tuple[float, ...]
    """Of each random circuit alone."""
    random_rests: tuple[float, ...]
    """Of all but each random circuit."""

    def row(self) -> dict[str, Any]:
        """The fields by name; lists stay lists."""
        return asdict(self)


def proof_row_of(row: Mapping[str, Any]) -> ProofRow:
    """The value whose fields were written as a row."""
    lists: dict[str, Any] = {name: tuple(row[name]) for name in ("without", "random_circuits", "random_rests")}
    return ProofRow(**{**row, **lists})


def draw_trial(
    members: Sequence[RoleNode], backdrop: Backdrop, training: Sequence[Question], how: ProofChoice = USUAL_PROOF
) -> Trial:
    """What to run: the circuit, its random counterparts, and training prompts that means are taken over."""
    circuit = tuple(dict.fromkeys(members))
    if not circuit:
        raise RequestError("The circuit holds no feature, so there is nothing to prove. Lower its thresholds.")
    active = [node for place in backdrop.places for node in backdrop.firing(place, how.activity)]
    pool = [*circuit, *active] if how.draw_from == "all" else [node for node in active if node not in circuit]
    drawn = random_circuits(circuit, pool, _place, n=how.controls, seed=how.seed)
    ablation = how.ablation
    if ablation == "usual":
        ablation = "mean" if any(question.contrast is None for question in training) else "contrast"
    order = np.random.default_rng(how.seed).permutation(len(training))[: how.references]
    references = [training[int(number)].tokens for number in sorted(order)] if ablation == "mean" else []
    return Trial(
        ablation=ablation,
        members=circuit,
        tried=circuit[: how.tried],
        random=tuple(drawn),
        references=tuple(references),
    )


def try_prompt(replacement: Replacement, trial: Trial, question: Question) -> ProofRow:
    """All runs of one prompt."""
    reference = _reference(trial, question)
    unchanged = nothing(replacement)
    edits = _edits(trial, question, reference)
    cases = [Case(question.tokens, each or unchanged, question.difference) for each in edits]
    outcomes = list(intervene_many(replacement, cases))
    values = [outcome.difference_after for outcome in outcomes]
    full = outcomes[0].difference_before
    found = [value for value in values if value is not None]
    assert full is not None and len(found) == len(values)
    n_tried, n_random = 3 + len(trial.tried), len(trial.random)
    return ProofRow(
        prompt_idx=question.number,
        group=question.group,
        full=full,
        empty=found[0],
        circuit=found[1],
        rest=found[2],
        without=tuple(found[3:n_tried]),
        random_circuits=tuple(found[n_tried : n_tried + n_random]),
        random_rests=tuple(found[n_tried + n_random :]),
    )


def _place(node: RoleNode) -> tuple[int, str]:
    return node.layer, node.role


def _reference(trial: Trial, question: Question) -> MeanOver | ResampleFrom | None:
    match trial.ablation:
        case "zero":
            return None
        case "mean":
            return MeanOver([list(tokens) for tokens in trial.references])
        case "contrast":
            if question.contrast is None:
                raise RequestError(
                    f"“{question.text}” has no contrast that ablated features could take their values from. Ablate to "
                    "the mean instead, or give every prompt a contrast."
                )
            return ResampleFrom([list(question.contrast)])


def _edits(trial: Trial, question: Question, reference: MeanOver | ResampleFrom | None) -> Iterator[list[Edit]]:
    """Nothing, the circuit, the rest, the circuit without a member, random circuits, all but random circuits."""
    circuit = question.places(trial.members)
    yield [Only((), reference)]
    yield [Only(circuit, reference)]
    yield _without(circuit, reference)
    for left_out in trial.tried:
        yield [Only(question.places([node for node in trial.members if node != left_out]), reference)]
    random = [question.places(drawn) for drawn in trial.random]
    for drawn in random:
        yield [Only(drawn, reference)]
    for drawn in random:
        yield _without(drawn, reference)


def _without(placed: Sequence[Placed], reference: MeanOver | ResampleFrom | None) -> list[Edit]:
    """Features at their reference."""
    return [Set(feature, 0.0 if reference is None else reference, at) for feature, at in placed]
