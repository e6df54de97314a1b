"""The size of a set is that of its weight files, wherever it lies."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from circuitwise.dictionaries.drawn import random_transcoders
from circuitwise.dictionaries.native import save_transcoders
from circuitwise.dictionaries.sizes import dictionary_bytes
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
    assert dictionary_bytes(str(tmp_path / "große Menge")) == 110


def test_weights_in_a_few_bits_count_as_what_they_unpack_to(tmp_path: Path):
    whole = random_transcoders(2, 64, n_features=512, firing=8)
    save_transcoders(whole, tmp_path / "whole")
    save_transcoders(whole, tmp_path / "few", bits=6)
    n_bytes = dictionary_bytes(str(tmp_path / "whole"))
    assert n_bytes > 2 * 2 * 512 * 64 * 4
    assert dictionary_bytes(str(tmp_path / "few")) == pytest.approx(n_bytes, rel=0.15)  # biases unpack to themselves


def test_a_set_in_the_hubs_cache_counts_the_folders_that_were_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached(tmp_path, "org/set", "a/layer_0_small/w.safetensors", "a/layer_0_big/w.safetensors", "b/w.safetensors")
    assert dictionary_bytes("org/set") == 1110
    assert dictionary_bytes("org/set//a") == 110
    assert dictionary_bytes("org/set//a/layer_*_small") == 10


def test_a_set_without_weights_or_out_of_reach_is_one_sentence(tmp_path: Path):
    write(tmp_path / "empty", "config.yaml")
    with pytest.raises(DictionaryError, match=r"no \.safetensors or \.npz file lies there"):
        dictionary_bytes(str(tmp_path / "empty"))
    with pytest.raises(DictionaryError, match="The size of org/unknown cannot be told: it is not in the cache"):
        dictionary_bytes("org/unknown")
