"""Memory figures add up, and a measurement is that of another process."""

import os
from dataclasses import replace

import psutil
import pytest
import torch

from circuitwise.errors import ModelError, RequestError
from circuitwise.memory import SHORT_PROMPT, estimate, measure_peak, peak_resident
from circuitwise.model.shape import Shape
from tests.cli.test_app import saved

SHAPE = Shape(
    n_weights=1_000_000,
    stored=torch.float32,
    n_layers=10,
    d_model=100,
    d_mlp=400,
    n_heads=10,
    n_kv_heads=5,
    d_head=10,
    d_vocab=5000,
    packed=False,
)

on_a_processor = pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator here")


@on_a_processor
def test_weights_in_their_own_type_stay_in_the_file_and_others_are_converted():
    same = estimate(SHAPE, tokens=8, rows=8)
    assert (same.weights, same.checkpoint, same.on_device) == (4_000_000, 0, 0)
    halved = estimate(SHAPE, tokens=8, rows=8, dtype=torch.bfloat16)
    assert (halved.weights, halved.checkpoint) == (2_000_000, 4_000_000)
    assert halved.loaded - same.loaded == pytest.approx(2_000_000, abs=halved.process - same.process + 1)


@on_a_processor
def test_the_totals_are_the_sums_of_their_parts():
    found = estimate(replace(SHAPE, packed=True), tokens=8, rows=8, dictionaries=123)
    loaded = found.process + found.libraries + found.weights + found.unpacking + found.short_pass
    assert found.unpacking == 4 * (1_000_000 - 5000 * 100)
    assert found.loaded == loaded and found.traced == loaded + 123 + found.graph
    moved = replace(found, device="cuda")
    assert moved.on_device == found.weights + found.short_pass + found.graph + 123
    assert moved.loaded == loaded - found.weights - found.short_pass


def test_what_is_needed_leaves_out_mapped_dictionaries():
    mapped = estimate(SHAPE, tokens=8, rows=8, dictionaries=123)
    assert mapped.needed == mapped.traced - 123
    unpacked = replace(mapped, mapped=False)
    assert unpacked.needed == unpacked.traced == mapped.traced
    assert not estimate(SHAPE, tokens=8, rows=8, dictionaries=123, mapped=False).mapped


def test_a_graph_of_4096_rows_and_64_tokens_holds_at_least_its_rows():
    rows, tokens = 4096, 64
    assert estimate(SHAPE, tokens=tokens, rows=rows).graph > 4 * rows * (rows + 11 * tokens)


def test_more_tokens_and_rows_need_more():
    sizes = [estimate(SHAPE, tokens=tokens, rows=rows).graph for tokens, rows in ((8, 8), (9, 8), (9, 9))]
    assert sizes == sorted(set(sizes))


def test_a_graph_of_nothing_is_refused():
    with pytest.raises(RequestError, match="0 tokens and 4 rows"):
        estimate(SHAPE, tokens=0, rows=4)


def test_a_measurement_is_that_of_a_fresh_process(tmp_path):
    folder = saved(tmp_path / "ein Modell")
    held = torch.ones(100_000_000)
    before = set(psutil.Process().children())
    found = measure_peak(str(folder))
    assert 100_000_000 < found.resident < psutil.Process().memory_info().rss
    assert found.on_device == 0 or torch.cuda.is_available()
    assert set(psutil.Process().children()) == before
    assert len(held) > SHORT_PROMPT


def test_a_model_that_cannot_be_measured_says_why():
    with pytest.raises(ModelError, match="There is no model “/no/where”"):
        measure_peak("/no/where")


def test_a_process_that_does_not_come_back_is_one_sentence(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONHOME", os.devnull)  # Python itself cannot start
    with pytest.raises(ModelError, match=r"ended with code 1 \(.*\)") as caught:
        measure_peak("anything")
    assert "\n" not in str(caught.value)


def test_the_peak_is_no_less_than_what_is_held_now():
    assert peak_resident() >= psutil.Process().memory_info().rss * 0.99
