"""Rows of single prompts recomputed another way, identities, and what all rows come to in any order."""

import json
import random
from dataclasses import replace

import pytest

from circuitwise.edits import Scale
from circuitwise.errors import ArtifactError, RequestError
from circuitwise.intervention import intervene
from circuitwise.planted import plant_decoy
from circuitwise.study.aims import InterventionChoice, choose_aims
from circuitwise.study.backdrop import Backdrop, look_around
from circuitwise.study.interventions import act, summarise
from circuitwise.study.measurement import COLUMNS, EXPERIMENTS, measurement_of
from circuitwise.vocabulary import Feature
from tests import tiny
from tests.planted.recovery import difference, prompts_of
from tests.study.asked import anywhere, node, planted_questions, tiny_questions

HOW = InterventionChoice(controls=1, strengths=(1.0, 3.0), steered=1)
S4_FIELDS = (
    "prompt_idx", "prompt", "baseline_logit_diff", "intervened_logit_diff", "effect_size", "relative_effect",
    "intervention_type", "layer", "features_intervened", "correct_token", "incorrect_token",
)  # fmt: skip


@pytest.fixture(scope="module")
def decoy():
    """A planted circuit with its questions, four of them in four groups."""
    planted = plant_decoy()
    members = anywhere(planted.true_features)
    backdrop = look_around(planted.replacement, planted_questions(planted, planted.train[:6]), members)
    pairs = list({pair.cluster: pair for pair in planted.held_out}.values())[:4]
    return planted, choose_aims(members, (), {}, backdrop, HOW), backdrop, pairs


@pytest.fixture(scope="module")
def rows(decoy):
    planted, aims, backdrop, pairs = decoy
    questions = planted_questions(planted, pairs)[::2]
    return [
        act(planted.replacement, experiment, aims, question, backdrop, HOW)
        for question in questions
        for experiment in EXPERIMENTS
    ]


def test_a_row_is_what_the_model_does_without_these_hidden_units(decoy, rows):
    planted, aims, _, pairs = decoy
    prompt = prompts_of(pairs)[0]
    for aim in aims:
        (row,) = [
            each
            for each in rows[0]
            if (each.aim, each.control, each.intervention_type) == (aim.label, "", "ablation_zero")
        ]
        n_pos = len(prompt.text.split()) + 1
        without = [(each.feature, pos) for each in aim.members if each.feature for pos in range(1, n_pos)]
        assert row.baseline_logit_diff == pytest.approx(difference(planted, prompt), abs=1e-4)
        assert row.intervened_logit_diff == pytest.approx(difference(planted, prompt, without=without), abs=1e-4)
        assert row.effect_size == row.baseline_logit_diff - row.intervened_logit_diff
        assert row.probability_effect == row.baseline_probability - row.intervened_probability


def test_patching_everything_gives_the_difference_of_the_contrast_itself(decoy, rows):
    planted, _, _, pairs = decoy
    prompt, other = prompts_of(pairs)[:2]
    (row,) = [each for each in rows[1] if each.kind == "everything"]
    own = difference(planted, replace(other, answer=prompt.answer))
    assert row.intervened_logit_diff == pytest.approx(own, abs=1e-4)
    (circuit,) = [each for each in rows[1] if each.aim == "circuit" and not each.control]
    assert circuit.intervened_logit_diff == pytest.approx(own, abs=0.1)  # the planted circuit is all there is


def test_rows_have_the_columns_of_s4_first_and_survive_a_file(rows):
    assert COLUMNS[:11] == S4_FIELDS
    for row in rows[0][:3] + rows[1][:2]:
        assert measurement_of(json.loads(json.dumps(row.row()))) == row
    with pytest.raises(ArtifactError, match="columns that are expected"):
        measurement_of({"prompt": "x"})


def test_the_planted_circuit_acts_and_its_controls_do_not(decoy, rows):
    _, aims, _, _ = decoy
    found = summarise([row for each in rows for row in each], aims)
    ablated, patched = found.find("ablation_zero"), found.find("patching")
    assert ablated.relative.estimate == pytest.approx(1, abs=0.05)
    assert ablated.control is not None
    assert abs(ablated.control.estimate) < 0.5
    assert patched.moved is not None
    assert patched.moved.estimate == pytest.approx(1, abs=0.02)
    assert patched.elsewhere is not None
    assert found.n_prompts == found.n_groups == 4
    assert found.contrast is not None
    assert found.contrast.estimate < 0 < found.baseline.estimate
    curve = next(each for each in found.curves if (each.intervention_type, each.aim) == ("steering_insert", "circuit"))
    assert curve.strengths == (0.0, 1.0, 3.0)
    assert curve.monotone
    assert curve.falling.estimate == 1
    with pytest.raises(RequestError, match="no patching of nobody"):
        found.find("patching", "nobody")


def test_what_rows_come_to_does_not_depend_on_their_order(decoy, rows):
    _, aims, _, _ = decoy
    flat = [row for each in rows for row in each]
    mixed = random.Random(0).sample(flat, len(flat))
    assert summarise(mixed, aims).as_json() == summarise(iter(flat), aims).as_json()


def test_a_prompt_alone_gives_the_same_rows_as_among_others(decoy, rows):
    planted, aims, backdrop, pairs = decoy
    last = planted_questions(planted, pairs)[::2][-1]
    assert act(planted.replacement, "ablation", aims, last, backdrop, HOW) == rows[-3]


@pytest.fixture(scope="module")
def small():
    replacement = tiny.tiny_replacement()
    questions = tiny_questions(4)
    members = [node(Feature(0, 1), "-1"), node(Feature(1, 2), "-2"), node(Feature(2, 3), "-9")]
    backdrop = look_around(replacement, questions, members)
    return replacement, questions, choose_aims(members, (), {}, backdrop, HOW), backdrop


def test_patching_a_prompt_from_itself_changes_nothing(small):
    replacement, questions, aims, backdrop = small
    itself = replace(questions[0], contrast=questions[0].tokens)
    rows = act(replacement, "patching", aims, itself, backdrop, HOW)
    assert len(rows) > 10
    assert {row.effect_size for row in rows} == {0.0}


def test_without_a_contrast_nothing_is_patched_or_inserted(small):
    replacement, questions, aims, backdrop = small
    alone = replace(questions[0], contrast=None)
    assert act(replacement, "patching", aims, alone, backdrop, HOW) == []
    steered = act(replacement, "steering", aims, alone, backdrop, HOW)
    assert {row.intervention_type for row in steered} == {"steering_amplify"}


def test_adding_nothing_changes_nothing(small):
    replacement, questions, aims, backdrop = small
    silent = Backdrop(n_prompts=backdrop.n_prompts, places={})
    rows = act(replacement, "steering", aims, questions[0], silent, HOW)
    assert {row.effect_size for row in rows} == {0.0}


def test_a_member_that_is_not_in_the_prompt_has_no_effect(small):
    replacement, questions, aims, backdrop = small
    rows = [row for row in act(replacement, "ablation", aims, questions[0], backdrop, HOW) if row.aim == "L2F3@-9"]
    assert len(rows) == 2
    assert {(row.effect_size, row.features_intervened) for row in rows} == {(0.0, "")}


def test_inhibition_is_minus_alpha_times_the_activation(small):
    replacement, questions, aims, backdrop = small
    how = replace(HOW, inhibition=0.5)
    rows = act(replacement, "ablation", aims, questions[1], backdrop, how)
    (row,) = [
        each
        for each in rows
        if each.aim == "circuit" and each.intervention_type == "ablation_inhibit" and not each.control
    ]
    edits = [Scale(feature, -0.5, at) for feature, at in questions[1].places(aims[0].members)]
    outcome = intervene(replacement, questions[1].tokens, edits, difference=questions[1].difference)
    assert row.strength == 0.5
    assert row.intervened_logit_diff == pytest.approx(outcome.difference_after, abs=1e-5)
    assert row.intervened_probability == pytest.approx(outcome.probability_after, abs=1e-6)


def test_everything_frozen_is_said_of_zero_ablation_alone(small):
    replacement, questions, aims, backdrop = small
    rows = act(replacement, "ablation", aims, questions[1], backdrop, HOW)
    assert {row.frozen_effect is not None for row in rows if row.intervention_type == "ablation_inhibit"} == {False}
    zero = [row for row in rows if row.intervention_type == "ablation_zero" and not row.control]
    assert all(row.frozen_effect is not None for row in zero)
    singles = sum(row.frozen_effect or 0.0 for row in zero if row.kind == "feature")
    (circuit,) = [row for row in zero if row.kind == "circuit"]
    assert circuit.frozen_effect == pytest.approx(singles, abs=1e-4)  # linear: effects add up
