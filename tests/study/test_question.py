"""Roles become positions of each prompt; what a prompt is too short for is left out."""

from circuitwise.edits import At
from circuitwise.model.loading import load_model
from circuitwise.prompts import Item
from circuitwise.study.question import question_of
from circuitwise.targets import Difference
from circuitwise.vocabulary import Feature
from tests.study.asked import node, tiny_questions
from tests.study.material import write_model


def test_roles_count_from_the_end_of_each_prompt():
    (question,) = tiny_questions(1, length=4)
    nodes = [node(Feature(0, 3), "-1"), node(Feature(1, 5), "-4"), node(Feature(2, 7), "-5"), node(Feature(2, 8), "")]
    assert question.places(nodes) == [
        (Feature(0, 3), At(3)),
        (Feature(1, 5), At(0)),
        (Feature(2, 8), At(0, 1, 2, 3)),
    ]


def test_special_leading_positions_hold_no_features():
    (question,) = tiny_questions(1, length=4)
    special = type(question)(**{name: getattr(question, name) for name in question.__slots__} | {"first": 1})
    assert special.places([node(Feature(0, 3), "-4")]) == []
    assert special.places([node(Feature(0, 3), "")]) == [(Feature(0, 3), At(1, 2, 3))]


def test_an_item_is_scored_where_its_answers_differ(tmp_path):
    model = load_model(str(write_model(tmp_path)))
    item = Item(
        prompt="a b cat",
        correct_answer=" is",
        incorrect_answer=" 7",
        behaviour="tiny",
        split="test",
        group="g",
        contrast_prompt="a b the",
    )
    question = question_of(model, 5, item)
    assert model.tokenizer is not None
    shared = question.tokens[len(model.tokenizer.encode("a b cat")) :]
    assert isinstance(question.difference, Difference)
    assert question.difference.correct != question.difference.incorrect
    assert question.contrast is not None
    assert len(question.contrast) == len(question.tokens)
    assert question.contrast[len(question.contrast) - len(shared) :] == shared
    assert (question.number, question.group) == (5, "g")
