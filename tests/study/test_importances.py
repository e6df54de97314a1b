"""Correlations within cells, found on some prompts and tested on others, as another computation gives them."""

from dataclasses import replace

import numpy as np
import pytest

from circuitwise.errors import RequestError
from circuitwise.evidence import encode_prompts
from circuitwise.study.importances import ImportanceChoice, sweep
from circuitwise.targets import Difference
from circuitwise.vocabulary import Feature
from tests import tiny
from tests.study.asked import tiny_questions

HOW = ImportanceChoice(draws=199, candidates=5)


@pytest.fixture(scope="module")
def small():
    """Two cells of answers: the one has a much larger difference than the other."""
    questions = [
        replace(question, difference=Difference(5, 9) if number % 2 else Difference(20, 31))
        for number, question in enumerate(tiny_questions(36))
    ]
    return tiny.tiny_replacement(), questions[:20], questions[20:]


def within(values: np.ndarray, odd: np.ndarray) -> np.ndarray:
    return values - np.where(odd, values[odd].mean(), values[~odd].mean())


def test_correlations_are_taken_within_cells(small):
    replacement, training, test = small
    found = sweep(replacement, training, test, HOW)
    assert found.within == "cells"
    assert (found.n_training, found.n_test) == (20, 16)
    odd = np.arange(20) % 2 == 1
    tables = {Feature(layer, int(row["feature"])): row for layer, rows in found.layers.items() for row in rows}
    assert len(tables) == found.n_tested
    for questions, column in ((training, "correlation"), (test, "held_out_correlation")):
        own = encode_prompts(
            replacement, [each.tokens for each in questions], [each.difference for each in questions], fewest=1
        )
        at = odd[: len(questions)]
        y = within(own.difference.double().numpy(), at)
        for number in range(0, own.activation.shape[1], 7):
            feature = own.feature(number)
            x = within(own.activation[:, number].double().numpy(), at)
            if feature in tables and x.any():
                expected = (x @ y) / np.sqrt((x @ x) * (y @ y))
                assert tables[feature][column] == pytest.approx(expected, abs=1e-3)


def test_tables_go_layer_by_layer_and_are_sorted(small):
    replacement, training, test = small
    found = sweep(replacement, training, test, HOW)
    assert list(found.layers) == sorted(found.layers)
    for rows in found.layers.values():
        sizes = [abs(float(row["correlation"])) for row in rows]
        assert sizes == sorted(sizes, reverse=True)
    assert len([each for each in found.candidates if each.group == "layer 0"]) == HOW.candidates
    assert set(found.confirmed) == {each for each in found.candidates if each.q_held_out <= HOW.alpha}


def test_where_most_prompts_have_answers_of_their_own_all_count_together(small):
    replacement, training, test = small
    alone = [replace(each, difference=Difference(3 + each.number, 45)) for each in training]
    assert sweep(replacement, alone, test, HOW).within == "all prompts"


def test_no_more_prompts_are_read_than_were_asked_for(small):
    replacement, training, test = small
    found = sweep(replacement, training, test, replace(HOW, prompts=8))
    assert (found.n_training, found.n_test) == (8, 8)
    assert sweep(replacement, training, test, replace(HOW, prompts=8)).candidates == found.candidates


def test_too_few_prompts_are_refused(small):
    replacement, training, test = small
    with pytest.raises(RequestError, match="5 test prompts are too few"):
        sweep(replacement, training, test[:5], HOW)
    with pytest.raises(RequestError, match="99 permutations"):
        ImportanceChoice(draws=10)
