"""Losses on neutral text are those of whole passes; steering with nothing costs nothing."""

import math

import pytest
import torch

from circuitwise.evidence import Bootstrap
from circuitwise.model.forward import run
from circuitwise.model.tokens import n_excluded, pad, tokenize
from circuitwise.planted import plant_decoy
from circuitwise.study.aims import InterventionChoice, choose_aims
from circuitwise.study.backdrop import Backdrop, look_around
from circuitwise.study.capability import CONTEXT, NeutralRow, capability, neutral_row_of, predict_neutral
from tests.study.asked import anywhere, planted_questions

HOW = InterventionChoice(controls=1, strengths=(1.0, 4.0))
TEXTS = ("the film was superb ! people", "what a cruel play it was")


def test_losses_before_are_those_of_one_pass_over_the_sentence():
    planted = plant_decoy()
    members = anywhere(planted.true_features)
    backdrop = look_around(planted.replacement, planted_questions(planted, planted.train[:4]), members)
    aims = choose_aims(members, (), {}, backdrop, HOW)
    rows = predict_neutral(planted.replacement, 0, aims, backdrop, HOW, TEXTS)
    model = planted.replacement.model
    tokens = tokenize(model, TEXTS[0])
    logits = run(model, pad([tokens]), logits="all").logits[0].double()
    start = n_excluded(model, tokens) + CONTEXT
    losses = -torch.log_softmax(logits, -1)[start - 1 : -1].gather(1, tokens[start:, None])
    assert {(row.control, row.strength) for row in rows} == {
        ("", 1.0),
        ("", 4.0),
        ("feature 1", 1.0),
        ("feature 1", 4.0),
    }
    assert {row.n_tokens for row in rows} == {len(losses)}
    assert rows[0].loss_before == pytest.approx(float(losses.mean()), abs=1e-5)
    assert rows[0].loss_after != rows[0].loss_before
    assert neutral_row_of(rows[0].row()) == rows[0]
    silent = Backdrop(n_prompts=1, places={})
    assert all(
        row.loss_after == row.loss_before for row in predict_neutral(planted.replacement, 1, aims, silent, HOW, TEXTS)
    )


def test_perplexity_counts_tokens_and_not_sentences():
    def row(sentence: int, n: int, after: float, control: str = "") -> NeutralRow:
        return NeutralRow(
            sentence=sentence, n_tokens=n, control=control, strength=2.0, loss_before=1.0, loss_after=after
        )

    rows = [row(0, 2, 2.0), row(1, 6, 1.5), row(2, 2, 1.0), *(row(each, 4, 1.0, "feature 1") for each in range(3))]
    (found,) = capability(rows, Bootstrap(draws=200))
    assert found.perplexity_before == pytest.approx(math.e)
    assert found.perplexity_after == pytest.approx(math.exp((2 * 2 + 6 * 1.5 + 2) / 10))
    assert found.change.estimate == pytest.approx(0.5)
    assert found.control is not None
    assert found.control.estimate == 0
