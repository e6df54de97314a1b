"""Pairs are read from a file line by line, and a bad line is named."""

from pathlib import Path

import pytest

from circuitwise.cli.contrasts import contrasts_of, read_contrasts
from circuitwise.errors import PromptError, RequestError
from circuitwise.targets import Difference

LINE = '{"clean": "a is", "corrupted": "b is", "correct": " x", "incorrect": " y"}'
SECOND = '{"clean": "c is", "corrupted": "d is", "correct": " x", "incorrect": " y"}'


def write(folder: Path, text: str) -> Path:
    path = folder / "some pairs.jsonl"
    path.write_text(text, "utf-8")
    return path


def test_a_file_is_read_with_its_answers_and_clusters(tmp_path: Path):
    text = "\n".join(line.replace("}", ', "cluster": "t1"}') for line in (LINE, SECOND))
    found = read_contrasts(write(tmp_path, f"{text}\n\n"))
    assert found.clean == ("a is", "c is") and found.corrupted == ("b is", "d is")
    assert found.differences == (Difference(" x", " y"),) * 2
    assert found.clusters == ("t1", "t1")
    assert read_contrasts(write(tmp_path, LINE)).clusters is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no pair"),
        (f"{LINE}\nnot json", "Line 2 of .*some pairs.jsonl is no JSON object"),
        ("[1]", "Line 1 of .* is no JSON object"),
        (LINE.replace('"corrupted"', '"corrupt"'), "has the key “corrupt”"),
        (LINE.replace('"b is"', "3"), "Line 1 .* has no text “corrupted”"),
        (LINE.replace('"b is"', '" "'), "has no text “corrupted”"),
        (LINE.replace('" y"', '" x"'), "has the same answer twice"),
        (f"{LINE}\n{LINE}", "Line 2 of .* has the clean prompt of line 1"),
        (f"{LINE}\n{SECOND[:-1]}, " + '"cluster": "t"}', "Some lines .* name a cluster"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, message: str):
    with pytest.raises(PromptError, match=message):
        read_contrasts(write(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(PromptError, match="none.jsonl cannot be read"):
        read_contrasts(tmp_path / "none.jsonl")


def test_one_pair_comes_from_the_command_line():
    found = contrasts_of("a", "b", (" x", " y"), None)
    assert len(found.pairs) == 1 and found.differences == (Difference(" x", " y"),)
    with pytest.raises(RequestError, match="A contrast is a clean prompt"):
        contrasts_of("a", None, (" x", " y"), None)
    with pytest.raises(RequestError, match="one of the two"):
        contrasts_of("a", None, None, Path("pairs.jsonl"))
    with pytest.raises(PromptError, match="A prompt is empty"):
        contrasts_of("a", " ", (" x", " y"), None)
