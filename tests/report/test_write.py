"""A report is written whole, the same bytes every time, of runs that are finished and of runs that are not."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from circuitwise.errors import RequestError
from circuitwise.features import Survey
from circuitwise.report.write import write_report
from circuitwise.study.layout import interventions_file
from circuitwise.study.run import Run


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_written_twice_it_is_the_same_to_the_byte_and_lies_in_the_run_unless_told_otherwise(
    run: Run, labelled: Survey, report: Path
):
    again = write_report(run, survey=labelled)
    assert again == run.folder / "report" / "index.html"
    first, second = files_of(report.parent), files_of(again.parent)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_it_is_a_page_with_markdown_tables_and_figures(report: Path):
    names = files_of(report.parent).keys()
    assert {"index.html", "report.md", "tables/summary.csv", "tables/summary.json"} <= names
    for kind in ("baseline", "heatmap_effect", "heatmap_firing", "evidence", "effects", "steering", "prediction_1"):
        assert {f"figures/{kind}_agreement.png", f"figures/{kind}_agreement.svg"} <= names
    for kind in ("nodes", "edges", "effects", "claims", "curves", "failures", "predictions"):
        assert {f"tables/{kind}_agreement.csv", f"tables/{kind}_agreement.json"} <= names


def test_the_only_times_in_it_are_the_manifests(run: Run, report: Path):
    told = run.manifest
    assert told.finished is not None
    page = report.read_text("utf-8")
    day, clock = told.finished[:16].split("T")
    assert f"{day} {clock} UTC" in page
    others = {name: content for name, content in files_of(report.parent).items() if not name.endswith((".html", ".md"))}
    assert [name for name, content in others.items() if told.finished[:10].encode() in content] == []


def test_no_file_says_where_the_run_lies(run: Run, report: Path):
    place = str(run.folder).encode()
    assert [name for name, content in files_of(report.parent).items() if place in content] == []


def test_a_run_that_was_interrupted_has_a_report_too(run: Run, tmp_path: Path):
    part = tmp_path / "part"
    shutil.copytree(run.folder, part)
    shutil.rmtree(part / "evidence")
    (part / interventions_file("agreement")).unlink()
    text = write_report(Run(part)).read_text("utf-8")
    assert "was not put to the proof" in text and "The circuit</h3>" in text
    assert "What interventions do" not in text and "Is it this circuit?" not in text


def test_a_survey_of_other_dictionaries_is_refused(run: Run, labelled: Survey, tmp_path: Path):
    other = replace(labelled, origin=replace(labelled.origin, transcoders_sha256="0" * 64))
    with pytest.raises(RequestError, match=r"checksums differ\. Name the survey of these, or none\."):
        write_report(run, folder=tmp_path, survey=other)
