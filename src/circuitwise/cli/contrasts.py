"""Contrast pairs from a command line or a file.

A file holds one JSON object a line: ``clean``, ``corrupted`` (two prompts of one token length), ``correct``,
``incorrect`` (the answers, leading space included) and, where several lines share a template or a word, ``cluster``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from circuitwise.errors import PromptError, RequestError
from circuitwise.patching.pairs import Pair
from circuitwise.prompts import Record, read_json_lines
from circuitwise.targets import Difference

Clean = Annotated[str | None, typer.Argument(help="A prompt that shows the behaviour.", show_default=False)]
Corrupted = Annotated[str | None, typer.Argument(help="One that does not.", show_default=False)]
Answers = Annotated[
    tuple[str, str] | None,
    typer.Option("--difference", metavar="TOKEN TOKEN", help="The correct and the incorrect answer."),
]
PairsFile = Annotated[Path | None, typer.Option("--pairs", metavar="FILE", help="Many pairs: one JSON object a line.")]

FIELDS = ("clean", "corrupted", "correct", "incorrect")
"""What every line of a file has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrasts:
    """Pairs of prompts with their answers."""

    clean: tuple[str, ...]
    """Prompts that show the behaviour."""
    corrupted: tuple[str, ...]
    """Prompts that do not, one each."""
    differences: tuple[Difference, ...]
    """The correct and the incorrect answer to each clean prompt."""
    clusters: tuple[str, ...] | None = None
    """What each pair shares with others; None where no line says so."""

    @property
    def pairs(self) -> list[Pair]:
        """The prompts, pair by pair."""
        return [Pair(clean, corrupted) for clean, corrupted in zip(self.clean, self.corrupted, strict=True)]


def contrasts_of(
    clean: str | None, corrupted: str | None, difference: tuple[str, str] | None, path: Path | None
) -> Contrasts:
    """The pairs that a command was given: one on the command line, or many in a file."""
    if path is not None:
        if clean is not None or corrupted is not None or difference is not None:
            raise RequestError("Give prompts and --difference on the command line, or --pairs FILE, one of the two.")
        return read_contrasts(path)
    if clean is None or corrupted is None or difference is None:
        raise RequestError(
            "A contrast is a clean prompt, a corrupted prompt and --difference CORRECT INCORRECT; many of them come "
            "from --pairs FILE."
        )
    for prompt in (clean, corrupted):
        if not prompt.strip():
            raise PromptError("A prompt is empty. Give the text that the model shall continue.")
    return Contrasts(clean=(clean,), corrupted=(corrupted,), differences=(Difference(*difference),))


def read_contrasts(path: Path) -> Contrasts:
    """The pairs in a file."""
    rows = read_json_lines(path, (*FIELDS, "cluster"))
    if not rows:
        raise PromptError(f"{path} holds no pair. Write one JSON object a line with {', '.join(FIELDS)}.")
    clean, corrupted, correct, incorrect = (tuple(row.text(name) for row in rows) for name in FIELDS)
    for row, right, wrong in zip(rows, correct, incorrect, strict=True):
        if right == wrong:
            raise PromptError(f"{row.place()} has the same answer twice: {right!r}. There is no difference to measure.")
    _check_distinct(rows)
    clusters = [row.values.get("cluster") for row in rows]
    if None in clusters and any(cluster is not None for cluster in clusters):
        raise PromptError(f"Some lines of {path} name a cluster and some do not. Name one on every line, or on none.")
    return Contrasts(
        clean=clean,
        corrupted=corrupted,
        differences=tuple(map(Difference, correct, incorrect)),
        clusters=None if None in clusters else tuple(str(cluster) for cluster in clusters),
    )


def _check_distinct(rows: Sequence[Record]) -> None:
    seen: dict[str, Record] = {}
    for row in rows:
        if (first := seen.setdefault(row.text("clean"), row)) is not row:
            raise PromptError(
                f"{row.place()} has the clean prompt of line {first.line}: {row.text('clean')!r}. Count every prompt "
                "once."
            )
