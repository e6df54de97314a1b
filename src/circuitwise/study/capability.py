"""What steering costs elsewhere: how much worse the model predicts neutral text under the same edit.

Every token of a sentence is predicted from what is before it, once as the model does it and once with the circuit's
features steered where their roles are in that beginning.

    perplexity = exp(mean loss over tokens)
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from circuitwise.evidence import Bootstrap, Interval, Ratio, bootstrap
from circuitwise.intervention import Case, Outcome, intervene_many
from circuitwise.model.tokens import n_excluded, text_ids, tokenize
from circuitwise.replacement import Replacement
from circuitwise.study.acting import nothing
from circuitwise.study.aims import USUAL, Aim, InterventionChoice
from circuitwise.study.backdrop import Backdrop
from circuitwise.study.question import Question
from circuitwise.study.steering import steer_edits
from circuitwise.targets import Difference

NEUTRAL = (
    "The train reaches the coast before noon.",
    "She cut two slices of bread.",
    "The garden was full of snails.",
    "The library lends books for three weeks.",
    "They painted the kitchen yellow.",
    "A small river turns the wheel.",
)
"""Sentences that have nothing to do with any behaviour."""
CONTEXT = 2
"""A token is predicted from as many before it at least."""
FIRST_CONTROL = "feature 1"
LARGEST = 700.0
"""A larger mean loss has no perplexity that a number can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeutralRow:
    """One sentence under one strength of steering."""

    sentence: int
    """Which one."""
    n_tokens: int
    """Tokens that were predicted."""
    control: str
    """Empty for the circuit; ``feature 1`` for features drawn in its place."""
    strength: float
    """In mean activations."""
    loss_before: float
    """Mean loss a token, in nats."""
    loss_after: float
    """The same under steering."""

    def row(self) -> dict[str, str | int | float]:
        """The fields by name."""
        return asdict(self)


def neutral_row_of(row: Mapping[str, Any]) -> NeutralRow:
    """The value whose fields were written as a row."""
    return NeutralRow(**dict(row))


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Neutral text under one strength of steering."""

    strength: float
    """In mean activations."""
    perplexity_before: float
    """Of all sentences together."""
    perplexity_after: float
    """The same under steering."""
    change: Interval
    """How much the mean loss a token rises, in nats, with its interval over sentences."""
    control: Interval | None
    """The same with features drawn in their place."""


def predict_neutral(
    replacement: Replacement,
    sentence: int,
    aims: Sequence[Aim],
    backdrop: Backdrop,
    how: InterventionChoice = USUAL,
    texts: Sequence[str] = NEUTRAL,
) -> list[NeutralRow]:
    """One neutral sentence under every strength of steering the circuit, and its first control."""
    model = replacement.model
    ids = text_ids(model, texts[sentence])
    first = n_excluded(model, tokenize(model, ids))
    starts = [_start(ids, cut, first) for cut in range(first + CONTEXT, len(ids))]
    circuit = next(aim for aim in aims if aim.kind == "circuit")
    wanted = [(control, nodes, strength) for control, nodes in circuit.arms[:2] for strength in how.strengths]
    unchanged = nothing(replacement)
    cases = [
        Case(start.tokens, steer_edits(nodes, start, backdrop, strength) or unchanged)
        for _, nodes, strength in wanted
        for start in starts
    ]
    targets = [ids[start.number] for _ in wanted for start in starts]
    outcomes = zip(intervene_many(replacement, cases), targets, strict=True)
    losses = torch.tensor([_losses(outcome, target) for outcome, target in outcomes], dtype=torch.float64)
    means = losses.view(len(wanted), len(starts), 2).mean(1)
    return [
        NeutralRow(
            sentence=sentence,
            n_tokens=len(starts),
            control=control,
            strength=strength,
            loss_before=float(before),
            loss_after=float(after),
        )
        for (control, _, strength), (before, after) in zip(wanted, means, strict=True)
    ]


def capability(rows: Iterable[NeutralRow], how: Bootstrap) -> tuple[Capability, ...]:
    """What neutral text loses at each strength, over all sentences."""
    found: dict[tuple[float, str], list[NeutralRow]] = {}
    for row in rows:
        found.setdefault((row.strength, row.control), []).append(row)
    return tuple(
        Capability(
            strength=strength,
            perplexity_before=_perplexity(own, [row.loss_before for row in own]),
            perplexity_after=_perplexity(own, [row.loss_after for row in own]),
            change=_change(own, how),
            control=_change(found[strength, FIRST_CONTROL], how) if (strength, FIRST_CONTROL) in found else None,
        )
        for (strength, control), own in sorted(found.items())
        if not control
    )


def _start(ids: Sequence[int], cut: int, first: int) -> Question:
    """The beginning of a sentence; its two answers do not count."""
    return Question(number=cut, text="", tokens=tuple(ids[:cut]), difference=Difference(0, 1), first=first)


def _losses(outcome: Outcome, token: int) -> tuple[float, float]:
    """What the model loses on the token that follows, before and after."""
    before, after = (
        -torch.log_softmax(each.double(), -1)[token] for each in (outcome.logits_before, outcome.logits_after)
    )
    return float(before), float(after)


def _perplexity(rows: Sequence[NeutralRow], losses: Sequence[float]) -> float:
    n_tokens = sum(row.n_tokens for row in rows)
    mean = sum(loss * row.n_tokens for loss, row in zip(losses, rows, strict=True)) / n_tokens
    return math.exp(mean) if mean < LARGEST else math.inf


def _change(rows: Sequence[NeutralRow], how: Bootstrap) -> Interval:
    """The rise of the loss a token: a ratio of sums over sentences."""
    total = [(row.loss_after - row.loss_before) * row.n_tokens for row in rows]
    return bootstrap(total, [float(row.n_tokens) for row in rows], statistic=Ratio(), how=how)
