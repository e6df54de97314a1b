"""What is done to one prompt, run and written down."""

from collections.abc import Sequence
from dataclasses import dataclass

from circuitwise.edits import LAST, Edit, Freeze, Scale
from circuitwise.intervention import Case, Outcome, intervene_many
from circuitwise.replacement import Replacement
from circuitwise.study.measurement import AimKind, InterventionType, Measurement
from circuitwise.study.question import Placed, Question
from circuitwise.vocabulary import Feature


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Act:
    """One thing that is done."""

    intervention_type: InterventionType
    """What it is called."""
    aim: str
    """What is aimed at."""
    kind: AimKind
    """Which sort of aim that is."""
    control: str = ""
    """What stands for the aim; empty for itself."""
    strength: float | None = None
    """How strongly."""
    placed: Sequence[Placed] = ()
    """The features that are changed, each at its positions."""
    edits: Sequence[Edit]
    """The changes; none where the aim is not in the prompt."""
    predicted: bool = False
    """Whether the effect with everything frozen is asked for, too."""


def perform(replacement: Replacement, question: Question, deeds: Sequence[Act]) -> list[Measurement]:
    """What each deed does to a prompt, in order."""
    frozen = [number for number, deed in enumerate(deeds) if deed.predicted and deed.edits]
    linear = _outcomes(replacement, question, [deeds[number] for number in frozen], Freeze.EVERYTHING)
    effects = {number: outcome.effect for number, outcome in zip(frozen, linear, strict=True)}
    live = _outcomes(replacement, question, deeds, Freeze.NOTHING)
    return [
        _measurement(question, deed, outcome, effects.get(number, 0.0) if deed.predicted else None)
        for number, (deed, outcome) in enumerate(zip(deeds, live, strict=True))
    ]


def nothing(replacement: Replacement) -> list[Edit]:
    """A change that changes nothing, for prompts in which there is nothing to be changed."""
    return [Scale(Feature(next(iter(replacement.transcoders)).layer, 0), 1.0, LAST)]


def _outcomes(replacement: Replacement, question: Question, deeds: Sequence[Act], freeze: Freeze) -> list[Outcome]:
    unchanged = nothing(replacement)
    cases = [Case(question.tokens, deed.edits or unchanged, question.difference) for deed in deeds]
    return list(intervene_many(replacement, cases, freeze=freeze))


def _measurement(question: Question, deed: Act, outcome: Outcome, frozen: float | None) -> Measurement:
    before, after, effect = outcome.difference_before, outcome.difference_after, outcome.effect
    assert before is not None and after is not None and effect is not None
    return Measurement(
        prompt_idx=question.number,
        prompt=question.text,
        baseline_logit_diff=before,
        intervened_logit_diff=after,
        effect_size=effect,
        relative_effect=outcome.relative_effect,
        intervention_type=deed.intervention_type,
        layer=" ".join(str(layer) for layer in sorted({feature.layer for feature, _ in deed.placed})),
        features_intervened=" ".join(f"{feature}{at}" for feature, at in deed.placed),
        correct_token=question.correct,
        incorrect_token=question.incorrect,
        aim=deed.aim,
        kind=deed.kind,
        control=deed.control,
        strength=deed.strength,
        baseline_probability=outcome.probability_before,
        intervened_probability=outcome.probability_after,
        probability_effect=outcome.probability_effect,
        frozen_effect=frozen,
        group=question.group,
    )
