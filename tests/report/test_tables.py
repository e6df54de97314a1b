"""Tables hold the numbers of the run, the same in both formats."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from circuitwise.evidence import Interval
from circuitwise.report.chapter import read_chapter
from circuitwise.report.tables import flatten, summary_table, tables_of
from circuitwise.study.run import Run


def test_both_formats_of_every_table_agree(run: Run, report: Path):
    folder = report.parent / "tables"
    names = {table.name for table in tables_of(read_chapter(run, "agreement"))} | {"summary"}
    assert {path.stem for path in folder.iterdir()} == names
    for name in sorted(names):
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        records = json.loads((folder / f"{name}.json").read_text("utf-8"))
        assert [list(row.values()) for row in rows] == [
            ["" if value is None else str(value) for value in record.values()] for record in records
        ]


def test_effects_are_those_of_the_run(run: Run):
    found, tables = run.interventions("agreement"), tables_of(read_chapter(run, "agreement"))
    assert found is not None
    (table,) = [each for each in tables if each.name == "effects_agreement"]
    assert [row["effect"] for row in table.rows] == [each.effect.estimate for each in found.effects]
    assert {"effect_low", "effect_high", "control_low", "beyond", "q"} <= set(table.columns)


def test_the_summary_has_accuracies_and_what_the_circuit_carries(run: Run):
    (row,) = summary_table([read_chapter(run, "agreement")]).rows
    baseline, proof = run.baseline("agreement", "test"), run.proof("agreement")
    assert baseline is not None and proof is not None
    assert row["sign_accuracy"] == baseline.sign_accuracy.estimate
    assert row["necessity"] == proof.evidence["necessity"].value.estimate
    assert row["verdict"] == proof.verdict and row["n_failed"] == sum(
        1 for _ in read_chapter(run, "agreement").failures
    )


def test_bounds_that_do_not_exist_are_empty(run: Run):
    found = run.interventions("agreement")
    assert found is not None
    unbounded = Interval(estimate=1.0, low=float("-inf"), high=float("inf"), level=0.95, n=2, n_clusters=2)
    row = flatten(replace(found.effects[0], effect=unbounded, control=None))
    assert (row["effect"], row["effect_low"], row["effect_high"]) == (pytest.approx(1.0), None, None)
    assert (row["control"], row["control_low"]) == (None, None)
