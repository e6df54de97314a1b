"""A study opens what its plan names, and only what is needed."""

from dataclasses import replace
from pathlib import Path

import pytest

from circuitwise.errors import RequestError
from circuitwise.study.opening import Opened, named_set
from circuitwise.study.plan import Chosen, Plan
from tests.study.material import small_plan, small_replacement


def test_drawn_dictionaries_are_those_of_the_seed(tmp_path: Path) -> None:
    plan = small_plan(tmp_path)
    opened = Opened(plan)
    assert opened.replacement.transcoders.name == "random-1024-seed-789" and opened.replacement.misfit in (True, False)
    assert opened.replacement.model is opened.model and set(opened.key) > set(opened.model_key)


def test_what_is_given_is_not_opened(tmp_path: Path) -> None:
    plan, given = small_plan(tmp_path), small_replacement(tmp_path)
    opened = Opened(plan, replacement=given)
    assert opened.replacement is given and opened.model is given.model


def test_a_model_without_shipped_dictionaries_asks_for_a_name() -> None:
    with pytest.raises(RequestError, match="No dictionaries are shipped"):
        named_set(Plan(name="x", model="gpt2", suites=(Chosen(suite="capitals"),)))
    assert named_set(Plan(name="x", suites=(Chosen(suite="capitals"),))) == "smollm2"


def test_layers_that_the_model_does_not_have_are_refused(tmp_path: Path) -> None:
    opened = Opened(replace(small_plan(tmp_path), layers=(1, 99)))
    with pytest.raises(RequestError, match="dictionaries of layer 99, but .* has layers 0 to 2"):
        _ = opened.replacement
