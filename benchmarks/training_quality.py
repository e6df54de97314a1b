"""What both sides of the training are measured on; the peer's process reads this module, too."""

from pathlib import Path

import safetensors.torch
from torch import Tensor

TOKENS = "tokens.safetensors"
"""The file with the sequences, beside the folder of the model."""


def read_sequences(folder: Path | str) -> tuple[Tensor, Tensor]:
    """The sequences to train on, in their order, and those to measure on."""
    found = safetensors.torch.load_file(Path(folder) / TOKENS)
    return found["train"].long(), found["heldout"].long()


def unexplained(y: Tensor, rebuilt: Tensor) -> float:
    """The fraction of variance unexplained."""
    return float((y - rebuilt).square().sum() / (y - y.mean(0)).square().sum())


def usual(y: Tensor) -> Tensor:
    """Tokens that are not over 20 times as long as the middle one: attention parks on those, whatever they say."""
    length = y.square().sum(1).sqrt()
    return length <= 20 * length.median()
