"""The size of a set is that of its weight files, wherever it lies."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from circuitwise.dictionaries.drawn import random_transcoders
from circuitwise.dictionaries.known import KNOWN_SETS
from circuitwise.dictionaries.native import save_transcoders
from circuitwise.dictionaries.sizes import dictionary_size
from circuitwise.errors import DictionaryError


def write(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names, 1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * 10**number)
    return folder


def cached(cache: Path, repository: str, *names: str) -> None:
    """A repository as the hub's cache keeps it."""
    place = cache / f"models--{repository.replace('/', '--')}"
    write(place / "snapshots" / ("a" * 40), *names)
    (place / "refs").mkdir()
    (place / "refs/main").write_text("a" * 40)


def test_a_folder_counts_its_weight_files(tmp_path: Path):
    write(tmp_path / "große Menge", "layer_0.safetensors", "deeper/params.npz", "config.yaml")
    assert dictionary_size(str(tmp_path / "große Menge")).n_bytes == 110


def test_weights_in_a_few_bits_count_as_what_they_unpack_to(tmp_path: Path):
    drawn = random_transcoders(2, 64, n_features=512, firing=8)
    save_transcoders(drawn, tmp_path / "whole")
    save_transcoders(drawn, tmp_path / "few", bits=6)
    whole, few = dictionary_size(str(tmp_path / "whole")), dictionary_size(str(tmp_path / "few"))
    assert whole.n_bytes > 2 * 2 * 512 * 64 * 4
    assert few.n_bytes == pytest.approx(whole.n_bytes, rel=0.15)  # biases unpack to themselves
    assert whole.n_encoder == pytest.approx(2 * 512 * 64, rel=0.05)
    assert whole.mapped and not few.mapped and not whole.known


def test_a_set_in_the_hubs_cache_counts_the_folders_that_were_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached(tmp_path, "org/set", "a/layer_0_small/w.safetensors", "a/layer_0_big/w.safetensors", "b/w.safetensors")
    assert dictionary_size("org/set").n_bytes == 1110
    assert dictionary_size("org/set//a").n_bytes == 110
    assert dictionary_size("org/set//a/layer_*_small").n_bytes == 10


def test_a_set_without_weights_or_out_of_reach_is_one_sentence(tmp_path: Path):
    write(tmp_path / "empty", "config.yaml")
    with pytest.raises(DictionaryError, match=r"no \.safetensors or \.npz file lies there"):
        dictionary_size(str(tmp_path / "empty"))
    with pytest.raises(DictionaryError, match="The size of org/unknown cannot be told: it is not in the cache"):
        dictionary_size("org/unknown")


def test_a_published_set_that_is_out_of_reach_is_known_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    found = dictionary_size("qwen3-4b")
    assert found.known and found.mapped and found == dictionary_size("mwhanna/qwen3-4b-transcoders")
    assert found.n_bytes == KNOWN_SETS["mwhanna/qwen3-4b-transcoders"].n_bytes
    assert found.n_encoder == 36 * 163_840 * 2560


def test_files_come_before_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached(tmp_path, "mwhanna/qwen3-4b-transcoders", "layer_0.safetensors", "layer_1.safetensors")
    found = dictionary_size("qwen3-4b")
    assert not found.known and found.n_bytes == 110


def test_a_set_that_lists_files_of_others_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached(tmp_path, "mwhanna/gemma-scope-transcoders", "config.yaml")
    assert dictionary_size("gemma").known
