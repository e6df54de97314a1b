"""An item measures something, or is refused."""

from typing import Any

import pytest

from circuitwise.errors import PromptError
from circuitwise.prompts import Item


def item(**changes: Any) -> Item:
    values: dict[str, Any] = {
        "prompt": "The capital of France is",
        "correct_answer": " Paris",
        "incorrect_answer": " Rome",
        "behaviour": "capitals",
        "split": "train",
        "group": "France",
    }
    return Item(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": " "}, "has an empty prompt"),
        ({"group": ""}, "has an empty group"),
        ({"incorrect_answer": " Paris"}, "The item 'The capital of France is' has the same answer twice: ' Paris'"),
        ({"contrast_prompt": "The capital of France is"}, "has its own prompt as its contrast"),
        ({"prompt": "Paris, the capital of France, is", "place": "Line 3 of x"}, "Line 3 of x has its correct answer"),
        ({"prompt": "In paris they speak French in"}, "copying gives it away"),
    ],
)
def test_an_item_that_measures_nothing_is_refused(changes: dict[str, str], sentence: str):
    with pytest.raises(PromptError) as error:
        item(**changes)
    assert sentence in str(error.value)


def test_answers_may_both_stand_in_the_prompt_or_be_part_of_its_words():
    assert item(prompt="When Paris met Rome, Paris gave a drink to")
    assert item(prompt="The island in the middle", correct_answer=" is", incorrect_answer=" are")
    assert item(prompt="In Rome they say that Paris, no", correct_answer=" Rome", incorrect_answer=" Paris")


def test_where_it_was_read_is_no_part_of_an_item():
    assert item(place="Line 1 of a") == item(place="Line 2 of b")
    assert list(item().as_json())[:3] == ["prompt", "correct_answer", "incorrect_answer"]
