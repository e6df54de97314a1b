"""Steering of one prompt: the strength times a feature's mean activation is added to it.

    amplify   the features of the aim that fire on this prompt: more of what is there
    insert    those that fire on the contrast prompt and not here: what would belong to the other answer

A control adds, for every feature that is steered, as many mean activations of the feature that stands in its place.
"""

from collections.abc import Collection, Iterator, Sequence

from circuitwise.circuit.roles import RoleNode
from circuitwise.edits import Steer
from circuitwise.evidence.encoding import fired
from circuitwise.model.tokens import tokenize
from circuitwise.replacement import Replacement
from circuitwise.study.acting import Act
from circuitwise.study.aims import Aim, InterventionChoice
from circuitwise.study.backdrop import Backdrop
from circuitwise.study.measurement import InterventionType
from circuitwise.study.question import Ids, Question
from circuitwise.vocabulary import integers

FiredAt = set[tuple[int, int, int]]
"""Layer, feature and position of everything that fires."""


def steers(
    replacement: Replacement, aims: Sequence[Aim], question: Question, backdrop: Backdrop, how: InterventionChoice
) -> Iterator[Act]:
    """The circuit, and the strongest features one by one, at every strength, each beside its controls."""
    prompts = [question.tokens] if question.contrast is None else [question.tokens, question.contrast]
    here, *there = _firing(replacement, prompts)
    features = [aim for aim in aims if aim.kind == "feature"][: how.steered]
    for aim in [aim for aim in aims if aim.kind == "circuit"] + features:
        yield from _strengths("steering_amplify", aim, _where(aim, question, here), question, backdrop, how)
        if there:
            missing = [place for place in _where(aim, question, there[0]) if place not in _where(aim, question, here)]
            yield from _strengths("steering_insert", aim, missing, question, backdrop, how)


def steer_edits(nodes: Sequence[RoleNode], question: Question, backdrop: Backdrop, strength: float) -> list[Steer]:
    """So many mean activations added to each feature, where its role is."""
    return [
        Steer(feature, strength * backdrop.often(node).mean, at=at)
        for node in nodes
        for feature, at in question.places([node])
    ]


def _strengths(
    intervention_type: InterventionType,
    aim: Aim,
    chosen: Collection[int],
    question: Question,
    backdrop: Backdrop,
    how: InterventionChoice,
) -> Iterator[Act]:
    """An aim's chosen members at every strength, then what stands in their place."""
    for control, nodes in aim.aligned:
        steered = [node for number, node in enumerate(nodes) if number in chosen and node is not None]
        for strength in how.strengths:
            yield Act(
                intervention_type=intervention_type,
                aim=aim.label,
                kind=aim.kind,
                control=control,
                strength=strength,
                placed=question.places(steered),
                edits=steer_edits(steered, question, backdrop, strength),
            )


def _where(aim: Aim, question: Question, firing: FiredAt) -> list[int]:
    """The numbers of those members that fire where they are."""
    found: list[int] = []
    for number, node in enumerate(aim.members):
        at = question.positions(node)
        if at is not None and any((node.layer, node.index, pos) in firing for pos in at.positions):
            found.append(number)
    return found


def _firing(replacement: Replacement, prompts: Sequence[Ids]) -> list[FiredAt]:
    tokens = [tokenize(replacement.model, prompt) for prompt in prompts]
    return [
        set(zip(integers(each.layer), integers(each.feature), integers(each.pos), strict=True))
        for each in fired(replacement, tokens)
    ]
