"""A suite counts every prompt once and tests on what it was not found on."""

import pytest

from circuitwise.errors import PromptError
from circuitwise.prompts import Item
from circuitwise.suites import Suite, Thresholds
from tests.prompts.test_item import item

TRAIN = item()
TEST = item(
    prompt="The capital of Spain is", correct_answer=" Madrid", split="test", group="Spain", place="Line 9 of x"
)


def suite(*items: Item, name: str = "capitals") -> Suite:
    return Suite(name=name, items=items)


def test_the_splits_are_its_items():
    found = suite(TRAIN, TEST)
    assert found.train == (TRAIN,) and found.test == (TEST,)


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ((TRAIN,), "has no item of the split 'test'"),
        ((TEST,), "has no item of the split 'train' (Line 9 of x is the last one)"),
        ((), "has no item of the split 'train'. A circuit"),
        ((TRAIN, TEST, item(group="again", place="Line 3 of x")), "Line 3 of x repeats the prompt"),
        (
            (TRAIN, TEST, item(prompt="Spain has", split="test")),
            "test item of the group 'France', which also has training",
        ),
        (
            (TRAIN, item(prompt="The capital of Peru is", split="test", group="Peru", contrast_prompt=TRAIN.prompt)),
            "with the prompt or contrast 'The capital of France is', which is trained on, too",
        ),
        ((TRAIN, TEST, item(prompt="x", behaviour="grammar")), "has the behaviour 'grammar' in the suite 'capitals'"),
    ],
)
def test_a_suite_that_proves_nothing_is_refused(items: tuple[Item, ...], sentence: str):
    with pytest.raises(PromptError) as error:
        suite(*items)
    assert sentence in str(error.value)


def test_a_suite_is_called_what_a_file_can_be_called():
    with pytest.raises(PromptError, match="A suite cannot be called 'a/b'"):
        suite(TRAIN, TEST, name="a/b")


@pytest.mark.parametrize("values", [(-1.0, 0.5), (float("nan"), 0.5), (1.0, 0.0), (1.0, 1.5)])
def test_thresholds_that_nothing_or_everything_passes_are_refused(values: tuple[float, float]):
    with pytest.raises(PromptError, match="The thresholds are margin ="):
        Thresholds(margin=values[0], share=values[1])
