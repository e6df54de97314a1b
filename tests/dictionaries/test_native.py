from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from circuitwise.dictionaries import (
    BatchTopK,
    Dictionary,
    JumpReLU,
    ReLU,
    TopK,
    Transcoders,
    load_transcoders,
    random_transcoders,
    save_transcoders,
)
from circuitwise.dictionaries.quantised import pack, unpack
from circuitwise.errors import ArtifactError, DictionaryError
from circuitwise.storage import read_artifact, write_artifact
from circuitwise.vocabulary import Site
from tests.dictionaries.independent import D, F, draw, draw_input

ACTIVATIONS = [ReLU(), JumpReLU(torch.from_numpy(draw(F))), TopK(3, keep_negative=True), TopK(4), BatchTopK(2)]


def some_set(dtype: torch.dtype = torch.float32) -> Transcoders:
    layers: list[Dictionary] = []
    for layer, activation in enumerate(ACTIVATIONS):
        n_writes = len(ACTIVATIONS) - layer
        layers.append(
            Dictionary(
                read=Site(layer, "mlp_in"),
                writes=tuple(Site(layer + offset, "mlp_out") for offset in range(n_writes)),
                activation=activation,
                encoder=torch.from_numpy(draw(D, F, seed=layer)).T.to(dtype),
                encoder_bias=torch.from_numpy(draw(F, seed=layer)).to(dtype),
                decoder=torch.from_numpy(draw(F, n_writes, D, seed=layer)).to(dtype),
                bias=torch.from_numpy(draw(D, seed=layer)).to(dtype),
                skip=torch.from_numpy(draw(D, D, seed=layer)).to(dtype) if layer % 2 else None,
            )
        )
    return Transcoders(name="org/größe//ß", format="circuit-tracer", layers=tuple(layers), model_name="gpt2")


def assert_same(found: Dictionary, saved: Dictionary) -> None:
    assert (found.read, found.writes, found.kind) == (saved.read, saved.writes, saved.kind)
    for name in ("encoder", "encoder_bias", "decoder", "bias"):
        assert torch.equal(getattr(found, name), getattr(saved, name)), name
        assert getattr(found, name).dtype == getattr(saved, name).dtype
    assert (found.skip is None) == (saved.skip is None)
    if found.skip is not None and saved.skip is not None:
        assert torch.equal(found.skip, saved.skip)
    if isinstance(saved.activation, JumpReLU) and isinstance(found.activation, JumpReLU):
        assert torch.equal(found.activation.threshold, saved.activation.threshold)
    else:
        assert found.activation == saved.activation


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_saved_loads_as_it_was(tmp_path: Path, dtype: torch.dtype) -> None:
    saved = some_set(dtype)
    save_transcoders(saved, tmp_path / "mit Leerzeichen" / "Größe")
    found = load_transcoders(tmp_path / "mit Leerzeichen" / "Größe")
    assert (found.format, found.model_name) == ("native", "gpt2")
    assert set(found.checksums) == {f"layer_00{layer}.safetensors" for layer in range(5)}
    for one, other in zip(found, saved, strict=True):
        assert_same(one, other)
    (fourth,) = load_transcoders(tmp_path / "mit Leerzeichen" / "Größe", layers=[3])
    torch.testing.assert_close(fourth.reconstruct(draw_input()), saved.layers[3].reconstruct(draw_input()))


@pytest.mark.parametrize("bits", [4, 6])
def test_a_set_in_a_few_bits_loads_as_the_nearest_weights_of_the_same_class(tmp_path: Path, bits: int) -> None:
    saved = some_set()
    save_transcoders(saved, tmp_path / "few", bits=bits)
    for found, whole in zip(load_transcoders(tmp_path / "few"), saved, strict=True):
        rows = whole.decoder.flatten(0, 1)
        rounded = replace(
            whole, encoder=unpack(pack(whole.encoder, bits)), decoder=unpack(pack(rows, bits)).view_as(whole.decoder)
        )
        assert_same(found, rounded)
        assert not torch.equal(found.encoder, whole.encoder)


def test_a_set_in_a_few_bits_takes_less_room(tmp_path: Path) -> None:
    whole = random_transcoders(1, 64, n_features=256, firing=8)
    save_transcoders(whole, tmp_path / "whole")
    save_transcoders(whole, tmp_path / "few", bits=6)
    sizes = {name: (tmp_path / name / "layer_000.safetensors").stat().st_size for name in ("whole", "few")}
    assert sizes["few"] < 0.25 * sizes["whole"]


def test_packed_weights_that_do_not_fit_their_index_are_refused(tmp_path: Path) -> None:
    save_transcoders(some_set(), tmp_path / "few", bits=6)
    index = tmp_path / "few" / "transcoders.safetensors"
    header = dict(read_artifact(index, kind="transcoders", version=2).header)
    assert isinstance(header["layers"], list)
    for bits, message in ((5, "shape"), (60, "newer version"), ("6", "newer version")):
        entries = [{**entry, "bits": bits} for entry in header["layers"] if isinstance(entry, dict)]
        write_artifact(index, kind="transcoders", version=2, header={**header, "layers": [*entries]}, tensors={})
        with pytest.raises((ArtifactError, DictionaryError), match=message):
            load_transcoders(tmp_path / "few")


def test_a_set_is_never_mixed_with_another(tmp_path: Path) -> None:
    save_transcoders(some_set(), tmp_path)
    with pytest.raises(DictionaryError, match="is not empty. Name a new folder"):
        save_transcoders(some_set(), tmp_path)


def test_an_interrupted_save_is_no_set(tmp_path: Path) -> None:
    save_transcoders(some_set(), tmp_path)
    (tmp_path / "transcoders.safetensors").unlink()  # it is written last
    with pytest.raises(DictionaryError, match="holds no set of dictionaries in a known format"):
        load_transcoders(tmp_path)


def test_a_changed_truncated_or_missing_layer_file_is_named(tmp_path: Path) -> None:
    save_transcoders(some_set(), tmp_path)
    path = tmp_path / "layer_002.safetensors"
    save_file({name: tensor.clone() for name, tensor in load_file(path).items()}, path)
    with pytest.raises(ArtifactError, match=r"layer_002\.safetensors is not the file that was saved with this set"):
        load_transcoders(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"layer_002\.safetensors is not a whole safetensors file"):
        load_transcoders(tmp_path)
    path.unlink()
    with pytest.raises(DictionaryError, match=r"layer_002\.safetensors does not exist"):
        load_transcoders(tmp_path)
    assert len(load_transcoders(tmp_path, layers=[0, 1])) == 2
    with pytest.raises(DictionaryError, match="has no dictionary for layer 7. It has layers 0, 1, 2, 3, 4"):
        load_transcoders(tmp_path, layers=[7])


@pytest.mark.parametrize(
    "layers",
    [None, [1], [{"read": {"layer": 0, "kind": "mlp_in"}}], [{"read": {"layer": 0, "kind": "elsewhere"}}]],
)
def test_an_index_that_makes_no_sense_is_refused(tmp_path: Path, layers: list[object] | None) -> None:
    header = {"name": "x", "model_name": None, "layers": layers}
    write_artifact(tmp_path / "transcoders.safetensors", kind="transcoders", version=1, header=header, tensors={})
    with pytest.raises(ArtifactError, match=r"transcoders\.safetensors describes its dictionaries in a way"):
        load_transcoders(tmp_path)


def test_an_index_of_a_newer_version_says_so(tmp_path: Path) -> None:
    write_artifact(tmp_path / "transcoders.safetensors", kind="transcoders", version=3, header={}, tensors={})
    with pytest.raises(ArtifactError, match="newer"):
        load_transcoders(tmp_path)
