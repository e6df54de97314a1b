"""What is known of published sets agrees with their files where these were measured."""

import pytest

from circuitwise.dictionaries.known import KNOWN_SETS, KnownSet, known_set
from circuitwise.dictionaries.references import PUBLISHED

MEASURED = {
    "mwhanna/qwen3-4b-transcoders": 57,
    "mntss/clt-gemma-2-2b-426k": 26.51,
    "mntss/clt-gemma-2-2b-2.5M": 159.05,
    "mntss/transcoder-Llama-3.2-1B": 32.26,
    "mwhanna/gemma-scope-transcoders": 26 * 288 / 1024,
}
"""GiB of their weight files, as people who have them say; GemmaScope's has 288 MiB a layer."""


@pytest.mark.parametrize("repository", MEASURED)
def test_a_known_set_is_as_big_as_its_files(repository: str) -> None:
    assert KNOWN_SETS[repository].n_bytes / 2**30 == pytest.approx(MEASURED[repository], rel=0.015)


def test_the_size_is_that_of_encoder_decoders_biases_and_skip() -> None:
    plain = KnownSet(n_layers=2, n_features=10, d_model=3)
    assert plain.n_encoder == 60 and plain.n_bytes == 2 * (60 + 60 + 2 * (10 + 3))
    skipping = KnownSet(n_layers=2, n_features=10, d_model=3, itemsize=4, skip=True)
    assert skipping.n_bytes == 4 * (60 + 60 + 2 * (10 + 3 + 9))
    crossing = KnownSet(n_layers=2, n_features=10, d_model=3, cross_layer=True)
    assert crossing.n_bytes == 2 * (60 + 90 + 2 * (10 + 3))


def test_a_set_is_known_under_its_short_name_and_its_repository() -> None:
    assert known_set("qwen3-4b") is known_set("mwhanna/qwen3-4b-transcoders") is not None
    assert known_set("org/unknown") is None and known_set("smollm2") is None


def test_a_known_set_is_of_the_kind_that_the_table_of_sets_says() -> None:
    for name, published in PUBLISHED.items():
        found = known_set(name)
        if found is not None:
            kind = "cross-layer transcoder" if found.cross_layer else "skip transcoder" if found.skip else "transcoder"
            assert kind == published.kind, name
