"""Dictionaries read what the others have left, and excluded positions stay as they are."""

import torch

from circuitwise.quality.rebuilding import Rebuilding, put, rebuilt, splice_all
from circuitwise.vocabulary import Site
from tests.quality import plain


def inputs_of(n_layers: int) -> dict[Site, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    return {Site(layer, "mlp_in"): torch.randn(3, 6, 32, generator=draws) for layer in range(n_layers)}


def test_each_sequence_is_rebuilt_as_if_it_were_alone() -> None:
    for kind in ("relu", "batchtopk", "cross-layer skip"):
        transcoders = plain.replacement_of(kind).transcoders
        inputs = inputs_of(3)
        found = rebuilt(transcoders, inputs)
        for number in range(3):
            alone = transcoders.reconstruct([inputs[one.read][number] for one in transcoders])
            for site, value in alone.items():
                torch.testing.assert_close(found[site][number], value, atol=1e-5, rtol=1e-5)


def test_what_fires_is_counted_on_from_sequence_to_sequence() -> None:
    for kind in ("relu", "batchtopk"):
        transcoders = plain.replacement_of(kind).transcoders
        dictionary, x = transcoders.layers[0], inputs_of(1)[Site(0, "mlp_in")]
        firing = Rebuilding(transcoders).read(dictionary, x)
        alone = [dictionary.encode(row) for row in x]
        pos = torch.cat([one.pos + 6 * number for number, one in enumerate(alone)])
        assert torch.equal(firing.pos, pos)
        assert torch.equal(firing.feature, torch.cat([one.feature for one in alone]))


def test_a_splice_gives_the_sum_of_what_was_written_before() -> None:
    transcoders = plain.replacement_of("cross-layer").transcoders
    inputs, rewrites = inputs_of(3), splice_all(transcoders, 2)
    expected = rebuilt(transcoders, {site: x[:, 2:] for site, x in inputs.items()})
    for layer in range(3):
        reads, writes = Site(layer, "mlp_in"), Site(layer, "mlp_out")
        assert rewrites[reads](inputs[reads], 0) is inputs[reads]
        value = torch.ones(3, 6, 32)
        changed = rewrites[writes](value, 0)
        assert torch.equal(changed[:, :2], value[:, :2]) and torch.equal(value, torch.ones(3, 6, 32))
        torch.testing.assert_close(changed[:, 2:], expected[writes])


def test_a_value_is_put_in_its_own_type() -> None:
    value = torch.zeros(2, 4, 3, dtype=torch.bfloat16)
    changed = put(value, torch.ones(3), 1)
    assert changed.dtype == torch.bfloat16 and changed.sum() == 18 and not bool(changed[:, 0].any())
