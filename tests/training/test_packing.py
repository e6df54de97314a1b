"""Text becomes sequences of one length, each token once, in an order that the seed decides."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circuitwise.errors import ArtifactError, PromptError, RequestError
from circuitwise.model.tokens import text_ids
from circuitwise.training.packing import BETWEEN, FEW_TOKENS, pack, sequences_wanted
from circuitwise.training.recipe import Reading, Recipe
from tests.training.material import reading_model, some_texts


def test_the_sequences_are_the_text_cut_into_pieces(tmp_path: Path) -> None:
    model, texts = reading_model(), some_texts()
    packed = pack(model, texts, context=16, seed=0, path=tmp_path / "text")
    every = [token for text in texts for token in text_ids(model, text + BETWEEN, special=False)]
    n_whole = len(every) // 16
    assert packed.ids.flatten().tolist() == every[: 16 * n_whole] and packed.ids.shape == (n_whole, 16)
    assert packed.n_excluded == 1 and packed.n_tokens == 15 * n_whole


def test_each_sequence_starts_with_what_the_tokenizer_puts_first(tmp_path: Path) -> None:
    model = reading_model(adds_bos=True)
    packed = pack(model, some_texts(), context=16, seed=0, path=tmp_path / "text")
    assert set(packed.ids[:, 0].tolist()) == {1} and 1 not in packed.ids[:, 1:]
    assert packed.n_excluded == 1


def test_each_pass_over_the_text_has_its_own_order(tmp_path: Path) -> None:
    model = reading_model()
    packed = pack(model, some_texts(), context=16, seed=3, path=tmp_path / "a")
    n = len(packed.ids)
    first, second = packed.take(0, n), packed.take(n, n)
    assert not torch.equal(first, second)
    for order in (first, second):
        assert sorted(order.tolist()) == sorted(packed.ids.tolist())
    assert torch.equal(packed.take(n - 3, 6), torch.cat([first[-3:], second[:3]]))
    other = pack(model, some_texts(), context=16, seed=4, path=tmp_path / "b")
    assert not torch.equal(other.take(0, n), first)


def test_the_file_stands_in_for_the_text(tmp_path: Path) -> None:
    model, path = reading_model(), tmp_path / "text"
    (tmp_path / "story.txt").write_text(" ".join(some_texts()), "utf-8")
    packed = pack(model, tmp_path / "story.txt", context=16, seed=0, path=path)
    before = path.read_bytes()
    again = pack(model, tmp_path / "story.txt", context=16, seed=0, path=path)
    assert torch.equal(again.ids, packed.ids) and path.read_bytes() == before
    with pytest.raises(ArtifactError, match="was made from another text or with another context length"):
        pack(model, tmp_path / "story.txt", context=32, seed=0, path=path)
    with pytest.raises(ArtifactError, match="was made from another text"):
        pack(model, some_texts(), context=16, seed=0, path=path)


def test_reading_stops_when_there_is_enough(tmp_path: Path) -> None:
    model, texts, path = reading_model(), some_texts(), tmp_path / "text"
    whole = pack(model, texts, context=16, seed=0, path=tmp_path / "whole", n_wanted=10**6)
    told: list[tuple[int, int]] = []
    begun = pack(
        model, texts, context=16, seed=0, path=path, n_wanted=20, progress=lambda done, most: told.append((done, most))
    )
    assert torch.equal(begun.ids, whole.ids[:20]) and len(whole.ids) > 20
    assert told[-1] == (320, 320) and 0 < told[0][0] < 320 and len(told) < len(texts)
    assert torch.equal(pack(model, texts, context=16, seed=0, path=path, n_wanted=20).ids, begun.ids)
    with pytest.raises(ArtifactError, match="is too short for this recipe"):
        pack(model, texts, context=16, seed=0, path=path, n_wanted=30)
    # a file from before there was a limit, or of a text that was read whole, does for every recipe
    assert torch.equal(pack(model, texts, context=16, seed=0, path=tmp_path / "whole", n_wanted=20).ids, whole.ids)


def test_a_training_wants_twice_what_it_trains_on() -> None:
    how = Recipe(n_tokens=20_000_000, reading=Reading(context=101, reuse=4))
    assert sequences_wanted(how) == 2 * 50_000
    assert sequences_wanted(replace(how, n_tokens=1)) * 101 >= FEW_TOKENS


def test_text_that_cannot_be_packed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="fewer than 16 tokens"):
        pack(reading_model(), ["the cat"], context=16, seed=0, path=tmp_path / "text")
    with pytest.raises(RequestError, match="Sequences of 500 tokens do not fit tiny, which was made for at most 64"):
        pack(reading_model(), some_texts(), context=500, seed=0, path=tmp_path / "text")
    assert list(tmp_path.iterdir()) == []
