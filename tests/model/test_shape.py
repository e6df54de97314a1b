"""A model's shape, read from its configuration alone, is that of the model itself."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from circuitwise.errors import ModelError
from circuitwise.model.loading import load_model
from circuitwise.model.shape import shape_of, unpacked_files
from tests import tiny
from tests.ggufwriting import write_gguf


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUITWISE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_weights_are_counted_as_they_are(family: str, tmp_path: Path):
    module = tiny.hugging_face_model(family)
    module.config.save_pretrained(tmp_path)
    found = shape_of(str(tmp_path))
    view = tiny.tiny_model(family)
    assert found.n_weights == sum(weight.numel() for weight in module.parameters())
    assert (found.n_layers, found.d_model, found.d_vocab) == (view.n_layers, view.d_model, view.d_vocab)
    attention = view.blocks[0].attention
    assert (found.n_heads, found.n_kv_heads, found.d_head) == (
        attention.n_heads,
        attention.n_kv_heads,
        attention.d_head,
    )
    assert not found.packed


def test_the_stored_type_is_that_of_the_checkpoint(tmp_path: Path):
    tiny.hugging_face_model("llama").bfloat16().save_pretrained(tmp_path)
    assert shape_of(str(tmp_path)).stored is torch.bfloat16


def test_a_gguf_file_is_packed_until_it_was_opened_once(tmp_path: Path):
    path = write_gguf(tiny.hugging_face_model("llama"), tmp_path / "Mühle.gguf")
    assert shape_of(str(path)).packed and unpacked_files() == frozenset()
    model = load_model(path)
    found = shape_of(str(path))
    assert not found.packed and unpacked_files() == {"Mühle.gguf"}
    assert found.n_weights * 4 == model.n_bytes


def test_a_model_that_is_out_of_reach_is_one_sentence():
    with pytest.raises(ModelError, match="“org/unknown” cannot be told, because its config.json is not in the cache"):
        shape_of("org/unknown")


def test_a_published_model_that_is_out_of_reach_is_known_and_says_so():
    found = shape_of("Qwen/Qwen3-4B")
    assert found.known and found.n_weights == 4_022_468_096 and found.n_bytes == 8_044_936_192
    assert (found.n_layers, found.d_model, found.d_mlp, found.d_vocab) == (36, 2560, 9728, 151_936)
    assert (found.n_heads, found.n_kv_heads, found.d_head) == (32, 8, 128)
    assert found.stored is torch.bfloat16 and not found.packed


def test_a_configuration_comes_before_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--Qwen--Qwen3-4B"
    tiny.hugging_face_model("llama").config.save_pretrained(place / "snapshots" / ("a" * 40))
    (place / "refs").mkdir()
    (place / "refs/main").write_text("a" * 40)
    found = shape_of("Qwen/Qwen3-4B")
    assert not found.known and found.d_model == tiny.tiny_model("llama").d_model


@pytest.mark.weights
def test_the_built_in_model_has_135_million_weights():
    found = shape_of("smollm2")
    assert (found.n_weights, found.n_layers, found.d_model, found.d_mlp) == (134_515_008, 30, 576, 1536)
