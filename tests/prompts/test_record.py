"""A record says where it stands, and what is wrong with it there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from circuitwise.errors import PromptError
from circuitwise.prompts import Record, read_json_lines

KEYS = ("a", "b")


def record(values: dict[str, object]) -> Record:
    return Record(path=Path("some.toml"), line=3, values=values, lines={"a": 5})


def test_values_are_had_by_name_and_defaults_fill_gaps():
    one = record({"a": "text", "b": 2, "c": ["x"], "d": {"k": "v"}})
    assert one.text("a") == "text" and one.text("z", "default") == "default"
    assert one.number("b", 1.0) == 2.0 and one.number("z", 1.0) == 1.0
    assert one.texts("c") == ["x"] and one.texts("z") == []
    assert one.named_texts("d") == {"k": "v"} and one.named_texts("z") == {}


@pytest.mark.parametrize(
    ("values", "ask", "sentence"),
    [
        ({"b": "x"}, lambda one: one.text("a"), "Line 5 of some.toml has no text “a”. Add it."),
        ({"a": 3}, lambda one: one.text("a"), "Line 5 of some.toml has no text “a”, but 3. Write a text in quotes."),
        ({"a": " "}, lambda one: one.text("a"), "but the text ' '"),
        ({"b": "x"}, lambda one: one.number("b", 1.0), "Line 3 of some.toml has “b” = the text 'x', but a number"),
        ({"b": True}, lambda one: one.number("b", 1.0), "“b” = true, but a number"),
        ({"b": [1]}, lambda one: one.texts("b"), "“b” = a list of something else, but a list of texts"),
        ({"b": {"k": 1}}, lambda one: one.named_texts("b"), "“b” = a table of something else, but a table of texts"),
        ({"q": 1}, lambda one: one.allow(KEYS), "has the key “q”, which means nothing here. Known are a, b."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    values: dict[str, object], ask: Callable[[Record], object], sentence: str
):
    with pytest.raises(PromptError) as error:
        ask(record(values))
    assert sentence in str(error.value)


def test_json_lines_know_their_numbers_and_blank_lines_are_skipped(tmp_path: Path):
    path = tmp_path / "große Mühle.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": "1"}\n\r\n{"a": "2"}\r\n')
    assert [(one.line, one.text("a")) for one in read_json_lines(path, KEYS)] == [(1, "1"), (3, "2")]
    assert read_json_lines(path, KEYS)[1].place() == f"Line 3 of {path}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": "1"}\n{"a": ', r"Line 2 of .*\.jsonl is no JSON object \(Expecting value at column 7\)"),
        ('{"a": "1"}\n{"a": "x \\ud800"}', r"Line 2 of .*\.jsonl holds half a letter"),
        ("[1]", r"Line 1 of .*\.jsonl is no JSON object\. Write one with a, b\."),
        ('{"a": "1", "a": "2"}', "the key “a” stands in it twice"),
        ('{"q": 1}', r"Line 1 of .*\.jsonl has the key “q”"),
    ],
)
def test_a_bad_json_line_is_named(tmp_path: Path, text: str, sentence: str):
    path = tmp_path / "some.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(PromptError, match=sentence):
        read_json_lines(path, KEYS)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(PromptError, match=r"none\.jsonl cannot be read \(No such file"):
        read_json_lines(tmp_path / "none.jsonl", KEYS)
    with pytest.raises(PromptError, match="cannot be read"):
        read_json_lines(tmp_path, KEYS)
    (tmp_path / "latin.jsonl").write_bytes('{"a": "ä"}\r\n\r\n'.encode() + '{"a": "ö"}\n'.encode("latin-1"))
    with pytest.raises(PromptError, match=r"Line 3 of .*latin\.jsonl is not UTF-8"):
        read_json_lines(tmp_path / "latin.jsonl", KEYS)


def test_a_file_that_is_far_too_long_is_not_read(tmp_path: Path):
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(PromptError, match=r"Line 1 of .*long\.jsonl has 200 MiB, but .* 16 at most"):
        read_json_lines(path, KEYS)
