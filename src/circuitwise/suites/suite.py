"""A named, split set of prompts with its thresholds."""

from collections.abc import Iterator
from dataclasses import dataclass

from circuitwise.errors import PromptError
from circuitwise.prompts import SPLITS, Item, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a model counts as showing the behaviour."""

    margin: float = 2.0
    """The log-probability of the right answer must exceed the wrong one's by this many nats a token..."""
    share: float = 0.8
    """...in at least this share of the prompts."""

    def __post_init__(self) -> None:
        """Refuse thresholds that nothing or everything passes."""
        if not 0 <= self.margin < float("inf") or not 0 < self.share <= 1:
            raise PromptError(
                f"The thresholds are margin = {self.margin} and share = {self.share}; a margin of at least 0 and a "
                "share above 0 and up to 1 are expected."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Prompts of one behaviour, some to find its circuit on, others to test it on."""

    name: str
    """The behaviour."""
    items: tuple[Item, ...]
    """All prompts, training ones first."""
    thresholds: Thresholds = Thresholds()
    """When a model counts as showing the behaviour."""
    description: str = ""
    """What is asked, in a sentence."""

    def __post_init__(self) -> None:
        """Refuse a suite that counts prompts twice or tests on what it learned from."""
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum():
            where = f" ({self.items[0].where})" if self.items else ""
            raise PromptError(f"A suite cannot be called {self.name!r}{where}. Use letters, digits, - and _.")
        for problem in (*_foreign(self), *_empty(self), *_repeated(self), *_overlapping(self)):
            raise PromptError(problem)

    @property
    def train(self) -> tuple[Item, ...]:
        """The prompts that a circuit is found on."""
        return self.split("train")

    @property
    def test(self) -> tuple[Item, ...]:
        """The prompts that it is tested on."""
        return self.split("test")

    def split(self, split: Split) -> tuple[Item, ...]:
        """The prompts of a split."""
        return tuple(item for item in self.items if item.split == split)


def _foreign(suite: Suite) -> Iterator[str]:
    for item in suite.items:
        if item.behaviour != suite.name:
            yield f"{item.where} has the behaviour {item.behaviour!r} in the suite {suite.name!r}. Give them one name."


def _empty(suite: Suite) -> Iterator[str]:
    for split in SPLITS:
        if not suite.split(split):
            where = f" ({suite.items[-1].where} is the last one)" if suite.items else ""
            yield (
                f"The suite {suite.name!r} has no item of the split {split!r}{where}. A circuit is found on some "
                "prompts and tested on others: give items of both."
            )


def _repeated(suite: Suite) -> Iterator[str]:
    seen: dict[str, Item] = {}
    for item in suite.items:
        if (first := seen.setdefault(item.prompt, item)) is not item:
            yield f"{item.where} repeats the prompt {item.prompt!r} ({first.where}). Count every prompt once."


def _overlapping(suite: Suite) -> Iterator[str]:
    groups = {item.group: item for item in suite.train}
    prompts = {prompt: item for item in suite.train for prompt in (item.prompt, item.contrast_prompt) if prompt}
    for item in suite.test:
        if (first := groups.get(item.group)) is not None:
            yield (
                f"{item.where} is a test item of the group {item.group!r}, which also has training items "
                f"({first.where}). Put a whole group into one split."
            )
        for prompt in (item.prompt, item.contrast_prompt):
            if prompt and (first := prompts.get(prompt)) is not None:
                yield (
                    f"{item.where} is a test item with the prompt or contrast {prompt!r}, which is trained on, too "
                    f"({first.where}). Test on other prompts."
                )
