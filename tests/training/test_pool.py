"""The pool holds the model's activations, bounded, and what a step draws depends on the step alone."""

from pathlib import Path

import pytest
import torch

from circuitwise.errors import RequestError
from circuitwise.model.forward import run
from circuitwise.model.model import Model
from circuitwise.model.tokens import pad
from circuitwise.training.packing import Sequences, pack
from circuitwise.training.pool import GENERATIONS, OUTLIER, Pool, measure_scales
from circuitwise.training.recipe import Reading, Recipe
from circuitwise.training.scaling import Scale
from circuitwise.vocabulary import Site
from tests.training.material import reading_model, some_texts

SITES = (Site(0, "mlp_in"), Site(2, "mlp_out"))
PLAIN = {site: Scale(mean=torch.zeros(32), spread=1.0) for site in SITES}
HOW = Recipe(
    batch=20, n_tokens=10_000, precision="float32", reading=Reading(context=16, sequences=3, pool_bytes=40_000, reuse=2)
)


def material(folder: Path) -> tuple[Model, Sequences]:
    model = reading_model()
    return model, pack(model, some_texts(), context=16, seed=0, path=folder / "text")


def drawn_at(pool: Pool, step: int) -> torch.Tensor:
    places = pool.draw(step)
    return torch.cat([pool.at(site, places) for site in SITES], 1).float()


def test_it_holds_what_the_model_computes_without_the_first_position(tmp_path: Path) -> None:
    model, sequences = material(tmp_path)
    pool = Pool(model, sequences, PLAIN, HOW)
    assert pool.n_tokens == GENERATIONS * pool.n_sequences * 15
    pool.draw(0)
    n_sequences = GENERATIONS * pool.n_sequences
    everything = torch.arange(pool.n_tokens)
    for number, ids in enumerate(sequences.take(0, n_sequences)):
        alone = run(model, pad([ids]), read=SITES, logits="none").sites
        for site in SITES:
            found = pool.at(site, everything[number * 15 : number * 15 + 15]).float()
            torch.testing.assert_close(found, alone[site][0, 1:], rtol=0.01, atol=0.01)


def test_tokens_of_monstrous_length_are_not_trained_on(tmp_path: Path) -> None:
    model, sequences = material(tmp_path)
    plain = Pool(model, sequences, PLAIN, HOW)
    plain.draw(0)
    everything = torch.arange(plain.n_tokens)
    lengths = plain.at(SITES[1], everything).float().norm(dim=1)
    bound = float(lengths.sort().values[-5])  # four tokens are longer
    narrow = PLAIN | {SITES[1]: Scale(mean=torch.zeros(32), spread=bound * 1.001 / OUTLIER / 32**0.5)}
    pool = Pool(model, sequences, narrow, HOW)
    pool.draw(0)
    same = (pool.at(SITES[0], everything) == plain.at(SITES[0], everything)).all(1)
    assert torch.equal(same, lengths <= bound * 1.001)
    assert pool.at(SITES[1], everything).float().norm(dim=1).max() <= OUTLIER * 32**0.5 * 1.01


def test_it_keeps_to_its_bytes(tmp_path: Path) -> None:
    model, sequences = material(tmp_path)
    pool = Pool(model, sequences, PLAIN, HOW)
    held = sum(pool.at(site, torch.arange(pool.n_tokens)).nbytes for site in SITES)
    assert 20_000 < held <= 40_000
    small = Recipe(reading=Reading(context=16, pool_bytes=4000))
    with pytest.raises(RequestError, match=r"A pool of 4,000 bytes is too small: 4 sequences of 16 tokens at 2 sites"):
        Pool(model, sequences, PLAIN, small)


def test_a_step_draws_the_same_whatever_came_before(tmp_path: Path) -> None:
    model, sequences = material(tmp_path)
    through = Pool(model, sequences, PLAIN, HOW)
    steps = [drawn_at(through, step) for step in range(4 * through.n_steps)]
    for step in (0, through.n_steps, 3 * through.n_steps + 1, 2):
        assert torch.equal(drawn_at(Pool(model, sequences, PLAIN, HOW), step), steps[step])
        assert torch.equal(drawn_at(through, step), steps[step])  # also back and forth
    assert not torch.equal(steps[0], steps[1])


def test_tokens_are_drawn_about_as_often_as_they_shall_be_reused(tmp_path: Path) -> None:
    model, sequences = material(tmp_path)
    pool = Pool(model, sequences, PLAIN, HOW)
    fresh_a_round = pool.n_tokens // GENERATIONS
    drawn_a_round = pool.n_steps * HOW.batch
    assert abs(drawn_a_round - 2 * fresh_a_round) < HOW.batch
    round = torch.cat([pool.draw(step) for step in range(pool.n_steps)])
    assert len(round.unique()) == len(round) == drawn_a_round


def test_scales_are_those_of_the_first_tokens(tmp_path: Path) -> None:
    model, sequences = material(tmp_path)
    scales = measure_scales(model, sequences, SITES, HOW)
    pool = Pool(model, sequences, scales, Recipe(batch=20, reading=Reading(context=16, reuse=1)))
    pool.draw(0)
    for site in SITES:
        scaled = pool.at(site, torch.arange(pool.n_tokens)).float()
        assert float(scaled.square().mean()) == pytest.approx(1, abs=0.02)
        assert scaled.mean(0).abs().max() < 0.05
