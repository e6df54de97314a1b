"""``verify`` finds that a survey is what the model computes, and that another one is not."""

from dataclasses import replace

import pytest

from circuitwise.errors import RequestError
from circuitwise.features.survey import Precision
from circuitwise.features.verify import verify
from circuitwise.vocabulary import Feature
from tests.features.material import replacement, surveyed

SOME = [Feature(layer, index) for layer in range(3) for index in (0, 7, 23, 39)]


@pytest.mark.parametrize("kind", ["relu", "batchtopk", "cross-layer"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_survey_agrees_with_a_fresh_encode_to_the_bit(kind: str, precision: Precision):
    assert verify(surveyed(kind, precision=precision), replacement(kind), SOME) == 0.0


def test_a_changed_activation_is_found():
    found = surveyed()
    layer = found.layers[1]
    window = layer.strongest.window.clone()
    window[7, 0, 3] += 0.25
    changed = replace(layer, strongest=replace(layer.strongest, window=window))
    wrong = replace(found, layers={**found.layers, 1: changed})
    assert verify(wrong, replacement(), SOME) == pytest.approx(0.25)


def test_other_dictionaries_do_not_agree():
    assert verify(surveyed(), replacement("jumprelu"), SOME) > 0.01


def test_a_feature_that_is_not_there_is_refused():
    with pytest.raises(RequestError, match="do not both have L9F0"):
        verify(surveyed(), replacement(), [Feature(9, 0)])
