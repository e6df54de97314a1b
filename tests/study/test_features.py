"""What fires is what the dictionaries encode at the MLPs' inputs, counted over prompts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from circuitwise.model.forward import run
from circuitwise.model.tokens import pad
from circuitwise.replacement import Replacement
from circuitwise.study.baseline import read_item
from circuitwise.study.features import count_features, sampled_positions
from circuitwise.study.plan import FeatureChoice, Where
from circuitwise.suites import Suite
from tests.study.material import FAMILIES, small_replacement, small_suite


@torch.no_grad()
def dense(replacement: Replacement, suite: Suite, where: Where) -> dict[int, list[np.ndarray]]:
    """Every prompt's activations at its positions, zeros and all, from the plain formula."""
    found: dict[int, list[np.ndarray]] = {each.layer: [] for each in replacement.transcoders}
    for item in suite.train:
        ids = torch.tensor(read_item(replacement.model, item).scored_prompt)
        seen = run(replacement.model, pad([ids]), read=[each.read for each in replacement.transcoders]).sites
        for each in replacement.transcoders:
            active = (seen[each.read][0] @ each.encoder.T + each.encoder_bias).relu()
            found[each.layer].append(active[-5 if where == "last 5" else 0 :].numpy())
    return found


@pytest.mark.parametrize("where", ["last 5", "all"])
@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_of_a_fresh_encoding(family: str, where: Where, tmp_path: Path) -> None:
    replacement, suite = small_replacement(tmp_path, family), small_suite(tmp_path)
    use = count_features(replacement, suite.train, FeatureChoice(positions=where, top_k=4))
    for layer, prompts in dense(replacement, suite, where).items():
        samples, found = np.concatenate(prompts), use.layers[layer]
        assert len(samples) == len(use.samples) == len(found.top_indices)
        assert found.frequency == pytest.approx(np.mean([(each > 0).any(0) for each in prompts], 0))
        assert found.maximum == pytest.approx(samples.max(0), abs=1e-4)
        firing = (samples > 0).sum(0)
        assert found.mean == pytest.approx(samples.sum(0) / np.maximum(firing, 1), abs=1e-4)
        assert found.n_firing == pytest.approx(firing.sum() / len(samples))
        assert found.top_values == pytest.approx(-np.sort(-samples, 1)[:, :4], abs=1e-4)
        taken = np.take_along_axis(samples, found.top_indices.clip(0), 1)
        assert np.where(found.top_indices >= 0, taken, 0) == pytest.approx(found.top_values, abs=1e-4)


def test_samples_are_the_last_positions_of_each_prompt(tmp_path: Path) -> None:
    replacement, suite = small_replacement(tmp_path), small_suite(tmp_path)
    use = count_features(replacement, suite.test)
    lengths = [len(read_item(replacement.model, item).scored_prompt) for item in suite.test]
    assert use.samples == tuple((n, pos) for n, length in enumerate(lengths) for pos in range(length - 5, length))
    assert sampled_positions(replacement, (1, 5, 6), "all") == [1, 2], "a special first token holds no features"


def test_fewer_features_than_asked_for_leave_places_empty(tmp_path: Path) -> None:
    replacement, suite = small_replacement(tmp_path, kind="topk"), small_suite(tmp_path)
    found = count_features(replacement, suite.train, FeatureChoice(top_k=12)).layers[1]
    assert (found.top_indices[:, 9:] == -1).all() and (found.top_indices[:, 0] >= 0).all()
