"""Text to train on: from files, folders and packed files.

    *.txt                       plain text, cut at line ends into pieces
    *.jsonl                     one JSON object a line, its text under "text"
    either with .gz or .xz      unpacked while it is read
    a folder                    all such files in it and below, by name
    a data set on the hub       a column of it, streamed: no more is downloaded than is read

Everything is read as UTF-8, one text at a time.
"""

import gzip
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from circuitwise.errors import ArtifactError, RequestError
from circuitwise.storage.jsontext import parse_json

ENDINGS = (".txt", ".jsonl", ".txt.gz", ".jsonl.gz", ".txt.xz", ".jsonl.xz")
"""The files that hold text."""
PIECE = 1 << 16
"""About how many characters of a plain text make one piece."""


@dataclass(frozen=True, slots=True)
class HubText:
    """A data set on the Hugging Face hub, or a folder that the ``datasets`` library reads."""

    name: str
    """Owner and name, for example ``roneneldan/TinyStories``."""
    config: str | None = None
    """Which of its configurations, where it has several."""
    split: str = "train"
    """Which part of it."""
    column: str = "text"
    """Where the text stands."""


Text = Path | str | HubText | Sequence[str]
"""A file, a folder, a data set on the hub, or the texts themselves in a list."""


def read_texts(text: Text) -> Iterator[str]:
    """The texts one by one, always in the same order."""
    if isinstance(text, HubText):
        yield from _read_hub(text)
        return
    if not isinstance(text, Path | str):
        yield from text
        return
    for file in text_files(text):
        yield from _read_file(file)


def text_files(path: Path | str) -> list[Path]:
    """The files that hold the text: the one that was named, or those in the folder."""
    found = Path(path).expanduser()
    if found.is_dir():
        files = sorted(file for file in found.rglob("*") if file.name.endswith(ENDINGS) and file.is_file())
        if not files:
            raise RequestError(f"The folder {found} holds no text. Put {', '.join(ENDINGS)} files into it.")
        return files
    if not found.is_file():
        raise RequestError(f"There is no text at {found}. Name a file or a folder.")
    if not found.name.endswith(ENDINGS):
        raise RequestError(f"{found.name} is not known to hold text. Name a file that ends in {', '.join(ENDINGS)}.")
    return [found]


def check_text(text: Text) -> None:
    """Refuse a text that is not there, without reading it."""
    if isinstance(text, HubText):
        _datasets()
    elif isinstance(text, Path | str):
        text_files(text)


def _read_hub(text: HubText) -> Iterator[str]:
    library = _datasets()
    try:
        for row in library.load_dataset(text.name, text.config, split=text.split, streaming=True):
            if not isinstance(row.get(text.column), str):
                raise RequestError(
                    f"The data set {text.name} has no text in “{text.column}”. Its columns: {', '.join(row)}."
                )
            yield row[text.column]
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"The data set {text.name} cannot be read ({error}). Check its name, configuration and split, and that the "
            "hub can be reached."
        ) from error


def _datasets() -> Any:
    """The library that reads data sets from the hub, where it is installed."""
    if find_spec("datasets") is None:
        raise RequestError(
            "Text from the hub is read by the package datasets, which is not installed. Install it: "
            "pip install 'circuitwise[tuning]'."
        )
    return import_module("datasets")


def _read_file(path: Path) -> Iterator[str]:
    try:
        with _opened(path) as file:
            yield from _lines(file, path) if ".jsonl" in path.suffixes else _pieces(file)
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read to its end ({error}). It is damaged; get it anew.") from error


def _opened(path: Path) -> TextIOWrapper:
    match path.suffix:
        case ".xz":
            return lzma.open(path, "rt", encoding="utf-8")
        case ".gz":
            return gzip.open(path, "rt", encoding="utf-8")
        case _:
            return path.open(encoding="utf-8")


def _lines(file: TextIOWrapper, path: Path) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        match parse_json(line, what=f"Line {number} of {path}"):
            case {"text": str(text)}:
                yield text
            case _:
                raise ArtifactError(f'Line {number} of {path} has no "text". Write one {{"text": …}} on each line.')


def _pieces(file: TextIOWrapper) -> Iterator[str]:
    while lines := file.readlines(PIECE):
        yield "".join(lines)
