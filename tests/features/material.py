"""What the tests of features share: a tiny model that reads text, its dictionaries, and a survey of them."""

from functools import cache

import torch

from circuitwise.features.examples import Examples
from circuitwise.features.survey import Precision, Survey, survey
from circuitwise.replacement import Replacement
from tests import tiny
from tests.training.material import reading_model

N_POS = 24
FEW = Examples(strongest=3, sampled=10, before=5, after=2, tokens=4)


def replacement(kind: str = "relu") -> Replacement:
    model = reading_model()
    return Replacement(model, tiny.tiny_transcoders(model, kind), allow_misfit=True)


def sequences(number: int = 50, seed: int = 0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(3, tiny.VOCAB, (number, N_POS), generator=draws)


@cache
def surveyed(kind: str = "relu", how: Examples = FEW, precision: Precision = "float32") -> Survey:
    return survey(replacement(kind), sequences(), how, precision=precision)
