"""A checkpoint of llama2.c becomes the model that llama2.c runs."""

import io
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from circuitwise.errors import ModelError
from circuitwise.model.forward import run
from circuitwise.model.llama2c import INSIDE, open_llama2c, pieces_of
from circuitwise.model.loading import load_model
from circuitwise.model.shape import shape_of
from circuitwise.model.tokens import pad, text_ids
from tests import llama2cwriting as llama2c
from tests.llama2cwriting import Sizes

TOKENS = (1, 270, 262, 300, 263, 259, 5, 270)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CIRCUITWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


PLAIN = Sizes()


def written(folder: Path, sizes: Sizes = PLAIN, name: str = "tiny.data") -> Path:
    return llama2c.write(folder / name, sizes, llama2c.draw(sizes), llama2c.packed_tokenizer())


@pytest.mark.parametrize(
    "sizes",
    [Sizes(), Sizes(n_groups=2), Sizes(n_groups=1), Sizes(tied=False), Sizes(n_heads=1, n_groups=1, d_model=10)],
    ids=["plain", "grouped", "one group", "untied", "one head"],
)
def test_logits_are_those_of_llama2c(sizes: Sizes, tmp_path: Path):
    model = load_model(written(tmp_path, sizes))
    found = run(model, pad([torch.tensor(TOKENS)])).logits[0, 0].double().numpy()
    expected = llama2c.logits(sizes, llama2c.draw(sizes), TOKENS)
    assert np.abs(found - expected).max() < 2e-4 * np.abs(expected).max()


def test_rows_that_were_left_in_order_would_be_another_model(tmp_path: Path):
    sizes, weights = Sizes(), llama2c.draw(Sizes())
    n, d_head = sizes.n_layers, sizes.d_model // sizes.n_heads
    for name in ("wq", "wk"):
        halves = weights[name].reshape(n, sizes.n_heads, 2, d_head // 2, -1)
        weights[name] = np.ascontiguousarray(halves.transpose(0, 1, 3, 2, 4)).reshape(weights[name].shape)
    found = run(load_model(llama2c.write(tmp_path / "x.bin", sizes, weights)), pad([torch.tensor(TOKENS)])).logits
    expected = llama2c.logits(sizes, llama2c.draw(sizes), TOKENS)
    assert np.abs(found[0, 0].numpy() - expected).max() > 0.01 * np.abs(expected).max()


def test_a_text_becomes_the_tokens_that_llama2c_finds(tmp_path: Path):
    model, draws = load_model(written(tmp_path)), random.Random(0)
    texts = ["the cat and the ing", "a  cat", "été 世界 🙂", "x\ny\tz", "llllll", " the", "<unusual>", "CAT 12"]
    texts += ["".join(draws.choices("the cat in g.é世🙂\n", k=30)).strip(" ") or "a" for _ in range(200)]
    texts = [text for text in texts if text.strip() and "   " not in text]
    for text in texts:
        found = text_ids(model, text)
        assert found == llama2c.encode(llama2c.VOCABULARY, text), text
        assert model.tokenizer is not None
        assert model.tokenizer.decode(found, skip_special_tokens=True) == text
    assert len(texts) > 150


def test_a_text_ends_where_the_next_would_begin(tmp_path: Path):
    model = load_model(written(tmp_path))
    assert model.tokenizer is not None
    assert (model.tokenizer.bos_token_id, model.tokenizer.eos_token_id) == (1, 2)
    assert set(model.module.generation_config.eos_token_id) == {1, 2}
    assert model.context_length == 16


def test_the_tokenizer_may_lie_beside_the_weights(tmp_path: Path):
    sizes = Sizes()
    path = llama2c.write(tmp_path / "stories.bin", sizes, llama2c.draw(sizes))
    assert load_model(path).tokenizer is None
    (tmp_path / "tokenizer.bin").write_bytes(llama2c.packed_tokenizer())
    model = load_model(path)
    assert model.tokenizer is not None and len(model.tokenizer) == sizes.n_tokens


def test_an_npm_package_is_read_as_it_comes(tmp_path: Path):
    content = written(tmp_path).read_bytes()
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(INSIDE)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    one, other = load_model(path), load_model(tmp_path / "tiny.data")
    assert all(torch.equal(value, other.module.state_dict()[name]) for name, value in one.module.state_dict().items())
    assert one.name == "package.tgz"


def test_its_shape_is_told_before_it_is_unpacked(tmp_path: Path):
    path = written(tmp_path)
    found = shape_of(str(path))
    assert (found.n_layers, found.d_model, found.d_mlp, found.packed) == (2, 24, 20, True)
    load_model(path)
    assert not shape_of(str(path)).packed


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as refused:
        load_model(path)
    return str(refused.value)


def test_a_truncated_checkpoint_is_refused(tmp_path: Path, cache: Path):
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    assert f"{path} is no whole llama2.c checkpoint: its header asks for" in refusal(path)
    path.write_bytes(whole[:20])
    assert "it has 20 bytes, less than a header" in refusal(path)
    assert not cache.exists()


def test_a_header_that_describes_no_model_is_refused(tmp_path: Path):
    path = tmp_path / "new.bin"
    path.write_bytes(b"24ka" + b"\x01\0\0\0" * 20)
    assert f"{path} is no whole llama2.c checkpoint: it is in one of the later formats" in refusal(path)
    path.write_bytes(Sizes(n_heads=3).header.replace(b"\x18", b"\x19") + bytes(100_000))
    assert "describes no model" in refusal(path)


@pytest.mark.parametrize("cut", [-1, -7, 4, 10])
def test_a_damaged_tokenizer_is_refused(cut: int, tmp_path: Path):
    sizes = Sizes()
    path = llama2c.write(tmp_path / "x.data", sizes, llama2c.draw(sizes), llama2c.packed_tokenizer()[:cut])
    assert f"its tokenizer should have {sizes.n_tokens} pieces" in refusal(path)


def test_a_tokenizer_with_a_piece_twice_is_refused(tmp_path: Path):
    sizes = Sizes()
    twice = [*llama2c.VOCABULARY[:-1], llama2c.VOCABULARY[-2]]
    path = llama2c.write(tmp_path / "x.data", sizes, llama2c.draw(sizes), llama2c.packed_tokenizer(twice))
    assert "has a piece twice" in refusal(path)


def test_an_archive_without_a_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "x.tgz"
    with tarfile.open(path, "w:gz"):
        pass
    assert f"as an archive it should hold {INSIDE}" in refusal(path)
    path.write_bytes(b"no archive")
    assert f"as an archive it should hold {INSIDE}" in refusal(path)


def test_pieces_are_read_with_their_scores(tmp_path: Path):
    assert pieces_of(open_llama2c(written(tmp_path)))[259:] == [*llama2c.VOCABULARY[259:]]
