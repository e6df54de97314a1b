"""One behaviour while a study works on it: its prompts, what they run on, what is kept, and what failed."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from circuitwise.errors import PromptError, RequestError
from circuitwise.prompts import SPLITS, Item, Split
from circuitwise.study.clock import Progress, Tell
from circuitwise.study.layout import PROMPTS
from circuitwise.study.opening import Opened
from circuitwise.study.plan import Plan, Stage
from circuitwise.study.store import Store, make_folder
from circuitwise.suites import Suite, Thresholds
from circuitwise.suites.files import suite_files

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A prompt that could not be measured."""

    stage: Stage
    """Where it failed."""
    split: Split
    """Its split."""
    number: int
    """Its place there; below 0 for a sentence that belongs to no suite."""
    prompt: str
    """The prompt."""
    sentence: str
    """Why."""


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """One behaviour while a study works on it."""

    plan: Plan
    """What is to be done."""
    suite: Suite
    """The prompts that take part, and when the model counts as showing the behaviour."""
    opened: Opened
    """What it runs on."""
    folder: Path
    """The run's."""
    store: Store
    """What was computed before."""
    tell: Tell
    """Who watches."""
    stage: Stage = "baseline"
    """What is being done."""
    failures: list[Failure] = field(default_factory=list[Failure])
    """Prompts that failed in this stage."""

    @property
    def behaviour(self) -> str:
        """The suite's name."""
        return self.suite.name

    def file(self, name: str) -> Path:
        """A file of the run, its folder made."""
        return make_folder((self.folder / name).parent) / Path(name).name

    def every(
        self, kind: str, split: Split, what: Callable[[int, Item], Value], *, first: int | None = None
    ) -> Iterator[tuple[int, Item, Value]]:
        """What is made of each prompt of a split, or of the first ones; a prompt that fails is noted and left out.

        ``kind`` is the clock's word for it; what has none takes no time and is not told of.
        """
        items = self.suite.split(split)[:first]
        for number, item in enumerate(items):
            try:
                value = what(number, item)
            except (PromptError, RequestError) as error:
                self.fail(split, number, item.prompt, str(error))
                self.store.clock.forgo(kind)
            else:
                yield number, item, value
            if kind:
                self.report(number + 1, len(items))

    def foretaste(self, kind: str, make: Callable[[], object]) -> None:
        """Make one result of a later stage now, if none was made before: from then on the clock knows what it takes.

        What fails here fails again in its own stage, and is noted there.
        """
        if self.store.clock.is_new(kind):
            with suppress(PromptError, RequestError):
                make()

    def report(self, done: int, wanted: int) -> None:
        """Say how far this stage is."""
        left = self.store.clock.seconds_left
        self.tell(Progress(behaviour=self.behaviour, stage=self.stage, done=done, wanted=wanted, seconds_left=left))

    def fail(self, split: Split, number: int, prompt: str, sentence: str) -> None:
        """Note that a prompt could not be measured, once."""
        failure = Failure(stage=self.stage, split=split, number=number, prompt=prompt, sentence=sentence)
        if failure not in self.failures:
            self.failures.append(failure)


def choose_suite(suite: Suite, thresholds: Thresholds, limits: Mapping[Split, int | None], seed: int) -> Suite:
    """The prompts that take part: all, or as many of a split as are asked for, drawn with minimal pairs together.

    More prompts drawn with the same seed begin with the same ones.
    """
    chosen = [item for split in SPLITS for item in _draw(suite.split(split), limits[split], f"{seed} {split}")]
    return replace(suite, items=tuple(_placed(suite.name, chosen)), thresholds=thresholds)


def _placed(name: str, items: Iterable[Item]) -> Iterator[Item]:
    """The prompts as they stand in the run's own files: what is said of one names no place outside."""
    n_before = Counter[Split]()
    for item in items:
        n_before[item.split] += 1
        file = suite_files(name, Path(PROMPTS))[1 + SPLITS.index(item.split)]
        yield replace(item, place=f"Line {n_before[item.split]} of {file.as_posix()}")


def _draw(items: Sequence[Item], n: int | None, seed: str) -> list[Item]:
    if n is None or n >= len(items):
        return list(items)
    pairs: dict[frozenset[str], list[Item]] = {}
    for item in items:
        pairs.setdefault(frozenset({item.prompt, item.contrast_prompt or item.prompt}), []).append(item)
    drawn = list(pairs.values())
    random.Random(seed).shuffle(drawn)
    return [item for pair in drawn for item in pair][:n]
