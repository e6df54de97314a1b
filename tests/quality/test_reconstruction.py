"""Variance, firing and dead features are those of an independent count."""

import pytest
import torch
from torch import Tensor

from circuitwise.quality import reconstruction
from circuitwise.quality.reconstruction import Reconstructions, reconstruct, usual_tokens
from circuitwise.replacement import Replacement
from circuitwise.training.scaling import Scale
from circuitwise.vocabulary import Site
from tests.quality import plain


def measured(replacement: Replacement) -> Reconstructions:
    with torch.no_grad():
        sequences = plain.sequences_of()
        return reconstruct(replacement.model, replacement.transcoders, sequences, 5, "float32", lambda _: None)


@pytest.mark.parametrize(("family", "kind"), plain.CASES)
def test_it_is_what_an_independent_count_finds(family: str, kind: str) -> None:
    replacement = plain.replacement_of(kind, family)
    transcoders = replacement.transcoders
    found = measured(replacement)
    wanted: dict[int, list[Tensor]] = {layer: [] for layer in range(3)}
    rebuilt: dict[int, list[Tensor]] = {layer: [] for layer in range(3)}
    fired: dict[int, list[Tensor]] = {layer: [] for layer in range(3)}
    for ids in plain.in_order(plain.sequences_of()):
        reads, adds = plain.watched(replacement.model, ids)
        inputs = {layer: x[1:] for layer, x in reads.items()}
        for layer in range(3):
            wanted[layer].append(adds[layer][1:])
            rebuilt[layer].append(plain.reconstruction(transcoders, inputs, layer))
            fired[layer].append(plain.activations(transcoders.layers[layer], inputs[layer]) > 0)
    for layer, one in found.by_layer.items():
        y, y_hat, on = (torch.cat(values[layer]) for values in (wanted, rebuilt, fired))
        fvu = float((y - y_hat).square().sum() / (y - y.mean(0)).square().sum())
        assert one.fvu == pytest.approx(fvu, rel=1e-4) and one.fvu_all == one.fvu
        assert one.firing == pytest.approx(float(on.sum()) / len(y), rel=1e-6)
        assert one.n_dead == int((~on.any(0)).sum())
        torch.testing.assert_close(one.mean, y.mean(0), atol=1e-5, rtol=1e-5)
    assert (found.n_tokens, found.n_outliers) == (75, 0)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    replacement = plain.replacement_of("cross-layer")
    whole = measured(replacement)
    monkeypatch.setattr(reconstruction, "BATCH_BYTES", 1)
    parts = measured(replacement)
    for layer, one in parts.by_layer.items():
        other = whole.by_layer[layer]
        assert (one.fvu, one.firing) == pytest.approx((other.fvu, other.firing), rel=1e-5)
        assert one.n_dead == other.n_dead


def test_a_token_that_is_monstrous_at_any_site_is_an_outlier() -> None:
    sites = (Site(0, "mlp_in"), Site(0, "mlp_out"))
    values = {site: torch.ones(4, 32) for site in sites}
    values[sites[1]][2] *= 21
    values[sites[0]][3] *= 19
    scales = {site: Scale(mean=torch.zeros(32), spread=1.0) for site in sites}
    assert usual_tokens(values, scales).tolist() == [True, True, False, True]


def test_outliers_count_in_one_number_only(monkeypatch: pytest.MonkeyPatch) -> None:
    replacement = plain.replacement_of("relu")
    plainly = measured(replacement)
    monkeypatch.setattr(reconstruction, "OUTLIER", 1.5)
    found = measured(replacement)
    assert 0 < found.n_outliers < 75 and found.n_tokens + found.n_outliers == 75
    for layer, one in found.by_layer.items():
        assert one.fvu_all == plainly.by_layer[layer].fvu_all
        assert one.fvu != one.fvu_all
