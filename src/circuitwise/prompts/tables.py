"""TOML files as records that know their lines.

Python's ``tomllib`` gives values and no lines, so the lines are found by looking for table headers (``[name]``,
``[[name]]``, ``[name.key]``) and for ``key =`` at the beginning of a line, outside of texts over several lines. What
the file means is ``tomllib``'s word alone; a key that is not found so is placed where its table begins.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from circuitwise.errors import ArtifactError, PromptError
from circuitwise.prompts.record import Record, read_lines
from circuitwise.storage.jsontext import Json, plain_json

_NAME = r"(?:\"([^\"]+)\"|'([^']+)'|([\w-]+))"
_HEADER = re.compile(rf"\s*\[\[?\s*{_NAME}\s*(?:\.\s*{_NAME}[^\]]*)?\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*{_NAME}\s*[=.]")
Place = tuple[str, int]
"""A table: its name, and its number among those of that name."""
_TOP: Place = ("", 0)
_LONG_TEXT = re.compile(r"\"\"\"|'''")


@dataclass(slots=True)
class _Lines:
    """Where a table begins, and where its keys are."""

    first: int = 1
    """The line of its header."""
    keys: dict[str, int] = field(default_factory=dict[str, int])
    """The line of each key."""


def read_toml(path: Path) -> tuple[Record, dict[str, list[Record]]]:
    """The top of a TOML file, and its tables: those of one name together, a single table as a list of one."""
    lines = read_lines(path, "Name a TOML file.")
    values = _parsed(path, lines)
    places = _find(lines)
    tables = {name: _tables(path, name, value, places) for name, value in values.items() if _is_tables(value)}
    plain = {name: value for name, value in values.items() if name not in tables}
    top = _checked(Record(path=path, line=1, values=plain, lines=places[_TOP].keys))
    return top, {name: [_checked(record) for record in records] for name, records in tables.items()}


def _parsed(path: Path, lines: list[str]) -> dict[str, Json]:
    try:
        return cast("dict[str, Json]", tomllib.loads("\n".join(lines)))
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).rstrip(")").rpartition(" (at ")
        found = re.match(r"line (\d+)", place)
        line = int(found[1]) if found else len(lines)  # otherwise “end of document”
        raise PromptError(f"Line {line} of {path} is not valid TOML: {reason}. Mend it there.") from error
    except RecursionError as error:
        line = 1 + max(range(len(lines)), key=lambda number: lines[number].count("["))
        raise PromptError(f"Line {line} of {path} is nested too deep. Write it flatter.") from error


def _checked(record: Record) -> Record:
    """The record, if JSON can hold it: no dates, no endless numbers."""
    values: dict[str, Json] = {}
    for key, value in record.values.items():
        try:
            values[key] = plain_json(value, what=f"“{key}”")
        except ArtifactError as error:
            raise PromptError(f"{record.place(key)} cannot be: {error}") from error
    return replace(record, values=values)


def _is_tables(value: Json) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, dict) for each in value)
    return isinstance(value, dict)


def _tables(path: Path, name: str, value: Json, places: Mapping[Place, _Lines]) -> list[Record]:
    inline = places[_TOP].keys.get(name, 1)
    each = cast("list[dict[str, Json]]", value if isinstance(value, list) else [value])
    found = [places.get((name, number), _Lines(inline)) for number in range(len(each))]
    return [
        Record(path=path, line=at.first, values=values, lines=at.keys) for at, values in zip(found, each, strict=True)
    ]


def _find(lines: list[str]) -> dict[Place, _Lines]:
    """The lines of every table; a table within a table is a key of it."""
    here, within = _Lines(), False
    found, counts = {_TOP: here}, Counter[str]()
    for number, line in enumerate(lines, 1):
        if not within and (header := _HEADER.match(line)):
            name, key = (_name(header.groups()[start : start + 3]) for start in (0, 3))
            if not key or not counts[name]:
                found[name, counts[name]] = _Lines(number)
                counts[name] += 1
            if key:
                found[name, counts[name] - 1].keys.setdefault(key, number)
            here = _Lines(number) if key else found[name, counts[name] - 1]
        elif not within and (key := _KEY.match(line)):
            here.keys.setdefault(_name(key.groups()), number)
        within ^= len(_LONG_TEXT.findall(line)) % 2 == 1
    return found


def _name(parts: Sequence[str | None]) -> str:
    """The name, however it is quoted."""
    return next((part for part in parts if part), "")
