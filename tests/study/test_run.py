"""A run is a folder, and its manifest holds what its attempts took."""

from dataclasses import replace
from pathlib import Path

import pytest

from circuitwise.memory import peak_resident
from circuitwise.storage import write_json
from circuitwise.study.layout import MANIFEST
from circuitwise.study.run import Run
from circuitwise.study.study import Study
from circuitwise.study.written import written_fields
from tests.study.material import write_plan


def test_a_run_can_be_named_by_text(tmp_path: Path) -> None:
    assert Run(str(tmp_path)) == Run(tmp_path)
    assert Run(str(tmp_path)).folder == tmp_path


def test_the_manifest_holds_the_most_memory_of_all_attempts(tmp_path: Path) -> None:
    plan, folder = write_plan(tmp_path), tmp_path / "run"
    first = Study.load(plan).run(folder, only=["baseline"]).manifest
    assert first.peak_bytes == pytest.approx(peak_resident(), rel=0.02), "the system counts in some hundred kB"
    write_json(folder / MANIFEST, written_fields(replace(first, peak_bytes=1 << 50)))
    assert Study.load(plan).run(folder, only=["baseline"]).manifest.peak_bytes == 1 << 50
    write_json(folder / MANIFEST, written_fields(replace(first, peak_bytes=1)))
    assert Study.load(plan).run(folder, only=["baseline"]).manifest.peak_bytes >= first.peak_bytes


def test_a_manifest_of_before_memory_was_noted_can_be_read(tmp_path: Path) -> None:
    run = Study.load(write_plan(tmp_path)).run(tmp_path / "run", only=["baseline"])
    told = written_fields(run.manifest)
    del told["peak_bytes"]
    write_json(run.folder / MANIFEST, told)
    assert run.manifest.peak_bytes == 0
