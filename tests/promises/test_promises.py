"""The page of promises speaks of every row of behaviour studies, and what it and the page on studies name is there."""

import importlib
import re
from collections import Counter

from tests.promises.source import ROOT

PROMISES = (ROOT / "docs/promises.md").read_text("utf-8")
STUDY = (ROOT / "docs/study.md").read_text("utf-8")
KEPT, DUE = PROMISES.split("## Due later")
N_ROWS = 49
"""Rows of S4, the last two about its code and its flags."""


def numbers(page: str, source: str) -> list[int]:
    """The rows of a source that the first cells of a page's tables name, ranges written out."""
    found: list[int] = []
    for cell in re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE):
        for first, last in re.findall(rf"{source}-(\d+)(?: to {source}-(\d+))?", cell):
            found += range(int(first), int(last or first) + 1)
    return found


def test_every_row_of_behaviour_studies_is_kept_once_or_due() -> None:
    kept = Counter(numbers(KEPT, "S4"))
    assert [number for number, times in kept.items() if times > 1] == []
    assert {*kept, *numbers(DUE, "S4")} == set(range(1, N_ROWS + 1))
    assert set(range(1, N_ROWS + 1)) - set(kept) == {48}


def test_rows_of_the_tracing_workstream_are_kept_or_due() -> None:
    named = {*numbers(KEPT, "S0"), *numbers(DUE, "S0")}
    assert named >= {*range(1, 17), 21, 26, 27}


def test_python_names_that_stand_for_s4s_can_be_imported() -> None:
    names = set(re.findall(r"\b(?:circuitwise|cw)(?:\.\w+)+", STUDY.split("## What S4 asks for")[1]))
    assert len(names) > 15
    for name in sorted(names):
        module, _, attribute = re.sub(r"^cw\b", "circuitwise", name).rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_the_eleven_fields_are_those_of_a_measurement() -> None:
    columns = importlib.import_module("circuitwise.study.measurement").COLUMNS
    (cell,) = re.findall(r"whose first eleven fields are (.+) \|", STUDY)
    assert tuple(re.findall(r"`(\w+)`", cell)) == columns[:11]
