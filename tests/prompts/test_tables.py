"""TOML tables know the lines of their keys."""

from pathlib import Path

import pytest

from circuitwise.errors import PromptError
from circuitwise.prompts import read_toml

TEXT = '''# a comment
name = "one"

[thresholds]
margin = 1.0
[[items]]
prompt = """
[[items]]
margin = not a key
"""
"split" = "train"
slots.country = "France"
[[ items ]]  # the second

split = "test"
'''


def written(folder: Path, text: str) -> Path:
    path = folder / "some.toml"
    path.write_text(text, "utf-8")
    return path


def test_every_key_is_found_where_it_stands(tmp_path: Path):
    top, tables = read_toml(written(tmp_path, TEXT))
    assert top.values == {"name": "one"} and top.lines["name"] == 2
    (thresholds,), (first, second) = tables["thresholds"], tables["items"]
    assert (thresholds.line, thresholds.lines) == (4, {"margin": 5})
    assert (first.line, first.lines) == (6, {"prompt": 7, "split": 11, "slots": 12})
    assert (second.line, second.lines) == (13, {"split": 15})
    assert second.place("split").startswith("Line 15 of ") and second.place("prompt").startswith("Line 13 of ")
    assert first.named_texts("slots") == {"country": "France"}


def test_tables_in_one_line_are_placed_there(tmp_path: Path):
    _, tables = read_toml(written(tmp_path, 'name = "a"\nitems = [{split = "train"}, {split = "test"}]\n'))
    assert [one.line for one in tables["items"]] == [2, 2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = 1\nb = \n", r"Line 2 of .*some\.toml is not valid TOML: Invalid value"),
        ('a = "1', r"Line 1 of .*some\.toml is not valid TOML: Unterminated string"),
        ("a = 1\na = 2\n", r"Line 2 of .*some\.toml is not valid TOML: Cannot overwrite a value"),
        ("b = 1\na = 1979-05-27\n", r"Line 2 of .*some\.toml cannot be: “a” is of the type date"),
        ("[[t]]\n[[t]]\nb = 1\na = nan\n", r"Line 4 of .*some\.toml cannot be: “a” is nan"),
        ("b = 1\na = " + "[" * 3000 + "]" * 3000, r"Line 2 of .*some\.toml is nested too deep"),
        ("b = 1\na = " + "[" * 100 + "]" * 100, r"Line 2 of .*some\.toml cannot be: “a”.* is nested more than 64"),
    ],
    ids=range(7),
)
def test_what_is_no_toml_is_named_with_its_line(tmp_path: Path, text: str, sentence: str):
    with pytest.raises(PromptError, match=sentence):
        read_toml(written(tmp_path, text))


def test_names_in_quotes_and_tables_in_tables_are_found(tmp_path: Path):
    first_half = '[[t]]\n"two words" = 1\n[t.inner]\nx = 1\n[[t]]\n[t.inner]\n'
    text = first_half + '["other"]\ny = [\n  ["t"],\n]\nz = 1\n[a.b]\nc = 1\n'
    _, tables = read_toml(written(tmp_path, text))
    first, second = tables["t"]
    assert (first.line, first.lines) == (1, {"two words": 2, "inner": 3})
    assert (second.line, second.lines) == (5, {"inner": 6})
    assert tables["other"][0].lines == {"y": 8, "z": 11}
    assert (tables["a"][0].line, tables["a"][0].lines) == (12, {"b": 12})


def test_ends_of_lines_and_a_mark_before_the_first_letter_do_not_count(tmp_path: Path):
    path = tmp_path / "some.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    top, _ = read_toml(path)
    assert top.values == {"a": 1, "b": 2} and top.lines == {"a": 1, "b": 2}
