"""``circuitwise suite``: the prompts of a behaviour, made, checked and shown."""

import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from circuitwise.cli.graphwriting import Force
from circuitwise.cli.opening import BUILTIN, ModelName, open_model
from circuitwise.cli.request import RequestCommand
from circuitwise.cli.screen import AsJson, Quiet, Screen, listing
from circuitwise.errors import ArtifactError
from circuitwise.model.tokens import text_ids
from circuitwise.prompts import SPLITS, Encode
from circuitwise.storage import Json
from circuitwise.suites import BEHAVIOURS, Suite, check_suite, make_suite, n_equal_answers, read_suite, write_suite
from circuitwise.suites.files import suite_files
from circuitwise.suites.make import SEED, behaviour_of

UNSOUND = 1
"""The exit code where problems were found."""
N_SHOWN = 3
"""Prompts of each split that are shown."""
N_VALUES = 8
"""Templates, and values of each tag, that are shown."""
EXAMPLES = """\b
Examples:
  circuitwise suite make capitals -o prompts
  circuitwise suite check prompts/capitals.toml --model Qwen/Qwen3-4B
  circuitwise suite show my-prompts.jsonl
"""
MAKE_EXAMPLES = """\b
Examples:
  circuitwise suite make grammar
  circuitwise suite make arithmetic -o prompts --train 400 --test 100 --seed 7
"""
CHECK_EXAMPLES = """\b
Examples:
  circuitwise suite check prompts/grammar.toml
  circuitwise suite check mine.jsonl --model Qwen/Qwen3-4B --json
"""
SHOW_EXAMPLES = """\b
Examples:
  circuitwise suite show prompts/sentiment.toml
  circuitwise suite show mine.jsonl --json
"""

suite = typer.Typer(name="suite", epilog=EXAMPLES, rich_markup_mode=None)

SuiteFile = Annotated[Path, typer.Argument(help="The suite: a .toml or .jsonl file.", show_default=False)]


@suite.callback()
def describe() -> None:
    """Make, check and show suites: the prompts of a behaviour with their answers."""


class Make(NamedTuple):
    """Make a built-in suite for a model's tokenizer.

    Every prompt has a minimal pair of equally many tokens, to which its wrong answer is the right one. Words,
    countries, contexts and first numbers are in one split only. The same tokenizer and seed give the same files, to
    the byte.
    """

    name: Annotated[str, typer.Argument(help=f"A built-in suite: {', '.join(BEHAVIOURS)}.", show_default=False)]
    folder: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where NAME.toml and its prompts go.")
    ] = Path("prompts")
    model: ModelName = BUILTIN
    seed: Annotated[int, typer.Option("--seed", help="What the prompts are drawn with.")] = SEED
    train: Annotated[int | None, typer.Option("--train", help="Prompts to find a circuit on.")] = None
    test: Annotated[int | None, typer.Option("--test", help="Prompts to test it on.")] = None
    force: Force = False
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Make the suite and write it."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        behaviour_of(self.name)
        for file in suite_files(self.name, self.folder):
            if os.path.lexists(file) and not self.force:
                raise ArtifactError(f"{file} exists already. Choose another folder, or replace it with --force.")
        encode = _encoder(screen, self.model)
        made = make_suite(self.name, encode, seed=self.seed, n_train=self.train, n_test=self.test)
        path = write_suite(made, self.folder)
        screen.show({"file": str(path), **_as_json(made)}, lambda console: _draw(console, made, path))


suite.command(cls=RequestCommand, epilog=MAKE_EXAMPLES)(Make)


@suite.command(epilog=CHECK_EXAMPLES)
def check(file: SuiteFile, model: ModelName = BUILTIN, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Check a suite against a model's tokenizer.

    What needs no tokenizer ends at once with one sentence: unknown keys, wrong types, repeated prompts, equal answers,
    an answer that stands in the prompt, an empty split, a group in both splits. What the tokenizer says is then listed
    for every item: pairs of unequal length, answers that differ at no token, tokens that span prompt and answer.

    Exit code 0: sound. 1: problems were found. 2: the file is no suite.
    """
    screen = Screen(quiet=quiet, json=as_json)
    found = read_suite(file)
    encode = _encoder(screen, model)
    problems = check_suite(found, encode)
    n_equal = None if problems else n_equal_answers(found, encode)
    value: Json = {"file": str(file), "model": model, "sound": not problems, "problems": problems}
    equal = f"Both answers have equally many tokens in {n_equal} of {len(found.items)} items."
    screen.show({**value, "n_equal_answers": n_equal}, lambda console: _draw_check(console, file, problems, equal))
    if problems:
        raise typer.Exit(UNSOUND)


@suite.command(epilog=SHOW_EXAMPLES)
def show(file: SuiteFile, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Show what is in a suite: its splits, templates and tags, and some of its prompts."""
    found = read_suite(file)
    Screen(quiet=quiet, json=as_json).show(_as_json(found), lambda console: _draw(console, found))


def _encoder(screen: Screen, model: str) -> Encode:
    opened = open_model(screen, model, dtype=None, device="cpu", token=None)
    return partial(text_ids, opened)


def _as_json(found: Suite) -> dict[str, Json]:
    return {
        "name": found.name,
        "description": found.description,
        "thresholds": {"margin": found.thresholds.margin, "share": found.thresholds.share},
        "splits": {
            split: {
                "n_items": len(found.split(split)),
                "n_groups": len({item.group for item in found.split(split)}),
                "n_contrasts": sum(item.contrast_prompt is not None for item in found.split(split)),
            }
            for split in SPLITS
        },
        "templates": dict(Counter(item.template for item in found.items)),
        "tags": {key: dict(counts) for key, counts in _tags(found).items()},
        "examples": [item.as_json() for split in SPLITS for item in found.split(split)[:N_SHOWN]],
    }


def _tags(found: Suite) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for item in found.items:
        for key, value in item.tags.items():
            counts.setdefault(key, Counter())[value] += 1
    return counts


def _draw(console: Console, found: Suite, written: Path | None = None) -> None:
    thresholds = found.thresholds
    console.print(f"{found.name}: {found.description}", markup=False, soft_wrap=True)
    console.print(
        f"Shown by a model that prefers the right answer by over {thresholds.margin:g} nats a token in "
        f"{thresholds.share:.0%} of the prompts.\n",
        soft_wrap=True,
    )
    table = listing("split", "prompt", "answer", "wrong", "contrast")
    for split in SPLITS:
        items = found.split(split)
        for item in items[:N_SHOWN]:
            row = (item.prompt, item.correct_answer, item.incorrect_answer, item.contrast_prompt or "")
            table.add_row(split, *(Text(repr(each) if each else "") for each in row))
        n_groups = len({item.group for item in items})
        table.add_row(split, Text(f"... {len(items)} prompts in {n_groups} groups", style="dim"))
    console.print(table)
    for key, counts in {"template": Counter(item.template for item in found.items), **_tags(found)}.items():
        most = ", ".join(f"{value or 'none'} ({n})" for value, n in counts.most_common(N_VALUES))
        more = f" and {len(counts) - N_VALUES} more" if len(counts) > N_VALUES else ""
        console.print(Text.assemble((f"{key}: ", "bold"), most, more), soft_wrap=True)
    if written is not None:
        console.print(f"\nWritten to {written}.", markup=False, soft_wrap=True)


def _draw_check(console: Console, file: Path, problems: list[str], equal: str) -> None:
    if not problems:
        console.print(f"{file} is sound for this model. {equal}", markup=False, soft_wrap=True)
        return
    what = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    console.print(f"{file} has {what}:", markup=False, soft_wrap=True)
    for problem in problems:
        console.print(problem, markup=False, soft_wrap=True)
