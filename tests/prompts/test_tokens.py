"""The scored tokens follow the prompt as the model sees it, and differ."""

from collections.abc import Sequence

import pytest

from circuitwise.errors import PromptError
from circuitwise.prompts import tokenize_item
from tests.prompts.test_item import item
from tests.tinytokenizer import tiny_tokenizer

TOKENIZER = tiny_tokenizer(adds_bos=True)


def encode(text: str) -> Sequence[int]:
    return TOKENIZER.encode(text)


def read(ids: Sequence[int]) -> str:
    return TOKENIZER.decode(list(ids))


def test_answers_are_cut_where_they_stand_and_shared_tokens_go_behind_the_prompt():
    one = item(prompt="one + two =", correct_answer=" 57", incorrect_answer=" 58", contrast_prompt="one + six =")
    tokens = tokenize_item(one, encode)
    assert read(tokens.prompt) == "<bos>one + two =" and read(tokens.correct) == " 57"
    assert tokens.n_shared == 2
    assert read(tokens.scored_prompt) == "<bos>one + two = 5"
    assert tokens.scored_contrast is not None and read(tokens.scored_contrast) == "<bos>one + six = 5"
    assert [read([token]) for token in tokens.scored] == ["7", "8"]


def test_answers_that_differ_at_once_are_scored_behind_the_prompt_itself():
    tokens = tokenize_item(item(prompt="x", correct_answer=" cat", incorrect_answer=" the"), encode)
    assert tokens.scored_prompt == tokens.prompt and tokens.scored_contrast is None
    assert tokens.scored == (tokens.correct[0], tokens.incorrect[0])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": "a ca", "correct_answer": "t"}, "cannot be cut between prompt and answer"),
        ({"prompt": "the ", "correct_answer": "cat"}, "cannot be cut between prompt and answer"),
        ({"correct_answer": " a", "incorrect_answer": " axe"}, "differ at no token"),
        ({"contrast_prompt": "the cat x"}, "a prompt of 2 tokens and a contrast of 5"),
        (
            {"prompt": "a b", "contrast_prompt": "a c", "correct_answer": "the", "incorrect_answer": "at"},
            "cannot be cut",
        ),
    ],
)
def test_tokens_that_measure_something_else_are_refused(changes: dict[str, str], sentence: str):
    values = {"prompt": "x", "correct_answer": " a", "incorrect_answer": " the", "place": "Line 7 of x.jsonl"}
    with pytest.raises(PromptError) as error:
        tokenize_item(item(**{**values, **changes}), encode)
    assert str(error.value).startswith("Line 7 of x.jsonl ") and sentence in str(error.value)
