"""A planted circuit is supported, a decoy is not; every number of a sentence is one that was measured."""

import json
import re
from dataclasses import replace

import pytest

from circuitwise.planted import plant_decoy
from circuitwise.study.aims import InterventionChoice, choose_aims
from circuitwise.study.backdrop import look_around
from circuitwise.study.interventions import act, summarise
from circuitwise.study.measurement import EXPERIMENTS
from circuitwise.study.proof import conclude, not_shown
from circuitwise.study.proving import ProofChoice, ProofRow, Trial, draw_trial, try_prompt
from circuitwise.study.sentences import chance, nats, percent
from circuitwise.vocabulary import Feature
from tests.study.asked import anywhere, node, planted_questions

HOW = ProofChoice(draw_from="others", activity=0.1, references=3)
ACTS = InterventionChoice(controls=1, strengths=(1.0, 2.0), steered=0)


@pytest.fixture(scope="module")
def planted():
    return plant_decoy()


def questions_of(planted):
    pairs = list({pair.cluster: pair for pair in planted.held_out}.values())[:3]
    return planted_questions(planted, pairs)[::2]


def proved(planted, features):
    """The trial and the rows of a set of features."""
    members = anywhere(features)
    training = planted_questions(planted, planted.train[:6])
    backdrop = look_around(planted.replacement, training, members)
    trial = draw_trial(members, backdrop, training, HOW)
    rows = [try_prompt(planted.replacement, trial, question) for question in questions_of(planted)]
    aims = choose_aims(members, (), {}, backdrop, ACTS)
    acted = [
        row
        for question in questions_of(planted)
        for experiment in EXPERIMENTS
        for row in act(planted.replacement, experiment, aims, question, backdrop, ACTS)
    ]
    return trial, rows, summarise(acted, aims)


@pytest.fixture(scope="module")
def true(planted):
    return proved(planted, planted.true_features)


def test_the_planted_circuit_is_supported_and_its_sentences_have_its_numbers(true):
    trial, rows, acted = true
    proof = conclude("decoy", trial, rows, acted, how=HOW)
    assert proof.verdict == "supported", proof.headline
    claims = {claim.name: claim for claim in proof.claims}
    lost = claims["necessity"]
    assert lost.value.estimate == pytest.approx(1, abs=0.05)
    assert lost.p == pytest.approx(1 / 101)
    full, rest = (sum(getattr(row, name) for row in rows) / len(rows) for name in ("full", "rest"))
    told = next(sentence.text for sentence in proof.sentences if sentence.claim == "necessity")
    assert lost.null is not None
    assert numbers(told) == [
        "4",
        nats(full),
        nats(rest),
        *(percent(each).removesuffix(" %") for each in (lost.value.estimate, lost.value.low, lost.value.high)),
        "100",
        percent(lost.null.mean).removesuffix(" %"),
        chance(lost.p),
    ]
    assert told.startswith(
        "With these 4 features set as on the contrast prompt, the logit difference falls from "
        f"{nats(full)} to {nats(rest)} nats"
    )
    patched = acted.find("patching")
    assert patched.control is not None
    assert patched.moved is not None
    told = next(sentence.text for sentence in proof.sentences if sentence.claim == "patching")
    for value in (patched.baseline, patched.intervened, patched.effect, patched.control):
        assert nats(value.estimate) in told
    assert percent(patched.moved.estimate) in told
    assert (proof.n_prompts, proof.n_groups, len(proof.members)) == (3, 3, 4)
    assert proof.sentences[0].claim in ("necessity", "sufficiency")
    assert proof.evidence["necessity"] == lost
    json.dumps(proof.as_json(), allow_nan=False)


def numbers(text: str) -> list[str]:
    return re.findall(r"-?\d+(?:\.\d+)?(?:e-\d+)?", text)


def test_a_decoy_is_refuted_whatever_it_goes_with(planted):
    trial, rows, acted = proved(planted, planted.decoys)
    proof = conclude("decoy", trial, rows, acted, how=HOW)
    assert proof.verdict == "refuted", proof.headline
    assert {claim.name: claim.verdict for claim in proof.claims}["patching"] != "supported"
    assert proof.headline.startswith("Refuted: on 3 held-out prompts the circuit carries no more")


def trial_of(n: int) -> Trial:
    members = tuple(node(Feature(0, index), "") for index in range(n))
    return Trial(ablation="zero", members=members, tried=members[:1], random=(members,) * 100, references=())


def row(number: int, *, circuit: float, rest: float, full: float = 4.0, random: float = 0.0) -> ProofRow:
    wobble = 0.05 * number
    return ProofRow(
        prompt_idx=number,
        group=str(number),
        full=full + wobble,
        empty=0.0,
        circuit=circuit + wobble,
        rest=rest + wobble,
        without=(circuit,),
        random_circuits=tuple(random + each / 1000 for each in range(100)),
        random_rests=tuple(full - random + each / 1000 for each in range(100)),
    )


def test_a_part_of_the_behaviour_beats_chance_without_being_all_of_it():
    proof = conclude("part", trial_of(5), [row(number, circuit=1.2, rest=2.5) for number in range(4)])
    assert proof.verdict == "supported"
    assert {claim.name: claim.verdict for claim in proof.claims}["sufficiency"] == "refuted"  # 0.8 was asked for
    assert "Alone it keeps 3" in proof.headline


def test_what_random_circuits_do_as_well_is_refuted_and_what_varies_is_undecided():
    proof = conclude("random", trial_of(5), [row(each, circuit=1.2, rest=2.5, random=2.0) for each in range(4)])
    assert proof.verdict == "refuted"
    assert "100 of 100 random circuits do as much" in proof.headline
    mixed = [row(each, circuit=1.0 + 3 * (-1) ** each, rest=3.0 + 3 * (-1) ** each) for each in range(4)]
    assert conclude("mixed", trial_of(5), mixed).verdict == "undecided"


def test_what_cannot_be_measured_is_not_shown_with_the_reason():
    backwards = [row(number, circuit=-1.0, rest=-2.0, full=-3.0) for number in range(4)]
    proof = conclude("backwards", trial_of(5), backwards)
    assert proof.verdict == "not shown"
    assert proof.headline.startswith("Not shown: The metric is -2.92 for the model and 0 with everything ablated")
    lower = [replace(each, empty=-9.0) for each in backwards]
    proof = conclude("lower", trial_of(5), lower)
    assert proof.verdict == "not shown"
    assert "prefers the wrong answer by 2.92 nats" in proof.headline
    assert conclude("none", trial_of(5), []).headline == "Not shown: No held-out prompt could be run."
    assert conclude("few", trial_of(5), backwards[:2]).verdict == "not shown"
    assert not_shown("empty", "The circuit holds no feature.").headline == "Not shown: The circuit holds no feature."
