"""A GGUF file is unpacked once into a whole folder, or not at all."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import gguf
import pytest
import torch

from circuitwise.errors import ModelError
from circuitwise.model.conversion import unpack
from circuitwise.model.loading import load_model
from circuitwise.model.tokens import tokenize
from tests import ggufwriting, tiny, tinytokenizer


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CIRCUITWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return ggufwriting.write_gguf(tiny.hugging_face_model("llama-grouped-tied"), tmp_path / "model.gguf")


def visible(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.name.endswith(".lock")]


@torch.no_grad()
@pytest.mark.parametrize("quantized", [gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.Q8_0])
def test_the_second_load_is_the_first_bit_by_bit(quantized: gguf.GGMLQuantizationType, tmp_path: Path):
    module = tiny.hugging_face_model("llama-grouped-tied")
    path = ggufwriting.write_gguf(module, tmp_path / "model.gguf", quantized=quantized)
    first = load_model(path)
    path.touch()
    second = load_model(path)
    assert first.name == "model.gguf"
    for (name, one), (_, other) in zip(first.module.named_parameters(), second.module.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    assert first.module.lm_head.weight is first.module.model.embed_tokens.weight
    if quantized is gguf.GGMLQuantizationType.F32:
        tokens = tiny.tokens_of(9)[None]
        expected = tiny.tiny_model("llama-grouped-tied").module(tokens).logits
        assert torch.allclose(first.module(tokens).logits, expected, rtol=0, atol=1e-6)


def test_the_folder_is_known_by_the_content_and_not_by_the_name(file: Path, tmp_path: Path):
    copy = shutil.copy(file, tmp_path / "another name.gguf")
    other = ggufwriting.write_gguf(tiny.hugging_face_model("llama-grouped-tied", seed=7), tmp_path / "other.gguf")
    assert unpack(file) == unpack(Path(copy))
    assert unpack(file) != unpack(other)


def test_a_folder_that_is_there_is_not_made_again(file: Path):
    folder = unpack(file)
    before = {path: path.stat().st_mtime_ns for path in visible(folder)}
    unpack(file)
    assert {path: path.stat().st_mtime_ns for path in visible(folder)} == before


def test_files_in_the_cache_have_the_usual_permissions(file: Path):
    previous = os.umask(0o022)
    try:
        assert {path.stat().st_mode & 0o777 for path in unpack(file).iterdir()} == {0o644}
    finally:
        os.umask(previous)


def test_weights_may_fill_several_files(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("circuitwise.model.conversion.BYTES_PER_FILE", 20_000)
    assert len(list(unpack(file).glob("model-*.safetensors"))) > 3
    expected = tiny.hugging_face_model("llama-grouped-tied")
    loaded = load_model(file).module
    assert all(torch.equal(loaded.get_parameter(name), weight) for name, weight in expected.named_parameters())


def test_the_tokenizer_comes_along(file: Path):
    model, expected = load_model(file), tinytokenizer.tiny_tokenizer()
    assert tokenize(model, "the cat is 12").tolist() == expected.encode("the cat is 12")
    assert model.tokenizer is not None and model.tokenizer.eos_token == "<eos>"


def test_numbers_are_split_into_digits_where_the_file_says_so(tmp_path: Path):
    module = tiny.hugging_face_model("llama-grouped-tied")
    digits = load_model(ggufwriting.write_gguf(module, tmp_path / "smol.gguf", pre_tokenizer="smollm"))
    whole = load_model(ggufwriting.write_gguf(module, tmp_path / "plain.gguf", pre_tokenizer="gpt-2"))
    names = tinytokenizer.TOKENS
    assert [names[token] for token in tokenize(digits, "cat 12").tolist()] == ["cat", "Ġ", "1", "2"]
    assert [names[token] for token in tokenize(whole, "cat 12").tolist()] == ["cat", "Ġ", "12"]


def test_an_unknown_way_of_splitting_text_is_refused(cache: Path, tmp_path: Path):
    module = tiny.hugging_face_model("llama-grouped-tied")
    path = ggufwriting.write_gguf(module, tmp_path / "model.gguf", pre_tokenizer="wonder")
    with pytest.raises(ModelError, match=r"model\.gguf splits text the way “wonder” does, and of GGUF files only"):
        load_model(path)
    assert not cache.exists()


def test_a_truncated_file_leaves_nothing_behind(file: Path, cache: Path):
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(ModelError, match=r"model\.gguf is truncated or damaged"):
        load_model(file)
    assert not cache.exists()


def test_a_file_that_lacks_a_tensor_leaves_nothing_behind(cache: Path, tmp_path: Path):
    module = tiny.hugging_face_model("llama-grouped-tied")
    weights = ggufwriting.tensors_of(module, "llama")[:-1]
    path = ggufwriting.write_gguf(module, tmp_path / "model.gguf", tensors=weights)
    with pytest.raises(ModelError, match="lacks the tensor"):
        load_model(path)
    assert [path.name for path in visible(cache)] == ["models"]


def in_another_process(code: str, *arguments: object, bytes_per_file: int | None = None) -> "subprocess.Popen[str]":
    def limit() -> None:
        if bytes_per_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_per_file, bytes_per_file))

    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,  # noqa: PLW1509
    )


UNPACK = "import sys; from pathlib import Path; from circuitwise.model.conversion import unpack\n"
UNPACK += "from circuitwise.errors import ModelError\n"


def test_a_full_disk_is_named_and_leaves_no_half_folder(file: Path, cache: Path):
    code = UNPACK + "try: unpack(Path(sys.argv[1]))\nexcept ModelError as error: print(error)"
    process = in_another_process(code, file, bytes_per_file=40_000)
    out, problems = process.communicate()
    assert process.returncode == 0, problems
    assert "model.gguf could not be unpacked into" in out and "nothing was left there" in out
    assert "File too large" in out and "CIRCUITWISE_CACHE" in out
    assert [path.name for path in visible(cache)] == ["models"]


def test_too_little_space_is_noticed_before_anything_is_written(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    full = shutil.disk_usage(file)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(ModelError, match=r"model\.gguf needs 0 MB in .* to be unpacked, and 0 MB are free"):
        unpack(file)
    assert [path.name for path in visible(cache)] == ["models"]


def test_a_folder_that_may_not_be_written_is_named(file: Path, cache: Path):
    cache.write_text("a file where the folder should be")
    with pytest.raises(ModelError, match=r"model\.gguf could not be unpacked into"):
        unpack(file)


def test_what_a_killed_process_left_is_removed(file: Path):
    folder = unpack(file)
    half = folder.rename(folder.with_name(f".{folder.name}.partial"))
    weights = next(half.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    (half / "model.safetensors.index.json").unlink()
    assert unpack(file) == folder
    assert not half.exists()
    load_model(file)


def test_processes_that_unpack_at_once_do_not_harm_each_other(file: Path, cache: Path):
    code = UNPACK + "print('ready', flush=True); input(); print(unpack(Path(sys.argv[1])))"
    processes = [in_another_process(code, file) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate() for process in processes]
    assert {out.strip() for out, _ in answers} == {str(unpack(file))}, answers
    assert [path for path in (cache / "models").iterdir() if path.is_dir()] == [unpack(file)]
    load_model(file)
