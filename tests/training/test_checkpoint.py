"""A training's length may be changed while it is interrupted, as long as no rate depends on it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from circuitwise.errors import ArtifactError
from circuitwise.training.progress import Progress
from circuitwise.training.recipe import Recipe
from circuitwise.training.train import train
from tests.training.material import reading_model, some_texts
from tests.training.test_train import SMALL, assert_equal


def interrupt_at(step: int) -> Callable[[Progress], None]:
    def told(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return told


def of_length(n_steps: int) -> Recipe:
    return replace(SMALL, n_tokens=SMALL.batch * n_steps)


def interrupted(folder: Path, step: int, n_steps: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(
            reading_model(),
            some_texts(),
            of_length(n_steps),
            folder,
            progress=interrupt_at(step),
            seconds_between_reports=0.0,
        )


@pytest.mark.parametrize("n_steps", [36, 60])
def test_another_length_ends_as_if_it_had_been_that_from_the_start(tmp_path: Path, n_steps: int) -> None:
    interrupted(tmp_path / "changed", 15, 40)
    changed = train(reading_model(), some_texts(), of_length(n_steps), tmp_path / "changed")
    # the warm-up takes one step whichever the length is, and BatchTopK has no price
    assert_equal(changed, train(reading_model(), some_texts(), of_length(n_steps), tmp_path / "whole"))
    story = json.loads((tmp_path / "changed" / "training.json").read_text("utf-8"))
    assert story["identity"]["recipe"]["n_tokens"] == 64 * n_steps
    assert {"step": 15, "n_tokens_before": 64 * 40, "n_tokens": 64 * n_steps} in story["history"]


@pytest.mark.parametrize(("step", "n_steps", "level"), [(2, 30, "8 to 28"), (15, 20, "4 to 14"), (35, 80, "8 to 28")])
def test_the_length_stays_where_a_rate_depends_on_it(tmp_path: Path, step: int, n_steps: int, level: str) -> None:
    interrupted(tmp_path, step, 40)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(ArtifactError, match=f"has taken {step} steps, .* level from step {level} only"):
        train(reading_model(), some_texts(), of_length(n_steps), tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_nothing_else_may_change_with_it(tmp_path: Path) -> None:
    interrupted(tmp_path, 15, 40)
    with pytest.raises(ArtifactError, match="holds a training with another recipe. Repeat the command"):
        train(reading_model(), some_texts(), replace(of_length(30), seed=3), tmp_path)
