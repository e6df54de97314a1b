import json
import sys
from pathlib import Path

import pytest

from benchmarks import tables, training_ours
from benchmarks.__main__ import main
from benchmarks.results import Result, keep
from benchmarks.training import JOBS, SPARSIFY, START, draw, orders_of, prepare, put_together
from benchmarks.training_order import speed
from benchmarks.training_quality import read_sequences
from circuitwise.model.loading import load_model

TINY = JOBS["tiny"]


def told(tokens_per_second: float, fvu: float) -> dict[str, object]:
    return {"tokens_per_second": tokens_per_second, "seconds": 1.0, "peak_bytes": 1e9, "fvu": {"0": fvu, "1": fvu}}


def made_up_result() -> Result:
    rounds = [
        {"ours": told(ours, 0.5), "peer": told(100.0, 0.6), "defaults": told(800.0, 0.5)}
        for ours in (180.0, 220.0, 200.0)
    ]
    return put_together(TINY, rounds, rounds[0], orders_of(TINY, Path("somewhere"), 1), 1)


def test_speed_is_counted_past_the_warm_up() -> None:
    order = orders_of(TINY, Path("somewhere"), 1)["ours"]
    assert TINY.n_warm == 1 and TINY.batch == 16 * 127
    assert speed([0.0, 100.0, 102.0, 104.0], order) == (2 * TINY.batch / 4.0, 4.0)


def test_the_middle_of_the_pairs_counts_and_a_kept_result_becomes_lines(tmp_path: Path) -> None:
    result = made_up_result()
    assert result["speed_ratio"] == 2.0 and result["speed_range"] == [1.8, 2.2] and result["default_speed_ratio"] == 8.0
    assert "equal work          2.00x as fast (median; 1.80 to 2.20)" in draw(result)
    keep("training", result, tmp_path)
    table = tables.training_table(tmp_path)
    assert "| ours, equal work | float32 | once | 200 | **2.00x** | 0.500 |" in table
    assert "| eai-sparsify | float32 | once | 100 | 1.00x | 0.600 |" in table
    assert "| ours, defaults | bfloat16 | 4 times | 800 | 8.00x | 0.500 |" in table


@pytest.mark.weights
def test_a_run_trains_on_the_prepared_sequences_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = prepare(TINY, tmp_path)
    train, heldout = read_sequences(folder)
    model = load_model(folder / "model", device="cpu")
    assert model.n_layers == 1 and model.tokenizer is not None
    first = model.tokenizer.convert_tokens_to_ids(START)
    assert set(train[:, 0].tolist()) == {first} and first not in train[:, 1:] and first not in heldout[:, 1:]
    assert not {tuple(row) for row in train.tolist()} & {tuple(row) for row in heldout.tolist()}
    training_ours.main(orders_of(TINY, folder, 1)["ours"])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["tokens_per_second"] > 0 and 0 < report["fvu"]["0"] < 1


@pytest.mark.slow
@pytest.mark.skipif(not SPARSIFY.is_file(), reason="eai-sparsify has no environment here: make makes it")
def test_both_sides_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["training", "--job", "tiny", "--pairs", "1", "--threads", "1", "--folder", str(tmp_path), "--json"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    assert main() == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"speed_ratio", "default_speed_ratio", "fvu", "machine", "job"} <= set(result)
