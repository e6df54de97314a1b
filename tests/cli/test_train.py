"""``circuitwise train`` trains what the library trains, saves on Ctrl-C, and refuses what makes no sense."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from circuitwise.cli.trainrecipe import parse_layers, parse_tokens, text_of
from circuitwise.dictionaries.activations import BatchTopK, ReLU
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.errors import RequestError
from circuitwise.model.loading import load_model
from circuitwise.training.recipe import Reading, Recipe, Schedule
from circuitwise.training.text import HubText
from circuitwise.training.train import train
from tests import tiny
from tests.cli.words import UMLAUTS, files, refusal, shown, value
from tests.tinytokenizer import tiny_tokenizer
from tests.training.material import some_texts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ein Modell") / UMLAUTS
    tiny.hugging_face_model("llama-grouped-tied").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("Texte") / "Wörter.txt"
    path.write_text("\n".join(some_texts()), "utf-8")
    return str(path)


@pytest.fixture
def start(model: str, text: str) -> list[str]:
    """A command line that trains a small set."""
    words = ["train", "--model", model, "--text", text, "--width", "48", "--k", "4", "--batch", "64"]
    return [*words, "--context", "16", "--tokens", "2k", "--pool", "0.001", "--dtype", "float32", "--device", "cpu"]


def test_the_set_is_the_one_that_the_library_trains(
    start: list[str], model: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = value([*start, "-o", str(tmp_path / "ein Satz"), "--layers", "0-1", "--rate", "0.01"], capsys)
    recipe = Recipe(
        sparsity=BatchTopK(4),
        width=48,
        layers=(0, 1),
        n_tokens=2000,
        batch=64,
        schedule=Schedule(learning_rate=0.01),
        reading=Reading(context=16, pool_bytes=int(0.001 * 2**30)),
    )
    expected = train(load_model(model, device="cpu"), Path(text), recipe, tmp_path / "by the library")
    written = load_transcoders(found["set"])
    for one, other in zip(written, expected, strict=True):
        assert torch.equal(one.encoder, other.encoder) and torch.equal(one.decoder, other.decoder)
    assert found["layers"] == [0, 1] and found["features"] == 96 and found["kind"] == "transcoder"
    assert found["last"]["step"] == 31 and set(found["last"]["fvu"]) == {"L0.mlp_out", "L1.mlp_out"}


def test_an_autoencoder_of_the_classic_kind_is_one_line(
    start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--kind", "autoencoder", "--site", "resid_post", "--activation", "relu", "--expansion", "4"]
    told = shown([*start, *more, "-o", str(tmp_path / "coders")], capsys)
    assert "L2.resid_post" in told and "3 dictionaries, 384 features." in told
    written = load_transcoders(tmp_path / "coders" / "set")
    assert written.kind == "sparse autoencoder" and all(isinstance(one.activation, ReLU) for one in written)


def test_ctrl_c_saves_and_says_how_to_go_on(start: list[str], tmp_path: Path) -> None:
    words = [sys.executable, "-m", "circuitwise", *start, "-o", str(tmp_path / "set"), "--tokens", "20M"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not (tmp_path / "set" / "text.safetensors").exists():
        assert child.poll() is None
        time.sleep(0.05)  # from here on it trains, or is about to
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    output, told = child.communicate()
    assert child.returncode == 130 and output == ""
    assert "Give the same command again to go on." in told and "Traceback" not in told
    assert (tmp_path / "set" / "checkpoint.safetensors").exists()


def test_numbers_of_tokens_and_layers_are_read_as_people_write_them() -> None:
    assert [parse_tokens(text) for text in ("20M", "1.5m", "500k", "1_000", "2,000", "3b")] == [
        20_000_000, 1_500_000, 500_000, 1000, 2000, 3_000_000_000,
    ]  # fmt: skip
    assert parse_layers("0,3, 5-7") == (0, 3, 5, 6, 7)
    with pytest.raises(RequestError, match="“many” is no number of tokens"):
        parse_tokens("many")
    with pytest.raises(RequestError, match="“all” names no layers"):
        parse_layers("all")


def test_a_text_is_a_path_or_a_data_set_on_the_hub() -> None:
    assert text_of("texts/a.txt") == Path("texts/a.txt")
    assert text_of("hub:owner/name") == HubText("owner/name")
    assert text_of("hub:owner/name:small") == HubText("owner/name", "small")
    assert text_of("hub:owner/name::validation") == HubText("owner/name", None, "validation")
    with pytest.raises(RequestError, match="“hub:a/b:c:d:e” names no data set"):
        text_of("hub:a/b:c:d:e")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--text", "nowhere.txt"], "There is no text at nowhere.txt"),
        (["--kind", "crosscoder"], "“crosscoder” is no kind of dictionary"),
        (["--activation", "gelu"], "“gelu” is no activation"),
        (["--site", "elsewhere", "--kind", "autoencoder"], "There is no site “elsewhere”"),
        (["--k", "99"], "lets 99 of 48 features fire"),
        (["--layers", "5"], "asks for layer 5"),
        (["--precision", "int8"], "cannot be computed in “int8”"),
        (["--tokens", "0"], "gives n_tokens = 0"),
        (["--context", "900"], "Sequences of 900 tokens do not fit"),
        (["--pool", "0.000001"], "is too small"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    start: list[str], more: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refusal([*start, "-o", str(tmp_path / "set"), *more], capsys)
    assert "set/set" not in "".join(files(tmp_path))
