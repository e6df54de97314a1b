import dataclasses
from pathlib import Path

from benchmarks import tables
from benchmarks.attribution import Pair, draw, put_together
from benchmarks.jobs import TINY
from benchmarks.results import Result, keep


def made_up_result() -> Result:
    def report(seconds: float, peak: float) -> dict[str, float]:
        return {"seconds": seconds, "peak_bytes": peak, "n_active": 9, "n_rows": 4}

    pairs = [Pair(ours=report(1, 1e9), peer=report(seconds, 4e9)) for seconds in (30, 50, 40)]
    rows = {"relative_difference": 3e-7, "n_common": 4, "overlap": 1.0}
    walk = {"gemm_share": 0.5, "walk_flop": 1e9, "walk_seconds": 1.0, "matrix_speeds": {"a": 2e9}}
    return put_together(TINY, pairs, rows, walk, 1)


def test_the_tables_of_the_documentation_are_those_of_the_results() -> None:
    page = tables.PAGE.read_text("utf-8")
    assert tables.fill(page) == page
    assert all(f"<!-- table: {name} -->" in page for name in tables.TABLES)


def test_ratios_are_medians_of_the_pairs() -> None:
    result = made_up_result()
    assert (result["speed_ratio"], result["speed_range"], result["memory_ratio"]) == (40, [30, 50], 0.25)
    assert "40.0x (median; 30.0 to 50.0)" in draw(result)


def test_a_kept_result_becomes_a_line(tmp_path: Path) -> None:
    keep("attribution-tiny", made_up_result(), tmp_path)
    page = "before\n<!-- table: attribution -->\nold\n<!-- end -->\nafter\n"
    filled = tables.fill(page, tmp_path)
    assert (
        "| `tiny` | 1.00 s | 40.0 s | **40.0x** (30.0 to 50.0) | 1.00 GB / 4.00 GB | 0.25 | 3.0e-07 | 50% |" in filled
    )
    assert filled.startswith("before\n")
    assert filled.endswith("after\n")
    assert tables.fill(filled, tmp_path) == filled


def test_without_results_a_table_says_so(tmp_path: Path) -> None:
    for name in sorted({*tables.TABLES} - {"bars", "intervention-bars", "training-bars"}):
        assert tables.TABLES[name](tmp_path) == tables.NOTHING


def test_a_result_names_its_job_and_its_machine() -> None:
    result = made_up_result()
    assert result["job"] == dataclasses.asdict(TINY)
    assert {"processor", "n_cores", "n_threads", "torch"} <= set(result["machine"])
