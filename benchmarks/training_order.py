"""What both sides of the training are told and what they report.

Nothing but Python's own library is imported here: the peer's process reads this module, too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "bfloat16"]
"""What large products are computed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One model, one size of dictionary, one number of tokens."""

    name: str
    """What it is called on the command line."""
    n_layers: int
    """The first so many blocks of SmolLM2; each gets a transcoder."""
    width: int
    """Features of a layer."""
    k: int
    """How many of them fire on a token."""
    context: int = 128
    """Tokens that the model reads at a time; the first one is special and not trained on."""
    sequences: int = 16
    """How many such texts make a step."""
    n_warm: int = 3
    """Steps before the clock starts."""
    n_timed: int = 9
    """Steps on the clock."""
    n_quality: int = 40
    """Steps of the runs after which the quality is compared."""
    n_heldout: int = 64
    """Sequences that the quality is measured on, none of them trained on."""

    @property
    def batch(self) -> int:
        """Tokens that a step trains on."""
        return self.sequences * (self.context - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOrder:
    """What one process is asked to train."""

    folder: str
    """Where the model and the sequences lie."""
    job: TrainingJob
    """How large everything is."""
    n_steps: int
    """Steps to take."""
    precision: Precision
    """What large products are computed in."""
    reuse: int
    """How often a token is trained on."""
    learning_rate: float
    """The highest one; Adam's."""
    n_threads: int
    """Threads of torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What one training took and gave."""

    tokens_per_second: float
    """Tokens trained on, past the steps of warm-up."""
    seconds: float
    """The time that this was measured over."""
    peak_bytes: int
    """The most resident memory of the process, weights included."""
    fvu: Mapping[str, float]
    """Fraction of variance unexplained on the held-out sequences, by layer."""


def read_training_order(arguments: list[str]) -> TrainingOrder:
    """The order that this process was started with."""
    value = json.loads(arguments[1])
    return TrainingOrder(**value | {"job": TrainingJob(**value["job"])})


def speed(ends: list[float], order: TrainingOrder) -> tuple[float, float]:
    """Tokens a second and the seconds that this was measured over, from the times at which steps ended or began."""
    first = min(order.job.n_warm, len(ends) - 2)
    seconds = ends[-1] - ends[first]
    return (len(ends) - 1 - first) * order.job.batch / seconds, seconds
