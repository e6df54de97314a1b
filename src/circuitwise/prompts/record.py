"""One line of a JSONL file or one table of a TOML file, which knows where it stands.

Whoever reads a record asks it for texts, numbers and tables by name; what is missing, unknown or of a wrong type is
refused in a sentence with the file and the line.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from circuitwise.errors import ArtifactError, PromptError
from circuitwise.storage.jsontext import Json, parse_json

MOST_BYTES = 16 << 20
"""A longer file is refused, since Python reads a megabyte of TOML in a second: tens of thousands of prompts fit."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_HALF_LETTER = re.compile("[\ud800-\udfff]")
_COLUMN = re.compile(r": line \d+ column (\d+) \(char \d+\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Named values from one place of a file."""

    path: Path
    """The file."""
    line: int
    """Where in it the record begins, from 1."""
    values: Mapping[str, Json]
    """What it holds."""
    lines: Mapping[str, int] = field(default_factory=dict[str, int])
    """The lines of its keys, where they have lines of their own."""

    def place(self, key: str = "") -> str:
        """Where the record, or one of its keys, stands: the beginning of a sentence."""
        return f"Line {self.lines.get(key, self.line)} of {self.path}"

    def allow(self, keys: Collection[str]) -> None:
        """Refuse keys that mean nothing here."""
        for key in self.values:
            if key not in keys:
                raise PromptError(
                    f"{self.place(key)} has the key “{key}”, which means nothing here. Known are {', '.join(keys)}."
                )

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not blank; without a default it must be there."""
        value = self.values.get(key, default)
        if isinstance(value, str) and value.strip():
            return value
        if key in self.values:
            raise PromptError(f"{self.place(key)} has no text “{key}”, but {_shown(value)}. Write a text in quotes.")
        raise PromptError(f"{self.place(key)} has no text “{key}”. Add it.")

    def number(self, key: str, default: float) -> float:
        """A number."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PromptError(f"{self.place(key)} has “{key}” = {_shown(value)}, but a number is expected.")
        return float(value)

    def texts(self, key: str) -> list[str]:
        """A list of texts; empty where there is none."""
        value = self.values.get(key, [])
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return [str(each) for each in value]
        raise PromptError(f"{self.place(key)} has “{key}” = {_shown(value)}, but a list of texts is expected.")

    def named_texts(self, key: str) -> Mapping[str, str]:
        """A table of texts; empty where there is none."""
        value = self.values.get(key, {})
        if isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values()):
            return {name: str(each) for name, each in value.items()}
        raise PromptError(f"{self.place(key)} has “{key}” = {_shown(value)}, but a table of texts is expected.")


def read_json_lines(path: Path, keys: Sequence[str]) -> list[Record]:
    """The records of a file with one JSON object a line; ``keys`` are what an object may have."""
    found: list[Record] = []
    for number, line in enumerate(read_lines(path, f"Name a file with one JSON object a line ({', '.join(keys)})."), 1):
        if line.strip():
            found.append(_record(path, number, line, keys))
    return found


def read_lines(path: Path, expected: str) -> list[str]:
    """The lines of a text file; ``expected`` says what to name instead of one that cannot be read."""
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MOST_BYTES else b""
    except OSError as error:
        raise PromptError(f"{path} cannot be read ({error.strerror}). {expected}") from error
    if size > MOST_BYTES:
        raise PromptError(
            f"Line 1 of {path} has {size >> 20} MiB, but prompts and plans have {MOST_BYTES >> 20} at most. {expected}"
        )
    try:
        return _LINE_END.split(content.decode("utf-8-sig"))  # Windows puts a mark before the first letter
    except UnicodeDecodeError as error:
        line = len(_LINE_END.split(content[: error.start].decode("utf-8")))
        raise PromptError(f"Line {line} of {path} is not UTF-8. Save the file as UTF-8. {expected}") from error


def _record(path: Path, number: int, line: str, keys: Sequence[str]) -> Record:
    record = Record(path=path, line=number, values={})
    try:
        value: Json = parse_json(line, what=record.place())
    except ArtifactError as error:
        reason = _COLUMN.sub(r" at column \1", str(error).partition("not valid JSON: ")[2].partition(". The file")[0])
        because = f" ({reason})" if reason else ""
        raise PromptError(f"{record.place()} is no JSON object{because}. Write one with {', '.join(keys)}.") from error
    if not isinstance(value, dict):
        raise PromptError(f"{record.place()} is no JSON object. Write one with {', '.join(keys)}.")
    if _HALF_LETTER.search(json.dumps(value, ensure_ascii=False)):
        raise PromptError(f"{record.place()} holds half a letter (\\ud800 to \\udfff alone). Write whole letters.")
    record = Record(path=path, line=number, values=cast("Mapping[str, Json]", value))
    record.allow(keys)
    return record


def _shown(value: object) -> str:
    match value:
        case str():
            return f"the text {value!r}"
        case list():
            return "a list of something else"
        case Mapping():
            return "a table of something else"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
