"""All that is known of one feature: data only, with the texts of its tokens, for pages and other tools."""

from collections.abc import Sequence
from dataclasses import dataclass

from circuitwise.features.labels import Label
from circuitwise.features.tally import bin_edge
from circuitwise.vocabulary import Feature


@dataclass(frozen=True, slots=True)
class Token:
    """One token."""

    id: int
    """In the vocabulary."""
    text: str
    """As people read it."""
    value: float | None = None
    """Its centred logit, where the tokens that a feature promotes were computed anew."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin of a histogram."""

    start: float
    """The least activation in it."""
    stop: float
    """Where the next begins."""
    count: int
    """How many activations lie in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A piece of text with a feature's activations on it."""

    sequence: int
    """Which sequence of the text it is from."""
    start: int
    """Its place in the sequence."""
    tokens: tuple[Token, ...]
    """What stands there."""
    activations: tuple[float, ...]
    """The feature's activation on each token."""
    peak: int
    """The token that the context was chosen for."""

    @property
    def value(self) -> float:
        """The activation on that token."""
        return self.activations[self.peak]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a feature does; without a survey only the tokens are known, and there is no context."""

    feature: Feature
    """Which one."""
    promoted: tuple[Token, ...]
    """Tokens that it promotes, most first."""
    suppressed: tuple[Token, ...]
    """Tokens that it suppresses, most first."""
    label: Label
    """Its name."""
    n_firings: int = 0
    """Positions at which it fires."""
    n_positions: int = 0
    """Positions that were looked at."""
    frequency: float = 0.0
    """The share of positions at which it fires."""
    mean: float = 0.0
    """Its mean activation where it fires."""
    maximum: float = 0.0
    """Its largest."""
    bars: tuple[Bar, ...] = ()
    """How its activations are spread, from the first bin with any to the last."""
    strongest: tuple[Context, ...] = ()
    """Where it fires most, strongest first."""
    quintiles: tuple[tuple[Context, ...], ...] = ()
    """Contexts drawn from all in which it fires: the strongest fifth of them first."""


def bars_of(counts: Sequence[int]) -> tuple[Bar, ...]:
    """The bins of a histogram between the first and the last that hold something."""
    filled = [number for number, count in enumerate(counts) if count]
    if not filled:
        return ()
    span = range(filled[0], filled[-1] + 1)
    starts = [bin_edge(number) if number else 0.0 for number in span]  # the first bin holds all below, too
    return tuple(Bar(start, bin_edge(number + 1), counts[number]) for start, number in zip(starts, span, strict=True))
