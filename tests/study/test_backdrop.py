"""How often and how strongly features fire at places, counted in another way."""

import pytest

from circuitwise.planted import plant_decoy
from circuitwise.storage.jsontext import canonical_json, parse_json
from circuitwise.study.backdrop import Often, backdrop_of, look_around
from circuitwise.vocabulary import Feature
from tests.planted.recovery import firing, prompts_of
from tests.study.asked import node, planted_questions


def test_shares_and_means_are_those_of_a_count_of_ones_own():
    planted = plant_decoy()
    pairs = planted.train[:4]
    questions = planted_questions(planted, pairs)
    members = [node(Feature(1, 0), "-1"), node(Feature(0, 0), "")]
    found = look_around(planted.replacement, questions, members)
    seen = [
        (firing(planted, prompt), len(question.tokens))
        for prompt, question in zip(prompts_of(pairs), questions, strict=True)
    ]
    for index in range(4):
        last = [values.get((Feature(1, index), n_pos - 1), 0.0) for values, n_pos in seen]
        there = [value for value in last if value > 0]
        often = found.often(node(Feature(1, index), "-1"))
        assert often.share == len(there) / len(questions)
        assert often.mean == pytest.approx(sum(there) / len(there) if there else 0.0, abs=1e-5)
        best = [
            max((v for (f, p), v in values.items() if f == Feature(0, index) and p), default=0.0) for values, _ in seen
        ]
        anywhere = [value for value in best if value > 0]
        often = found.often(node(Feature(0, index), ""))
        assert often.share == len(anywhere) / len(questions)
        assert often.mean == pytest.approx(sum(anywhere) / len(anywhere) if anywhere else 0.0, abs=1e-5)
    assert found.often(node(Feature(0, 0), "-1")) == Often(0.0, 0.0)  # nobody asked about that place
    assert {each.index for each in found.firing((1, "-1"), 0.9)} < {
        each.index for each in found.firing((1, "-1"), 0.01)
    }


def test_a_backdrop_reads_back_as_it_was_written():
    planted = plant_decoy()
    found = look_around(planted.replacement, planted_questions(planted, planted.train[:2]), [node(Feature(1, 0), "-1")])
    again = backdrop_of(parse_json(canonical_json(found.as_json(), what="a backdrop"), what="a backdrop"))
    assert (again.n_prompts, again.places) == (found.n_prompts, found.places)
