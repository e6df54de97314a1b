"""One prompt of a suite with its two answers and its minimal pair."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from circuitwise.errors import PromptError
from circuitwise.prompts.record import Record
from circuitwise.storage.jsontext import Json

Split = Literal["train", "test"]
"""Circuits are found on the one and tested on the other."""
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A prompt, the answer that is right and one that is wrong."""

    prompt: str
    """What the model continues."""
    correct_answer: str
    """How it should, leading space included."""
    incorrect_answer: str
    """How it should not."""
    behaviour: str
    """What this is an example of: the suite's name."""
    split: Split
    """Which half it belongs to."""
    template: str = ""
    """The form that it shares with others."""
    group: str
    """The word, entity or context that it shares with others; no group is in both splits."""
    contrast_prompt: str | None = None
    """The minimal pair: a prompt of equal token length to which the incorrect answer is the right one."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """What else tables can be grouped by, such as the kind of error."""
    place: str = field(default="", compare=False)
    """Where it was read, for messages."""

    def __post_init__(self) -> None:
        """Refuse an item that can measure nothing."""
        for name in ("prompt", "correct_answer", "incorrect_answer", "behaviour", "group"):
            if not str(getattr(self, name)).strip():
                raise PromptError(f"{self.where} has an empty {name}. Give a text.")
        if self.correct_answer == self.incorrect_answer:
            raise PromptError(
                f"{self.where} has the same answer twice: {self.correct_answer!r}. There is no difference to measure."
            )
        if self.contrast_prompt == self.prompt:
            raise PromptError(f"{self.where} has its own prompt as its contrast. A contrast differs in the subject.")
        if _holds(self.prompt, self.correct_answer) and not _holds(self.prompt, self.incorrect_answer):
            raise PromptError(
                f"{self.where} has its correct answer {self.correct_answer!r} in the prompt {self.prompt!r}, so that "
                "copying gives it away. Ask without it, or name both answers."
            )

    @property
    def where(self) -> str:
        """The beginning of a sentence about this item."""
        return self.place or f"The item {self.prompt!r}"

    def as_json(self) -> dict[str, Json]:
        """What a line of a JSONL file holds."""
        return {key: dict(self.tags) if key == "tags" else getattr(self, key) for key in KEYS}


KEYS = (
    "prompt",
    "correct_answer",
    "incorrect_answer",
    "behaviour",
    "split",
    "template",
    "group",
    "contrast_prompt",
    "tags",
)
"""The keys of an item in a file, in this order."""


def item_of(record: Record, behaviour: str) -> Item:
    """The item that a record describes; only prompt, answers and split must be there."""
    record.allow(KEYS)
    split = record.text("split")
    if split not in SPLITS:
        raise PromptError(f"{record.place('split')} has the split {split!r}. Choose {' or '.join(SPLITS)}.")
    if record.text("behaviour", behaviour) != behaviour:
        raise PromptError(
            f"{record.place('behaviour')} has the behaviour {record.text('behaviour')!r} in a suite of {behaviour!r}. "
            "Put each behaviour into a suite of its own."
        )
    prompt, contrast = record.text("prompt"), record.values.get("contrast_prompt")
    return Item(
        prompt=prompt,
        correct_answer=record.text("correct_answer"),
        incorrect_answer=record.text("incorrect_answer"),
        behaviour=behaviour,
        split=split,
        template=record.text("template", behaviour),
        group=record.text("group", prompt),
        contrast_prompt=None if contrast is None else record.text("contrast_prompt"),
        tags=record.named_texts("tags"),
        place=record.place(),
    )


def _holds(prompt: str, answer: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(answer.strip())}(?!\w)", prompt, re.IGNORECASE) is not None
