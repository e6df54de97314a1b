"""Losses with a layer spliced in are those of an independent run with plain hooks."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from circuitwise.model.model import Model
from circuitwise.quality import splicing
from circuitwise.quality.splicing import Losses, Splices, Splicing, n_blocks, splice
from circuitwise.replacement import Replacement
from circuitwise.vocabulary import Site
from tests import tiny
from tests.quality import plain


def splicing_of(replacement: Replacement, precision: str = "float32") -> Splicing:
    """All layers, with drawn vectors for means."""
    draws = torch.Generator().manual_seed(5)
    sites = [dictionary.writes[0] for dictionary in replacement.transcoders]
    means = {site: torch.randn(replacement.model.d_model, generator=draws) for site in sites}
    assert precision in ("float32", "bfloat16")
    return Splicing(replacement=replacement, means=means, layers=(0, 1, 2), precision=precision)


def measured(replacement: Replacement, number: int = 5, precision: str = "float32") -> Splices:
    with torch.no_grad():
        return splice(splicing_of(replacement, precision), plain.sequences_of(), number, lambda _: None)


def lost(model: Model, ids: Tensor, changes: dict[int, Callable[[Tensor], Tensor]]) -> Tensor:
    """What is predicted with the output of some MLPs changed, all positions but the first."""
    modules = plain.outputs(model)

    def change(out: Tensor, how: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.cat([out[:, :1], how(out[:, 1:])], 1)

    with plain.hooked({modules[layer]: lambda out, how=how: change(out, how) for layer, how in changes.items()}):
        return plain.log_probabilities(model, ids)


@pytest.mark.parametrize(("family", "kind"), plain.CASES)
def test_one_layer_spliced_in_loses_what_an_independent_run_loses(family: str, kind: str) -> None:
    replacement = plain.replacement_of(kind, family)
    model, how = replacement.model, splicing_of(replacement)
    found = measured(replacement, 2)
    for number, ids in enumerate(plain.in_order(plain.sequences_of())[:2]):
        reads, _ = plain.watched(model, ids)
        inputs = {layer: x[1:] for layer, x in reads.items()}
        own = plain.log_probabilities(model, ids)
        assert found.model[number] == pytest.approx(plain.loss(own, ids), abs=1e-5)
        for layer in range(3):
            rebuilt = plain.reconstruction(replacement.transcoders, inputs, layer)
            spliced = lost(model, ids, {layer: lambda _, rebuilt=rebuilt: rebuilt[None]})
            zeroed = lost(model, ids, {layer: torch.zeros_like})
            averaged = lost(model, ids, {layer: put_in(how.means[Site(layer, "mlp_out")])})
            here = found.alone[layer]
            assert here.spliced[number] == pytest.approx(plain.loss(spliced, ids), abs=2e-5)
            assert here.zeroed[number] == pytest.approx(plain.loss(zeroed, ids), abs=2e-5)
            assert here.averaged[number] == pytest.approx(plain.loss(averaged, ids), abs=2e-5)
            kl = torch.nn.functional.kl_div(spliced[1:-1], own[1:-1], log_target=True, reduction="batchmean")
            assert here.divergence[number] == pytest.approx(float(kl), abs=2e-5)


@pytest.mark.parametrize(("family", "kind"), plain.CASES)
def test_with_all_layers_spliced_in_each_reads_what_the_others_have_left(family: str, kind: str) -> None:
    replacement = plain.replacement_of(kind, family)
    model, means = replacement.model, splicing_of(replacement).means
    found = measured(replacement, 2).together
    for number, ids in enumerate(plain.in_order(plain.sequences_of())[:2]):
        spliced = all_spliced(replacement, ids)
        zeroed = lost(model, ids, dict.fromkeys(range(3), torch.zeros_like))
        averaged = lost(model, ids, {n: put_in(means[Site(n, "mlp_out")]) for n in range(3)})
        assert found.spliced[number] == pytest.approx(plain.loss(spliced, ids), abs=3e-5)
        assert found.zeroed[number] == pytest.approx(plain.loss(zeroed, ids), abs=3e-5)
        assert found.averaged[number] == pytest.approx(plain.loss(averaged, ids), abs=3e-5)


def all_spliced(replacement: Replacement, ids: Tensor) -> Tensor:
    """What is predicted with every MLP replaced, each dictionary reading what it finds in that pass."""
    model = replacement.model
    reads: dict[int, Tensor] = {}

    def note(layer: int) -> Callable[[Tensor], None]:
        return lambda out: reads.update({layer: out[0, 1:]})

    def rebuilt(layer: int) -> Callable[[Tensor], Tensor]:
        return lambda _: plain.reconstruction(replacement.transcoders, reads, layer)[None]

    with plain.hooked({block.mlp_norm.module: note(layer) for layer, block in enumerate(model.blocks)}):
        return lost(model, ids, {layer: rebuilt(layer) for layer in range(3)})


def put_in(vector: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda out: vector.expand_as(out)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    replacement = plain.replacement_of("batchtopk")
    whole = measured(replacement)
    monkeypatch.setattr(splicing, "LOGIT_BYTES", 2 * plain.CONTEXT * tiny.VOCAB * 4)
    parts = measured(replacement)
    assert parts.model == pytest.approx(whole.model, abs=1e-5)
    for one, other in zip(
        [*parts.alone.values(), parts.together], [*whole.alone.values(), whole.together], strict=True
    ):
        for name in ("spliced", "zeroed", "averaged", "divergence"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=2e-5)


def test_products_in_bfloat16_give_nearly_the_same() -> None:
    replacement = plain.replacement_of("relu")
    exact, low = measured(replacement), measured(replacement, precision="bfloat16")
    assert low.model != exact.model and low.model == pytest.approx(exact.model, abs=0.05)
    assert low.together.zeroed == pytest.approx(exact.together.zeroed, abs=0.05)
    assert low.alone[1].averaged == pytest.approx(exact.alone[1].averaged, abs=0.05)


def test_every_block_that_runs_is_counted() -> None:
    replacement = plain.replacement_of("relu")
    told: list[int] = []
    splice(splicing_of(replacement), plain.sequences_of(), 5, told.append)
    assert sum(told) == 5 * n_blocks(replacement, (0, 1, 2)) == 5 * (12 + 9 + 6 + 3)


def test_what_zero_loses_is_shared_out() -> None:
    losses = Losses(
        spliced=[2.0, 2.5, 2.5], zeroed=[5.0, 5.0, 5.0], averaged=[3.0, 3.0, 3.0], divergence=[0.1, 0.2, 0.3]
    )
    found = losses.summary([2.0, 2.0, 2.0])
    assert found.spliced == pytest.approx(7 / 3) and found.divergence == pytest.approx(0.2)
    assert found.recovered.value == pytest.approx((15 - 7) / 9)
    assert found.recovered_over_mean.value == pytest.approx((9 - 7) / 3)
