"""Training from text to a set that loads, and on after any interruption, to the bit."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circuitwise.dictionaries.activations import BatchTopK, JumpReLU, ReLU, TopK
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import ArtifactError, RequestError
from circuitwise.replacement import Replacement
from circuitwise.storage import read_artifact
from circuitwise.training.packing import pack
from circuitwise.training.pool import read_sites
from circuitwise.training.progress import Progress
from circuitwise.training.recipe import L0, L1, Autoencoder, CrossLayer, Reading, Recipe, Revival, Skip
from circuitwise.training.train import train
from tests.training.material import reading_model, some_texts

READING = Reading(context=16, sequences=8, pool_bytes=1 << 18, reuse=2)
SMALL = Recipe(
    sparsity=BatchTopK(4),
    width=48,
    layers=(0, 2),
    batch=64,
    n_tokens=64 * 40,
    reading=READING,
    revival=Revival(after=500, firing=4),
)


def interrupt(_: Progress) -> None:
    raise KeyboardInterrupt


def assert_equal(one: Transcoders, other: Transcoders) -> None:
    for left, right in zip(one, other, strict=True):
        for name in ("encoder", "encoder_bias", "decoder", "bias"):
            assert torch.equal(getattr(left, name), getattr(right, name)), name
        if isinstance(left.activation, JumpReLU) and isinstance(right.activation, JumpReLU):
            assert torch.equal(left.activation.threshold, right.activation.threshold)


@pytest.mark.parametrize(
    ("recipe", "kind", "activation"),
    [
        (SMALL, "transcoder", JumpReLU),
        (replace(SMALL, sparsity=TopK(4)), "transcoder", TopK),
        (replace(SMALL, sparsity=L1(), wiring=Skip(), precision="float32"), "skip transcoder", ReLU),
        (replace(SMALL, sparsity=L0(), wiring=Autoencoder("resid_post")), "sparse autoencoder", JumpReLU),
        (replace(SMALL, wiring=CrossLayer()), "cross-layer transcoder", JumpReLU),
    ],
    ids=["per-layer", "topk", "skip-l1", "autoencoder-l0", "cross-layer"],
)
def test_every_kind_is_trained_saved_and_loaded(tmp_path: Path, recipe: Recipe, kind: str, activation: type) -> None:
    seen: list[Progress] = []
    model = reading_model()
    trained = train(model, some_texts(), recipe, tmp_path / "ein Satz", progress=seen.append)
    assert trained.kind == kind and [one.layer for one in trained] == [0, 2]
    assert all(isinstance(one.activation, activation) for one in trained)
    last = seen[-1]
    assert (last.step, last.n_steps, last.n_tokens) == (40, 40, 2560)
    assert last.tokens_per_second > 0 and 0 < last.forward_share < 1 and last.seconds_left == 0
    assert set(last.firing) == set(last.dead) == {0, 2} and last.mean_firing > 0
    assert {site.layer for site in last.fvu} == {0, 2} and 0 < last.mean_fvu < 1.5
    assert_equal(load_transcoders(tmp_path / "ein Satz" / "set"), trained)
    assert sorted(path.name for path in (tmp_path / "ein Satz").iterdir()) == [
        "set",
        "text.safetensors",
        "training.json",
    ]


def test_what_is_loaded_reconstructs_as_well_as_what_was_trained(tmp_path: Path) -> None:
    seen: list[Progress] = []
    model = reading_model()
    recipe = replace(SMALL, layers=None, n_tokens=64 * 200, precision="float32")
    trained = train(model, some_texts(40), recipe, tmp_path / "set", progress=seen.append)
    sequences = pack(model, some_texts(40), context=16, seed=0, path=tmp_path / "text")
    sites = sorted({*(one.read for one in trained), *(one.writes[0] for one in trained)})
    values = read_sites(model, sequences, sites, 0, 60, "float32")
    rebuilt = trained.reconstruct([values[one.read] for one in trained])
    for one in trained:
        y = values[one.writes[0]]
        fvu = float((y - rebuilt[one.writes[0]]).square().sum() / (y - y.mean(0)).square().sum())
        assert fvu < seen[-1].fvu[one.writes[0]] + 0.03 < 0.7
        assert len(one.encode(values[one.read])) / len(y) == pytest.approx(4, rel=0.1)
    assert Replacement(model, trained).fit.median_fvu < 1


def test_an_interrupted_training_goes_on_to_the_bit(tmp_path: Path) -> None:
    model, texts = reading_model(), some_texts()
    whole = train(model, texts, SMALL, tmp_path / "whole", seconds_between_checkpoints=1e9)

    for _ in range(3):  # each time one step further
        with pytest.raises(KeyboardInterrupt):
            train(model, texts, SMALL, tmp_path / "parts", progress=interrupt, seconds_between_reports=0.0)
    assert read_artifact(tmp_path / "parts" / "checkpoint.safetensors", kind="training", version=1).header["step"] == 3
    assert_equal(train(model, texts, SMALL, tmp_path / "parts"), whole)


CHILD = """
import sys
from pathlib import Path
from tests.training.material import reading_model, some_texts
from tests.training.test_train import SMALL
from circuitwise.training.train import train
train(reading_model(), some_texts(), SMALL, Path(sys.argv[1]), seconds_between_checkpoints=0.0)
"""


def test_a_killed_training_goes_on_to_the_bit(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    folder = tmp_path / "killed"
    checkpoint = folder / "checkpoint.safetensors"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], env=environment)
    until = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < until and child.poll() is None:
        time.sleep(0.01)
    time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert checkpoint.exists() and not (folder / "set").exists()
    step = read_artifact(checkpoint, kind="training", version=1).header["step"]
    assert isinstance(step, int) and 0 < step < 40
    whole = train(reading_model(), some_texts(), SMALL, tmp_path / "whole")
    assert_equal(train(reading_model(), some_texts(), SMALL, folder), whole)


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    model = reading_model()
    first = train(model, some_texts(), SMALL, tmp_path)
    before = (tmp_path / "training.json").read_bytes()
    assert_equal(train(model, some_texts(), SMALL, tmp_path), first)
    assert (tmp_path / "training.json").read_bytes() == before
    story = json.loads(before)
    assert story["identity"]["recipe"]["sparsity"] == {"name": "BatchTopK", "k": 4}
    assert story["history"][-1]["step"] == 40 and story["provenance"]["model"]["name"] == "tiny"
    with pytest.raises(RequestError, match="holds a set already, and not one that was trained with this recipe"):
        train(model, some_texts(), replace(SMALL, seed=1), tmp_path)


def test_another_training_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    model = reading_model()
    with pytest.raises(KeyboardInterrupt):
        train(model, some_texts(), SMALL, tmp_path, progress=interrupt)
    assert (tmp_path / "checkpoint.safetensors").exists()
    with pytest.raises(ArtifactError, match="holds a training with another recipe. Repeat the command"):
        train(model, some_texts(), replace(SMALL, width=64), tmp_path)
    with pytest.raises(ArtifactError, match="was made from another text"):
        train(model, some_texts(7), SMALL, tmp_path)
