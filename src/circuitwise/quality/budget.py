"""How much of a text the quality of a set is measured on."""

from collections.abc import Callable
from dataclasses import dataclass

from circuitwise.errors import RequestError
from circuitwise.training.recipe import Precision, Reading

Progress = Callable[[int, int], None]
"""Called with the work that is done and the work that there is, in blocks of the model run on one sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Prompts cut from the text: the beginnings of its sequences."""

    number: int = 20
    """How many; none with 0."""
    tokens: int = 24
    """How long each is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityBudget:
    """What to measure, and on how much text."""

    tokens: int = 16_384
    """For variance, firing and dead features; a shorter text is used whole."""
    spliced: int = 2048
    """Of these, for cross-entropy: each layer takes three passes through the layers from there on."""
    prompts: Cut | tuple[str, ...] = Cut()
    """What graphs are made of: prompts of your own, or some that are cut from the text."""
    rows: int = 2048
    """Features of a graph that become nodes, at most."""
    layers: tuple[int, ...] | None = None
    """Layers that are spliced in one by one and listed; None for all."""
    context: int = Reading().context
    """Tokens that the model reads at a time, as in training."""
    precision: Precision = "float32"
    """Of the model's large products."""
    seed: int = 0
    """Decides which sequences of the text are taken."""

    def __post_init__(self) -> None:
        counts = {"tokens": self.tokens, "spliced": self.spliced, "rows": self.rows, "context": self.context - 1}
        for name, value in counts.items():
            if value < 1:
                raise RequestError(f"Quality cannot be measured with {name} = {getattr(self, name)}. Ask for more.")
        match self.prompts:
            case Cut(number=number, tokens=tokens) if number < 0 or (number and not 2 <= tokens <= self.context):
                raise RequestError(
                    f"{number} prompts of {tokens} tokens cannot be cut from sequences of {self.context}. Ask for 2 "
                    f"tokens at least, and at most {self.context}."
                )
            case _:
                pass

    @property
    def n_prompts(self) -> int:
        """How many graphs are made."""
        return self.prompts.number if isinstance(self.prompts, Cut) else len(self.prompts)
