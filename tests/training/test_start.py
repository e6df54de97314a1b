"""Training starts with few features that fire and that explain something already."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circuitwise.dictionaries.activations import BatchTopK
from circuitwise.training.packing import pack
from circuitwise.training.pool import Pool, measure_scales
from circuitwise.training.recipe import L0, L1, Part, Reading, Recipe, Sparsity
from circuitwise.training.start import start_weights
from circuitwise.training.weights import Weights, encode
from circuitwise.vocabulary import Site
from tests.training.material import reading_model, some_texts

PART = Part(read=Site(1, "mlp_in"), writes=(Site(1, "mlp_out"),), skip=False)
HOW = Recipe(width=96, batch=512, n_tokens=4096, precision="float32", reading=Reading(context=16, sequences=8))


def started(folder: Path, sparsity: Sparsity) -> tuple[Weights, Pool]:
    model, recipe = reading_model(), replace(HOW, sparsity=sparsity)
    sequences = pack(model, some_texts(), context=16, seed=0, path=folder / "text")
    sites = [PART.read, *PART.writes]
    pool = Pool(model, sequences, measure_scales(model, sequences, sites, recipe), recipe)
    return start_weights(PART, pool, recipe), pool


@pytest.mark.parametrize("sparsity", [L0(), L1(), BatchTopK(12)], ids=["L0", "L1", "BatchTopK"])
def test_few_features_fire_and_explain_something(
    sparsity: Sparsity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("circuitwise.training.start.FIRING", 12)
    weights, pool = started(tmp_path, sparsity)
    places = pool.draw(0)
    code = encode(weights, pool.at(PART.read, places), sparsity, torch.float32).code
    assert 9 <= len(code) / len(places) <= 13
    y = pool.at(PART.writes[0], places).float()
    assert (code.decode(weights.decoder, torch.float32) - y).square().sum() < 0.9 * y.square().sum()


def test_without_a_price_nothing_is_shifted(tmp_path: Path) -> None:
    weights, _ = started(tmp_path, BatchTopK(12))
    assert not weights.encoder_bias.any() and weights.thresholds() is None


def test_all_thresholds_start_alike(tmp_path: Path) -> None:
    thresholds = started(tmp_path, L0())[0].thresholds()
    assert thresholds is not None
    assert float(thresholds[0]) > 0 and bool((thresholds == thresholds[0]).all())
