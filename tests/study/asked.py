"""Planted circuits and tiny models as questions, and the sets of features that studies act on."""

from collections.abc import Iterable, Sequence

from circuitwise.circuit.roles import RoleNode
from circuitwise.graph import Kind
from circuitwise.model.tokens import n_excluded, tokenize
from circuitwise.planted import Planted, PlantedPair, PlantedPrompt
from circuitwise.study.question import Question
from circuitwise.targets import Difference, token_id
from circuitwise.vocabulary import Feature, integers
from tests import tiny

ANSWERS = Difference(5, 9)


def planted_questions(planted: Planted, pairs: Sequence[PlantedPair]) -> list[Question]:
    """Both prompts of every pair, each with the other as its contrast."""
    both = [ends for pair in pairs for ends in ((pair, pair.clean, pair.corrupted), (pair, pair.corrupted, pair.clean))]
    return [_question(planted, number, *ends) for number, ends in enumerate(both)]


def _question(
    planted: Planted, number: int, pair: PlantedPair, prompt: PlantedPrompt, other: PlantedPrompt
) -> Question:
    model = planted.replacement.model
    tokens = tokenize(model, prompt.text)
    return Question(
        number=number,
        text=prompt.text,
        tokens=tuple(integers(tokens)),
        contrast=tuple(integers(tokenize(model, other.text))),
        difference=Difference(token_id(model, prompt.answer.correct), token_id(model, prompt.answer.incorrect)),
        correct=str(prompt.answer.correct),
        incorrect=str(prompt.answer.incorrect),
        group=pair.cluster,
        first=n_excluded(model, tokens),
    )


def anywhere(features: Iterable[Feature]) -> list[RoleNode]:
    """Features wherever they fire."""
    return [node(feature, "") for feature in sorted(features)]


def node(feature: Feature, role: str) -> RoleNode:
    """A feature in a role."""
    return RoleNode(Kind.FEATURE, feature.layer, role, feature.index)


def tiny_questions(n: int, length: int = 6) -> list[Question]:
    """Random prompts of a tiny model, each with another one as its contrast, two of a group."""
    tokens = [tuple(integers(tiny.tokens_of(length, seed))) for seed in range(n + 1)]
    return [
        Question(
            number=number,
            text=f"prompt {number}",
            tokens=tokens[number],
            contrast=tokens[number + 1],
            difference=ANSWERS,
            correct="five",
            incorrect="nine",
            group=f"group {number // 2}",
        )
        for number in range(n)
    ]
