"""Suites are read as they were written, and a bad one is named with its file and line."""

import json
from pathlib import Path

import pytest

from circuitwise.errors import PromptError
from circuitwise.suites import Suite, Thresholds, check_suite, make_suite, read_suite, write_suite
from tests.suites.words import Words

LINE = '{"prompt": "The key", "correct_answer": " is", "incorrect_answer": " are", "split": "train", "group": "key"}'
TEST = LINE.replace("key", "cup").replace("train", "test")
TEMPLATES = """\
name = "places"
description = "Where it is."

[thresholds]
margin = 1
share = 0.5

[[templates]]
text = "The capital of {country} is"
[[templates]]
text = "{country} has the capital"

[[items]]
split = "train"
slots = {country = "France"}
contrast_slots = {country = "Spain"}
correct_answer = " Paris"
incorrect_answer = " Madrid"

[[items]]
split = "test"
prompt = "The capital of Peru is"
correct_answer = " Lima"
incorrect_answer = " Quito"
tags = {kind = "alone"}
"""


def written(folder: Path, text: str, name: str = "my suite.jsonl") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", ["grammar", "arithmetic"])
def test_a_written_suite_reads_back_as_it_was(tmp_path: Path, name: str):
    suite = make_suite(name, Words(digits=True))
    assert read_suite(write_suite(suite, tmp_path / "new" / "folder")) == suite


def test_one_file_of_lines_is_a_suite(tmp_path: Path):
    suite = read_suite(written(tmp_path, f"{LINE}\n{TEST}\n", "mine.jsonl"))
    assert suite.name == "mine" and suite.thresholds == Thresholds()
    assert (
        suite.train[0].group == "key" and suite.train[0].contrast_prompt is None and suite.train[0].template == "mine"
    )


def test_templates_make_an_item_each(tmp_path: Path):
    suite = read_suite(written(tmp_path, TEMPLATES, "places.toml"))
    assert (suite.name, suite.thresholds) == ("places", Thresholds(margin=1.0, share=0.5))
    assert [item.prompt for item in suite.train] == ["The capital of France is", "France has the capital"]
    assert [item.contrast_prompt for item in suite.train] == ["The capital of Spain is", "Spain has the capital"]
    assert {item.group for item in suite.train} == {"France"}
    assert suite.train[1].template == "{country} has the capital"
    assert suite.test[0].prompt == "The capital of Peru is" and suite.test[0].tags == {"kind": "alone"}


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([LINE, TEST.replace("prompt", "promt")], "Line 2 of PATH has the key “promt”"),
        ([LINE, TEST.replace('"The cup"', "7")], "Line 2 of PATH has no text “prompt”, but 7"),
        ([LINE, TEST.replace('"test"', '"dev"')], "Line 2 of PATH has the split 'dev'. Choose train or test."),
        ([LINE, TEST.replace('"cup"}', '"cup", "tags": ["a"]}')], "Line 2 of PATH has “tags” = a list"),
        ([LINE, TEST, LINE], "Line 3 of PATH repeats the prompt 'The key' (Line 1 of PATH)"),
        ([LINE, TEST.replace(" are", " is")], "Line 2 of PATH has the same answer twice: ' is'"),
        ([LINE, TEST.replace("The cup", "The cup is")], "Line 2 of PATH has its correct answer ' is' in the prompt"),
        ([LINE], "has no item of the split 'test' (Line 1 of PATH is the last one)"),
        ([LINE, TEST.replace('"cup"', '"key"')], "Line 2 of PATH is a test item of the group 'key'"),
        ([LINE, "{"], "Line 2 of PATH is no JSON object"),
        ([""], "Line 1 of PATH is no item, nor is any other"),
        ([LINE.replace("}", ', "behaviour": "a b"}')], "A suite cannot be called 'a b' (Line 1 of PATH)"),
        (
            [LINE.replace("}", ', "behaviour": "a"}'), TEST.replace("}", ', "behaviour": "b"}')],
            "the behaviour 'b' in a",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, lines: list[str], sentence: str):
    path = written(tmp_path, "\n".join(lines), "mine.jsonl")
    with pytest.raises(PromptError) as error:
        read_suite(path)
    assert sentence.replace("PATH", str(path)) in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("margin = 1", 'margin = "1"', "Line 5 of PATH has “margin” = the text '1', but a number is expected"),
        ("margin = 1", "marge = 1", "Line 5 of PATH has the key “marge”"),
        ("share = 0.5", "share = 80", "Line 6 of PATH makes no sense: The thresholds are margin = 1.0 and share = 80"),
        ("margin = 1", "margin = -1", "Line 5 of PATH makes no sense: The thresholds are margin = -1.0"),
        ("margin = 1", "margin = nan", "Line 5 of PATH cannot be: “margin” is nan"),
        ("[thresholds]", "[[thresholds]]\n[[thresholds]]", "Line 5 of PATH has a second table “thresholds”"),
        ("[thresholds]", "[limits]", "Line 4 of PATH has the table “limits”"),
        ('name = "places"', 'nam = "places"', "Line 1 of PATH has the key “nam”"),
        ('text = "{country} has', 'txt = "{country} has', "Line 11 of PATH has the key “txt”"),
        ('text = "{country} has', 'text = "{land} has', "Line 15 of PATH fills country, but the template"),
        ('country = "Spain"', 'kind = "Spain"', "Line 16 of PATH fills kind, but the template"),
        ('" Madrid"', '" Paris"', "Line 13 of PATH has the same answer twice"),
        ('split = "test"', 'split = "dev"', "Line 21 of PATH has the split 'dev'"),
        ('prompt = "The capital of Peru is"', "", "Line 20 of PATH has no text “prompt”. Add it."),
        ('prompt = "The capital of Peru is"', "prompt = Peru", "Line 22 of PATH is not valid TOML"),
        ('prompt = "The capital of Peru is"', "slots = 3", "Line 22 of PATH has “slots” = 3, but a table of texts"),
        ('split = "test"', 'split = "test"\nslots = {country = "Peru"}', "Line 22 of PATH has slots"),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, old: str, new: str, sentence: str):
    assert old in TEMPLATES
    path = written(tmp_path, TEMPLATES.replace(old, new), "places.toml")
    with pytest.raises(PromptError) as error:
        read_suite(path)
    assert sentence.replace("PATH", str(path)) in str(error.value)


def test_what_is_no_suite_is_named(tmp_path: Path):
    with pytest.raises(PromptError, match=r"none\.toml cannot be read"):
        read_suite(tmp_path / "none.toml")
    with pytest.raises(PromptError, match=r"some\.csv is no suite"):
        read_suite(written(tmp_path, "", "some.csv"))
    with pytest.raises(PromptError, match=r"Line 1 of .* has “items”, but no table with anything in it"):
        read_suite(written(tmp_path, "items = []", "a.toml"))
    with pytest.raises(PromptError, match=r"Line 1 of .*b\.toml begins a suite without items"):
        read_suite(written(tmp_path, 'name = "a"', "b.toml"))
    with pytest.raises(PromptError, match=r"Line 2 of .*c\.toml names gone\.jsonl, but there is no file"):
        read_suite(written(tmp_path, 'name = "c"\nfiles = ["gone.jsonl"]', "c.toml"))


def test_a_suite_is_named_for_its_file_whatever_that_is_called(tmp_path: Path):
    path = tmp_path / "meine größten Fragen, v1.2.jsonl"
    path.write_bytes(f"\ufeff{LINE}\r\n{TEST}\r\n".encode())
    suite = read_suite(path)
    assert suite.name == "meine-größten-Fragen-v1-2" and len(suite.items) == 2
    assert read_suite(write_suite(suite, tmp_path / "ein Ordner")).items == suite.items


def test_unequal_lengths_are_named_with_their_line(tmp_path: Path):
    longer = json.dumps({**json.loads(TEST), "contrast_prompt": "The cup and saucer"})
    path = written(tmp_path, f"{LINE}\n{longer}\n", "mine.jsonl")
    suite: Suite = read_suite(path)
    (problem,) = check_suite(suite, Words(digits=True))
    assert problem.startswith(f"Line 2 of {path} has a prompt of 2 tokens and a contrast of 4")
