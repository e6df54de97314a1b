"""TOML files as records that know their lines.

Python's ``tomllib`` gives values and no lines, so the lines are found by looking for table headers (``[name]``,
``[[name]]``) and for ``key =`` at the beginning of a line, outside of texts over several lines. What the file means
is ``tomllib``'s word alone; a key that is not found so is placed where its table begins.
"""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from circuitwise.errors import ArtifactError, PromptError
from circuitwise.prompts.record import Record, read_lines
from circuitwise.storage.jsontext import Json, plain_json

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w-]+)\s*\]")
_KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*[=.]")
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
    try:
        content = tomllib.loads("\n".join(lines))
        values = cast("dict[str, Json]", plain_json(content, what=str(path)))
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).partition(" (at line ")
        line = int(place.split(",")[0]) if place else len(lines)  # otherwise “at end of document”
        raise PromptError(f"Line {line} of {path} is not valid TOML: {reason}. Mend it there.") from error
    except (ArtifactError, RecursionError) as error:
        raise PromptError(f"{path} holds what a suite cannot: {error}") from error
    places = _find(lines)
    tables = {name: _tables(path, name, value, places) for name, value in values.items() if _is_tables(value)}
    top = places.get(("", 0), _Lines())
    plain = {name: value for name, value in values.items() if name not in tables}
    return Record(path=path, line=1, values=plain, lines=top.keys), tables


def _is_tables(value: Json) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, dict) for each in value)
    return isinstance(value, dict)


def _tables(path: Path, name: str, value: Json, places: dict[tuple[str, int], _Lines]) -> list[Record]:
    inline = places.get(("", 0), _Lines()).keys.get(name, 1)
    each = cast("list[dict[str, Json]]", value if isinstance(value, list) else [value])
    found = [places.get((name, number), _Lines(inline)) for number in range(len(each))]
    return [
        Record(path=path, line=at.first, values=values, lines=at.keys) for at, values in zip(found, each, strict=True)
    ]


def _find(lines: list[str]) -> dict[tuple[str, int], _Lines]:
    """The lines of every table: by its name, and its number among those of that name."""
    here, within = _Lines(), False
    found, counts = {("", 0): here}, Counter[str]()
    for number, line in enumerate(lines, 1):
        if not within and (header := _HEADER.match(line)):
            name = header[2]
            here = _Lines(number)
            found[name, counts[name]] = here
            counts[name] += 1
        elif not within and (key := _KEY.match(line)):
            here.keys.setdefault(key[1], number)
        within ^= len(_LONG_TEXT.findall(line)) % 2 == 1
    return found
