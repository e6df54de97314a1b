"""Learners find what was planted, bring dead features back, and count what they say they count."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from circuitwise.dictionaries.activations import BatchTopK, TopK
from circuitwise.training.learner import Learner
from circuitwise.training.recipe import L0, L1, Part, Recipe, Revival, Schedule, Sparsity
from circuitwise.training.weights import Weights
from circuitwise.vocabulary import Site
from tests.training.material import drawn, drawn_weights

READ, WRITE = Site(0, "mlp_in"), Site(0, "mlp_out")
N_PLANTED, WIDTH, BATCH = 32, 32, 192
QUICK = Schedule(learning_rate=0.015, penalty_warmup=0.2)


def planted_batch(step: int, directions: Tensor, outputs: Tensor) -> dict[Site, Tensor]:
    """Sums of a few planted directions, and of the outputs that belong to them."""
    draws = torch.Generator().manual_seed(step)
    code = torch.rand(BATCH, N_PLANTED, generator=draws) + 0.5
    code *= torch.rand(BATCH, N_PLANTED, generator=draws) < 0.05
    scale = WIDTH**0.5 / 2
    return {READ: code @ directions * scale, WRITE: code @ outputs * scale}


def first_weights(batch: Mapping[Site, Tensor], n_features: int, *, threshold: float | None = None) -> Weights:
    order = torch.arange(n_features) % BATCH
    nudge = drawn(n_features, WIDTH, seed=7, spread=0.01)
    return replace(
        drawn_weights(n_features, WIDTH, threshold=threshold),
        encoder=normalize(batch[READ][order] + nudge, dim=1) * 0.3,
        encoder_bias=torch.zeros(n_features),
        decoder=normalize(batch[WRITE][order] + nudge, dim=1),
        bias=torch.zeros(WIDTH),
    )


@pytest.mark.parametrize(
    "sparsity", [TopK(3), BatchTopK(2), L1(0.05), L0(0.01, 0.2)], ids=lambda how: type(how).__name__
)
def test_a_planted_dictionary_is_found_again(sparsity: Sparsity) -> None:
    directions, outputs = (normalize(drawn(N_PLANTED, WIDTH, seed=seed), dim=1) for seed in (1, 2))
    how = Recipe(sparsity=sparsity, width=96, batch=BATCH, n_tokens=250 * BATCH, schedule=QUICK, precision="float32")
    start = -1.2 if isinstance(sparsity, L0) else None
    weights = first_weights(planted_batch(10_000, directions, outputs), 96, threshold=start)
    learner = Learner((weights,), how)
    for step in range(how.n_steps):
        if step == how.n_steps - 20:
            learner.report()
        learner.learn(planted_batch(step, directions, outputs), step)
    tally = learner.report()
    assert float(tally.unexplained / tally.variance) < 0.15
    likeness = (normalize(weights.decoder, dim=1) @ outputs.T).max(0).values
    assert (likeness > 0.95).float().mean() > 0.8


def test_dead_features_come_back_to_life() -> None:
    directions, outputs = (normalize(drawn(N_PLANTED, WIDTH, seed=seed), dim=1) for seed in (1, 2))
    alive: dict[bool, float] = {}
    for helped in (False, True):
        revival = Revival(after=10 * BATCH if helped else 10**9, firing=8, rows=BATCH)
        how = Recipe(
            sparsity=TopK(3),
            width=64,
            batch=BATCH,
            n_tokens=200 * BATCH,
            schedule=QUICK,
            precision="float32",
            revival=revival,
        )
        weights = first_weights(planted_batch(10_000, directions, outputs), 64)
        weights.encoder_bias[16:] = -4.0  # three in four can never fire by themselves
        learner = Learner((weights,), how)
        for step in range(how.n_steps):
            learner.learn(planted_batch(step, directions, outputs), step)
        alive[helped] = float((learner.silent[0] < 10 * BATCH).float().mean())
    assert alive[False] <= 0.25 and alive[True] > 0.4


def test_the_tally_is_the_error_of_what_was_written() -> None:
    weights = drawn_weights(24)
    how = Recipe(sparsity=TopK(3), width=24, batch=20, n_tokens=20, precision="float32", revival=Revival(after=15))
    batch = {READ: drawn(20, 8, seed=10), WRITE: drawn(20, 8, seed=11) + 1}
    value, feature = (batch[READ] @ weights.encoder.T + weights.encoder_bias).topk(3)
    code = torch.zeros(20, 24).scatter_(1, feature, value.clamp(min=0))
    written = code @ weights.decoder + weights.bias
    learner = Learner((weights,), how)
    learner.learn(batch, 0)
    n_silent = int((code.sum(0) == 0).sum())
    assert learner.n_dead(0) == n_silent > 0 and torch.equal(learner.silent[0] == 0, code.sum(0) > 0)
    tally = learner.report()
    assert tally.n_tokens == 20 and int(tally.firing) == int((code > 0).sum())
    torch.testing.assert_close(tally.unexplained[0], (written - batch[WRITE]).square().sum())
    torch.testing.assert_close(tally.variance[0], (batch[WRITE] - batch[WRITE].mean(0)).square().sum())
    assert learner.report().n_tokens == 0


def test_cross_layer_dictionaries_share_the_error_of_a_site() -> None:
    first, second = drawn_weights(24, n_writes=2), drawn_weights(24)
    later = Site(1, "mlp_out")
    second = replace(second, part=Part(read=Site(1, "mlp_in"), writes=(later,), skip=False))
    how = Recipe(sparsity=TopK(3), width=24, batch=20, n_tokens=20, precision="float32")
    batch = {site: drawn(20, 8, seed=40 + at) for at, site in enumerate((READ, WRITE, second.part.read, later))}

    def code(weights: Weights) -> Tensor:
        value, feature = (batch[weights.part.read] @ weights.encoder.T + weights.encoder_bias).topk(3)
        return torch.zeros(20, 24).scatter_(1, feature, value.clamp(min=0))

    own = code(first) @ first.decoder[:, :8] + first.bias - batch[WRITE]
    both = code(first) @ first.decoder[:, 8:] + code(second) @ second.decoder + second.bias - batch[later]
    learner = Learner((first, second), how)
    assert learner.sites == (WRITE, later)
    learner.learn(batch, 0)
    expected = torch.stack([own.square().sum(), both.square().sum()])
    torch.testing.assert_close(learner.report().unexplained, expected)
