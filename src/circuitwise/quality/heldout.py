"""The text that quality is measured on, read as in training: sequences of one length, the first position left out."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from circuitwise.errors import PromptError, RequestError
from circuitwise.model.model import Model
from circuitwise.model.tokens import tokenize
from circuitwise.quality.budget import Cut, QualityBudget
from circuitwise.training.packing import Sequences, pack
from circuitwise.training.text import Text
from circuitwise.vocabulary import Tokens

MOST = 1 << 16
"""So many sequences of a text are read; some of these are taken."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """What is read of a text."""

    sequences: Sequences
    """All of it, in the order of a seed: whatever the budget, the first ones are the same."""
    n_read: int
    """How many of them are for variance, firing and dead features."""
    n_spliced: int
    """How many of these are for cross-entropy."""
    prompts: tuple[str | Tokens, ...]
    """For graphs."""


def read_held_out(model: Model, text: Text, how: QualityBudget) -> HeldOut:
    """As many sequences as the budget asks for, drawn evenly from the whole text; all of it where it has fewer."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "text.safetensors"
        whole = pack(model, text, context=how.context, seed=how.seed, path=path, n_wanted=MOST)
    if whole.n_kept < 2:
        raise RequestError(
            f"Sequences of {how.context} tokens leave {whole.n_kept} to measure: {whole.n_excluded} at the start are "
            "left out. Choose a longer context."
        )
    n_read, n_spliced = (min(-(-n // whole.n_kept), len(whole.ids)) for n in (how.tokens, how.spliced))
    return HeldOut(
        sequences=whole,
        n_read=n_read,
        n_spliced=min(n_read, n_spliced),
        prompts=_prompts(model, whole, how),
    )


def _prompts(model: Model, whole: Sequences, how: QualityBudget) -> tuple[str | Tokens, ...]:
    if not isinstance(how.prompts, Cut):
        for prompt in how.prompts:
            tokenize(model, prompt)  # one that cannot be run is said before the work
        return how.prompts
    if how.prompts.number > len(whole.ids):
        raise PromptError(
            f"The text gives {len(whole.ids)} sequences of {how.context} tokens, too few for {how.prompts.number} "
            "prompts. Give more text, or ask for fewer prompts."
        )
    return (
        tuple(whole.take(0, how.prompts.number)[:, : how.prompts.tokens].to(model.device)) if how.prompts.number else ()
    )
