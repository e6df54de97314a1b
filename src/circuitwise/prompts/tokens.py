"""An item as a tokenizer sees it.

Prompt and answer are tokenised together, and the prompt's own tokens must come out unchanged. Answers are told apart at
their first differing token; tokens before it, which both share (a lone space, an equal first digit), are put behind the
prompt:

    "12 + 7 = " + "19" | "18"   ->   [1 2 _+ _ 7 _= _ 1]   scored 9 against 8
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from circuitwise.errors import PromptError
from circuitwise.prompts.item import Item

Encode = Callable[[str], Sequence[int]]
"""From a text to its token ids, with the special tokens that stand before every prompt."""
Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemTokens:
    """Token ids of one item."""

    prompt: Ids
    """The prompt."""
    contrast: Ids | None
    """Its minimal pair, of equal length, where it has one."""
    correct: Ids
    """The right answer, as it follows the prompt."""
    incorrect: Ids
    """The wrong one."""

    @property
    def n_shared(self) -> int:
        """Leading tokens that both answers share."""
        pairs = zip(self.correct, self.incorrect, strict=False)
        return next(number for number, (right, wrong) in enumerate(pairs) if right != wrong)

    @property
    def scored(self) -> tuple[int, int]:
        """The first tokens that differ: the right one and the wrong one."""
        return self.correct[self.n_shared], self.incorrect[self.n_shared]

    @property
    def scored_prompt(self) -> Ids:
        """What the scored tokens follow: the prompt and what the answers share."""
        return self.prompt + self.correct[: self.n_shared]

    @property
    def scored_contrast(self) -> Ids | None:
        """The same for the minimal pair."""
        return None if self.contrast is None else self.contrast + self.correct[: self.n_shared]


def tokenize_item(item: Item, encode: Encode) -> ItemTokens:
    """The item's token ids, refused where the tokens measure something else than the text says."""
    prompt = tuple(encode(item.prompt))
    correct = _answer(item, item.prompt, item.correct_answer, encode)
    incorrect = _answer(item, item.prompt, item.incorrect_answer, encode)
    if all(right == wrong for right, wrong in zip(correct, incorrect, strict=False)):
        raise PromptError(
            f"{item.where} has answers that differ at no token: {item.correct_answer!r} and {item.incorrect_answer!r} "
            "begin with the same tokens until the shorter one ends. Choose answers of which none begins the other."
        )
    contrast = None if item.contrast_prompt is None else _contrast(item, item.contrast_prompt, len(prompt), encode)
    return ItemTokens(prompt=prompt, contrast=contrast, correct=correct, incorrect=incorrect)


def _answer(item: Item, prompt: str, answer: str, encode: Encode) -> Ids:
    """The tokens of an answer where it stands."""
    before, both = tuple(encode(prompt)), tuple(encode(prompt + answer))
    if both[: len(before)] != before or len(both) == len(before):
        raise PromptError(
            f"{item.where} cannot be cut between prompt and answer: the tokens of {prompt!r} change when {answer!r} "
            "follows. Most tokenizers want the space at the beginning of the answer and none at the end of the prompt; "
            "those that cut numbers into digits want it at the end of a prompt before a number."
        )
    return both[len(before) :]


def _contrast(item: Item, contrast: str, n_prompt: int, encode: Encode) -> Ids:
    ids = tuple(encode(contrast))
    if len(ids) != n_prompt:
        raise PromptError(
            f"{item.where} has a prompt of {n_prompt} tokens and a contrast of {len(ids)}: {item.prompt!r} and "
            f"{contrast!r}. Patching puts a position into the same position, so give prompts of equal token length."
        )
    _answer(item, contrast, item.correct_answer, encode)
    _answer(item, contrast, item.incorrect_answer, encode)
    return ids
