"""What a proof runs, run one by one; random circuits of the same layers and roles."""

import json
from dataclasses import replace

import pytest

from circuitwise.edits import MeanOver, Only, ResampleFrom, Set
from circuitwise.errors import RequestError
from circuitwise.intervention import intervene
from circuitwise.study.backdrop import look_around
from circuitwise.study.proving import ProofChoice, draw_trial, proof_row_of, try_prompt
from circuitwise.vocabulary import Feature
from tests import tiny
from tests.study.asked import node, tiny_questions

MEMBERS = [node(Feature(0, 1), "-1"), node(Feature(1, 2), "-2"), node(Feature(2, 3), "-9")]


@pytest.fixture(scope="module")
def small():
    replacement, questions = tiny.tiny_replacement(), tiny_questions(4)
    return replacement, questions, look_around(replacement, questions, MEMBERS)


def settle(replacement, question, edits):
    return intervene(replacement, question.tokens, edits, difference=question.difference).difference_after


@pytest.mark.parametrize("ablation", ["mean", "contrast", "zero"])
def test_what_is_run_is_what_single_interventions_give(small, ablation):
    replacement, questions, backdrop = small
    how = ProofChoice(ablation=ablation, tried=2, activity=0.1)
    trial = draw_trial(MEMBERS[:2], backdrop, questions, how)
    question = questions[1]
    row = try_prompt(replacement, trial, question)
    assert question.contrast is not None
    reference = {
        "mean": MeanOver([list(each.tokens) for each in questions]),
        "contrast": ResampleFrom([list(question.contrast)]),
        "zero": None,
    }[ablation]
    value = 0.0 if reference is None else reference
    placed, drawn = question.places(trial.members), question.places(trial.random[7])
    assert row.empty == pytest.approx(settle(replacement, question, [Only((), reference)]), abs=1e-4)
    assert row.circuit == pytest.approx(settle(replacement, question, [Only(placed, reference)]), abs=1e-4)
    rest = settle(replacement, question, [Set(feature, value, at) for feature, at in placed])
    assert row.rest == pytest.approx(rest, abs=1e-4)
    assert row.without[0] == pytest.approx(settle(replacement, question, [Only(placed[1:], reference)]), abs=1e-4)
    random = settle(replacement, question, [Only(drawn, reference)])
    assert row.random_circuits[7] == pytest.approx(random, abs=1e-4)
    random = settle(replacement, question, [Set(feature, value, at) for feature, at in drawn])
    assert row.random_rests[7] == pytest.approx(random, abs=1e-4)
    assert (len(row.without), len(row.random_circuits), len(row.random_rests)) == (2, 100, 100)
    assert proof_row_of(json.loads(json.dumps(row.row()))) == row


def test_random_circuits_have_as_many_features_at_every_place(small):
    _, questions, backdrop = small
    how = ProofChoice(ablation="mean", activity=0.1, draw_from="others", references=3)
    trial = draw_trial(MEMBERS[:2], backdrop, questions, how)
    assert len(trial.random) == 100
    for drawn in trial.random:
        assert [(each.layer, each.role) for each in drawn] == [(0, "-1"), (1, "-2")]
        assert not set(drawn) & set(MEMBERS)
    assert len(trial.references) == 3
    assert trial == draw_trial(MEMBERS[:2], backdrop, questions, how)
    other = draw_trial(MEMBERS[:2], backdrop, questions, ProofChoice(activity=0.1, draw_from="others", seed=1))
    assert other.random != trial.random


def test_contrasts_are_the_usual_reference_and_means_where_a_prompt_has_none(small):
    _, questions, backdrop = small
    how = ProofChoice(activity=0.1, references=3)
    paired = draw_trial(MEMBERS[:2], backdrop, questions, how)
    assert paired.ablation == "contrast" and paired.references == ()
    mixed = draw_trial(MEMBERS[:2], backdrop, [*questions[1:], replace(questions[0], contrast=None)], how)
    assert mixed.ablation == "mean" and len(mixed.references) == 3


def test_what_proves_nothing_is_refused(small):
    replacement, questions, backdrop = small
    with pytest.raises(RequestError, match="100 random circuits at least"):
        ProofChoice(controls=10)
    with pytest.raises(RequestError, match="holds no feature"):
        draw_trial([], backdrop, questions)
    how = ProofChoice(ablation="contrast", activity=0.1)
    trial = draw_trial(MEMBERS[:2], backdrop, questions, how)
    alone = type(questions[0])(number=0, text="alone", tokens=questions[0].tokens, difference=questions[0].difference)
    with pytest.raises(RequestError, match="“alone” has no contrast"):
        try_prompt(replacement, trial, alone)
