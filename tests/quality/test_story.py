"""What a set has seen is told by the story of its training."""

from pathlib import Path

import pytest

from circuitwise.dictionaries.activations import BatchTopK
from circuitwise.quality.story import tokens_seen
from circuitwise.training.recipe import Reading, Recipe
from circuitwise.training.train import train
from tests.quality import plain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("Sätze") / "mein Satz"
    how = Recipe(
        sparsity=BatchTopK(4),
        width=40,
        layers=(1,),
        n_tokens=640,
        batch=64,
        reading=Reading(context=16, pool_bytes=10**5),
    )
    train(plain.model_of(), plain.TEXTS, how, target)
    return target


def test_the_story_is_found_from_the_training_and_from_its_set(folder: Path) -> None:
    assert tokens_seen(str(folder)) == tokens_seen(str(folder / "set")) == 640


def test_without_a_story_nothing_is_known(folder: Path, tmp_path: Path) -> None:
    assert tokens_seen("gemma") is None and tokens_seen(str(tmp_path)) is None
    moved = tmp_path / "set"
    moved.mkdir()
    (tmp_path / "training.json").write_text("{}", "utf-8")
    assert tokens_seen(str(moved)) is None
    elsewhere = folder / "another"
    elsewhere.mkdir()
    assert tokens_seen(str(elsewhere)) is None
