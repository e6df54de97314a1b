"""A recipe that makes no sense is refused in one sentence."""

from collections.abc import Callable

import pytest

from circuitwise.dictionaries.activations import BatchTopK, TopK
from circuitwise.errors import RequestError
from circuitwise.training.recipe import (
    L0,
    L1,
    Autoencoder,
    CrossLayer,
    PerLayer,
    Reading,
    Recipe,
    Schedule,
    Skip,
    parts_of,
    recipe_to_json,
)
from circuitwise.vocabulary import Site
from tests import tiny


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Recipe(width=0), "gives width = 0, but at least 1 is needed"),
        (lambda: Recipe(n_tokens=-5), "gives n_tokens = -5, but at least 1"),
        (lambda: Recipe(batch=0), "gives batch = 0"),
        (lambda: Recipe(sparsity=TopK(0)), "lets 0 of 2048 features fire. Let k lie between 1 and the width"),
        (lambda: Recipe(sparsity=BatchTopK(99), width=64), "lets 99 of 64 features fire"),
        (lambda: Recipe(sparsity=TopK(4, keep_negative=True)), "fire below zero are not trained"),
        (lambda: Recipe(sparsity=L1(-1.0)), "gives strength = -1.0, but it must be a number above 0"),
        (lambda: Recipe(sparsity=L0(bandwidth=0.0)), "gives bandwidth = 0.0"),
        (lambda: Recipe(sparsity=L0(bandwidth=float("nan"))), "gives bandwidth = nan"),
        (lambda: Recipe(schedule=Schedule(warmup=1.5)), "gives warmup = 1.5, but a share lies between 0 and 1"),
        (lambda: Recipe(schedule=Schedule(learning_rate=float("inf"))), "gives learning rate = inf"),
        (lambda: Recipe(reading=Reading(context=1)), "reads one token at a time"),
        (lambda: Recipe(layers=()), r"names the layers \(\). Name each once"),
        (lambda: Recipe(layers=(2, 1)), r"names the layers \(2, 1\)"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(make: Callable[[], Recipe], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        make()


def test_a_layer_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(RequestError, match="asks for layer 7, but tiny llama-grouped-tied has layers 0 to 2"):
        parts_of(Recipe(layers=(0, 7)), tiny.tiny_model())
    with pytest.raises(RequestError, match="it is no place in the stream"):
        parts_of(Recipe(wiring=Autoencoder("pattern")), tiny.tiny_model())


def test_the_wiring_says_what_is_read_and_written() -> None:
    model = tiny.tiny_model()
    ins, outs = [Site(layer, "mlp_in") for layer in range(3)], [Site(layer, "mlp_out") for layer in range(3)]
    per_layer = parts_of(Recipe(), model)
    assert [part.read for part in per_layer] == ins and [part.writes for part in per_layer] == [(out,) for out in outs]
    assert [part.skip for part in parts_of(Recipe(wiring=Skip()), model)] == [True] * 3
    across = parts_of(Recipe(wiring=CrossLayer()), model)
    assert [part.writes for part in across] == [tuple(outs), tuple(outs[1:]), tuple(outs[2:])]
    some = parts_of(Recipe(wiring=CrossLayer(), layers=(0, 2)), model)
    assert [part.writes for part in some] == [(outs[0], outs[2]), (outs[2],)]
    coder = parts_of(Recipe(wiring=Autoencoder("resid_post"), layers=(1,)), model)
    assert coder[0].writes == (coder[0].read,) == (Site(1, "resid_post"),)


def test_two_recipes_are_told_apart() -> None:
    recipes = [Recipe(), Recipe(wiring=Skip()), Recipe(sparsity=TopK(48)), Recipe(layers=(0,)), Recipe(seed=1)]
    recipes += [Recipe(wiring=PerLayer(writes="mlp_raw")), Recipe(schedule=Schedule(clip=2.0))]
    texts = [str(recipe_to_json(recipe)) for recipe in recipes]
    assert len(set(texts)) == len(texts) and texts[0] == str(recipe_to_json(Recipe()))
    assert Recipe(n_tokens=10_000, batch=1000).n_steps == 10
