"""Two prompts that are each other's minimal pair: what the built-in suites are made of.

The right answer to the one is the wrong answer to the other, so every answer of a suite is right as often as wrong, and
nothing but the subject can tell which.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from circuitwise.errors import PromptError
from circuitwise.prompts import Encode, Item, Split, tokenize_item


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A minimal pair with the answer to each prompt."""

    prompts: tuple[str, str]
    """The pair."""
    answers: tuple[str, str]
    """The right answer to each."""
    groups: tuple[str, str]
    """The group of each."""
    template: str
    """The form that they share."""
    tags: tuple[Mapping[str, str], Mapping[str, str]] = field(default_factory=lambda: ({}, {}))
    """What else is known of each."""

    def items(self, behaviour: str, split: Split) -> Iterator[Item]:
        """Both as items."""
        for here, there in ((0, 1), (1, 0)):
            yield Item(
                prompt=self.prompts[here],
                correct_answer=self.answers[here],
                incorrect_answer=self.answers[there],
                behaviour=behaviour,
                split=split,
                template=self.template,
                group=self.groups[here],
                contrast_prompt=self.prompts[there],
                tags=self.tags[here],
            )


Families = list[list[Block]]
"""Blocks that must stay in one split together, the best of a family first."""
Maker = Callable[[Encode, Random], Families]
"""All families of a behaviour that a tokenizer allows for, in an order that the seed draws."""


def fits(block: Block, encode: Encode) -> bool:
    """Whether a tokenizer cuts both prompts and both answers into equally many tokens, and the answers differ there."""
    try:
        tokens = [tokenize_item(item, encode) for item in block.items("any", "train")]
    except PromptError:
        return False
    return len(tokens[0].correct) == len(tokens[0].incorrect)


def rows(table: str) -> list[str]:
    """The entries of a table that is written as ``one | two | three``."""
    return [row.strip() for row in table.split("|")]


def shuffled(values: Sequence[str], random: Random) -> list[str]:
    """The values in a drawn order."""
    return random.sample(values, len(values))
