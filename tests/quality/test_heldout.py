"""Text is read as in training, spread over all of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circuitwise.errors import PromptError, RequestError
from circuitwise.quality.budget import Cut, QualityBudget
from circuitwise.quality.heldout import read_held_out
from circuitwise.training.packing import pack
from tests.quality import plain

HOW = QualityBudget(context=16, tokens=100, spliced=40, prompts=Cut(number=4, tokens=6))


def test_it_holds_the_sequences_that_training_would_draw_first(tmp_path: Path) -> None:
    model = plain.model_of()
    trained = pack(model, plain.TEXTS, context=16, seed=0, path=tmp_path / "text")
    held = read_held_out(model, plain.TEXTS, HOW)
    assert (held.n_read, held.n_spliced, held.sequences.n_excluded) == (7, 3, trained.n_excluded)
    assert torch.equal(held.sequences.take(0, 7), trained.take(0, 7))
    assert [prompt.tolist() for prompt in held.prompts] == trained.take(0, 4)[:, :6].tolist()


def test_another_seed_takes_other_sequences() -> None:
    model = plain.model_of()
    one, other = (read_held_out(model, plain.TEXTS, replace(HOW, seed=seed)) for seed in (0, 1))
    assert not torch.equal(one.sequences.take(0, 7), other.sequences.take(0, 7))


def test_a_short_text_is_used_whole() -> None:
    held = read_held_out(plain.model_of(), plain.TEXTS[:1], replace(HOW, tokens=10**6, prompts=("a b",)))
    assert held.n_read == len(held.sequences.ids) < 30 and held.n_spliced == 3 and len(held.prompts) == 1


def test_a_larger_budget_holds_the_smaller_one() -> None:
    model = plain.model_of()
    one, other = (read_held_out(model, plain.TEXTS, replace(HOW, tokens=tokens)) for tokens in (100, 200))
    assert other.n_read > one.n_read and torch.equal(one.sequences.take(0, 7), other.sequences.take(0, 7))


def test_text_that_is_too_short_is_refused() -> None:
    model = plain.model_of()
    with pytest.raises(PromptError, match="fewer than 16 tokens"):
        read_held_out(model, ["the cat"], HOW)
    with pytest.raises(PromptError, match="too few for 400 prompts"):
        read_held_out(model, plain.TEXTS, replace(HOW, prompts=Cut(number=400, tokens=6)))


def test_sequences_that_predict_nothing_are_refused() -> None:
    with pytest.raises(RequestError, match=r"Sequences of 2 tokens leave 1 to measure: 1 at the start"):
        read_held_out(plain.model_of(), plain.TEXTS, replace(HOW, context=2, prompts=Cut(number=0, tokens=2)))
