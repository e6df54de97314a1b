"""A budget that measures nothing is refused where it is made."""

import pytest

from circuitwise.errors import RequestError
from circuitwise.quality.budget import Cut, QualityBudget


def test_prompts_are_counted() -> None:
    assert QualityBudget().n_prompts == 20
    assert QualityBudget(prompts=("a", "b")).n_prompts == 2


def test_nothing_cannot_be_measured() -> None:
    for name in ("tokens", "spliced", "rows"):
        with pytest.raises(RequestError, match=f"with {name} = 0"):
            QualityBudget(**{name: 0})
    with pytest.raises(RequestError, match="with context = 1"):
        QualityBudget(context=1)
    with pytest.raises(RequestError, match="20 prompts of 24 tokens cannot be cut from sequences of 16"):
        QualityBudget(context=16)
    with pytest.raises(RequestError, match="-1 prompts"):
        QualityBudget(prompts=Cut(number=-1))
