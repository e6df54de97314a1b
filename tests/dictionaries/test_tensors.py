import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from circuitwise.dictionaries import tensors
from circuitwise.dictionaries.tensors import open_npz, open_safetensors, open_tensors
from circuitwise.errors import ArtifactError, DictionaryError
from tests.dictionaries.independent import draw


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_safetensors_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    written = {
        "a": torch.randn(7, 3),
        "half": torch.randn(4).bfloat16(),
        "k": torch.tensor([3]),
        "x": torch.zeros(0, 2),
    }
    save_file(written, path)
    found = open_safetensors(path)
    assert found.tensors.keys() == written.keys()
    for name, tensor in written.items():
        assert torch.equal(found.tensors[name], tensor) and found.tensors[name].dtype == tensor.dtype
    assert found.checksum == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_file_comes_back_as_it_was_written(tmp_path: Path, save) -> None:
    path = tmp_path / "params.npz"
    written = {"a": draw(7, 3), "scalar": np.float32(2), "columns": np.asfortranarray(draw(3, 4)), "x": draw(0, 2)}
    written["half"] = draw(5).astype("f2")
    save(path, **written)
    found = open_npz(path)
    assert found.tensors.keys() == written.keys()
    for name, array in written.items():
        np.testing.assert_array_equal(found.tensors[name].numpy(), array)
    assert found.checksum == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of the process from /proc")
@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_opening_a_file_does_not_load_it(tmp_path: Path, suffix: str) -> None:
    path, n_bytes = tmp_path / f"large{suffix}", 1 << 28
    if suffix == ".npz":
        np.savez(path, a=np.zeros(n_bytes // 4, dtype="f4"))
    else:
        save_file({"a": torch.zeros(n_bytes // 4)}, path)
    before = resident_bytes()
    found = open_tensors(path)
    assert float(found.tensors["a"][-5:].sum()) == 0
    assert resident_bytes() - before < n_bytes / 4
    assert float(found.tensors["a"].sum()) == 0  # touches every page
    assert resident_bytes() - before > n_bytes / 2


def test_a_truncated_file_names_itself(tmp_path: Path) -> None:
    save_file({"a": torch.randn(50, 3)}, tmp_path / "weights.safetensors")
    np.savez(tmp_path / "params.npz", a=draw(50, 3))
    for name in ("weights.safetensors", "params.npz"):
        whole = (tmp_path / name).read_bytes()
        for n_bytes in (0, 5, 60, len(whole) - 1):
            (tmp_path / name).write_bytes(whole[:n_bytes])
            with pytest.raises(ArtifactError, match=rf"{name} is not a whole .* file .*truncated or damaged"):
                open_tensors(tmp_path / name)


def test_a_flipped_bit_in_an_npz_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "params.npz"
    np.savez(path, a=np.ones(400, dtype="f4"))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ArtifactError, match=r"params\.npz is not a whole npz file \(Bad CRC-32"):
        open_npz(path)


@pytest.mark.parametrize("chunk", [8, 1 << 24])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, value: float, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(tensors, "CHUNK_BYTES", chunk)
    for index in (0, 16, 32):
        bad = torch.randn(33).to(dtype)
        bad[index] = value
        save_file({"a": torch.randn(3), "bad": bad, "z": torch.randn(3)}, tmp_path / "weights.safetensors")
        sentence = r"The tensor “bad” of .*weights\.safetensors holds NaN or infinite weights"
        with pytest.raises(DictionaryError, match=sentence):
            open_tensors(tmp_path / "weights.safetensors")
        if dtype != torch.bfloat16:
            np.savez(tmp_path / "params.npz", a=draw(3), bad=bad.numpy())
            with pytest.raises(DictionaryError, match=r"The tensor “bad” of .*params\.npz holds NaN"):
                open_tensors(tmp_path / "params.npz")


def test_a_pickle_inside_an_npz_file_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "params.npz"
    np.savez(path, a=np.array([{"not": "weights"}], dtype=object))
    with pytest.raises(DictionaryError, match=r"“a” of .*params\.npz has dtype object"):
        open_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x80\x04not an array")
    with pytest.raises(ArtifactError, match="not a whole npz file"):
        open_npz(path)


def test_what_is_missing_foreign_or_misshapen_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"W_enc": torch.randn(4, 3), "k": torch.tensor([3])}, path)
    found = open_tensors(path)
    assert found.take("W_enc", (4, None)).shape == (4, 3)
    assert found.optional("W_skip", (3, 3)) is None
    with pytest.raises(
        DictionaryError, match=r"weights\.safetensors has no tensor “W_dec”\. It holds \['W_enc', 'k'\]"
    ):
        found.take("W_dec", (4, 3))
    with pytest.raises(DictionaryError, match=r"“W_enc” of .* has shape \(4, 3\), but \(any, 4\) was expected"):
        found.take("W_enc", (None, 4))
    with pytest.raises(DictionaryError, match=r"has shape \(4, 3\), but \(any\) was expected"):
        found.take("W_enc", (None,))
    with pytest.raises(DictionaryError, match=r"“k” of .* has dtype torch\.int64, but it must be float64"):
        found.take("k", (1,))
    with pytest.raises(DictionaryError, match=r"holds tensors that this format does not know: \['k'\]"):
        found.only(["W_enc"])


def test_a_file_that_is_not_there_or_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(DictionaryError, match=r"layer_3\.safetensors does not exist"):
        open_tensors(tmp_path / "layer_3.safetensors")
    with pytest.raises(DictionaryError, match=r"weights\.pt is not a weight file .* \.safetensors or \.npz"):
        open_tensors(tmp_path / "weights.pt")
