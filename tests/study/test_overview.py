"""A behaviour's row holds the run's own numbers, and nothing where nothing was run."""

from dataclasses import replace
from pathlib import Path

import pytest

from circuitwise.study.overview import COLUMNS, NOTHING, markdown_table, overview, rank_sentences, strongest_sentences
from circuitwise.study.run import Run
from circuitwise.study.study import Study
from tests.study.material import carry_out, write_plan


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    carry_out(write_plan(folder), folder / "run")
    return Run(folder / "run")


def test_every_number_of_the_row_is_one_of_the_run(run: Run) -> None:
    row = overview(run, "tiny")
    proof, baseline, found = run.proof("tiny"), run.baseline("tiny", "test"), run.interventions("tiny")
    assert proof is not None and baseline is not None and found is not None
    cells = dict(zip(COLUMNS, row.cells(), strict=True))
    assert cells["behaviour"] == "tiny" and cells["test prompts"] == "6" and cells["circuit"] == "6 features"
    assert cells["evidence"] == proof.verdict and cells["baseline"] == baseline.verdict
    assert cells["right answer likelier"].startswith(f"{100 * baseline.sign_accuracy.estimate:.0f} %")
    assert cells["lead (nats a token)"].startswith(f"{baseline.difference.estimate:z.2f} [")
    ablated = found.find("ablation_zero")
    assert cells["ablated (nats)"].startswith(f"{ablated.effect.estimate:z.2f} [") and row.ablated == ablated
    scores = [each.replacement for each in run.graphs("tiny") if each.replacement is not None]
    assert cells["replacement"] == f"{sum(scores) / len(scores):.2f}"


def test_the_table_has_a_line_for_every_behaviour(run: Run) -> None:
    lines = markdown_table([overview(run, "tiny")] * 2).splitlines()
    assert len(lines) == 4 and {line.count("|") for line in lines} == {len(COLUMNS) + 1}


def test_what_was_not_run_has_no_numbers(tmp_path: Path) -> None:
    run = Study.load(write_plan(tmp_path)).run(tmp_path / "run", only=["baseline"])
    cells = dict(zip(COLUMNS, overview(run, "tiny").cells(), strict=True))
    assert {name for name, cell in cells.items() if cell == NOTHING} == {
        "replacement", "circuit", "lost without it", "kept by it alone", "ablated (nats)", "patched (of the way)",
        "evidence",
    }  # fmt: skip
    assert strongest_sentences(run, 3) == []


def test_the_strongest_findings_are_the_first_of_each_proof(run: Run) -> None:
    proof = run.proof("tiny")
    assert proof is not None
    assert [sentence for _, sentence in strongest_sentences(run, 2)] == list(proof.sentences[:2])
    assert len(strongest_sentences(run, 100)) == len(proof.sentences)


def test_findings_of_what_is_shown_come_before_all_others(run: Run) -> None:
    proof = run.proof("tiny")
    assert proof is not None
    first, second = proof.sentences[:2]
    proofs = [
        replace(proof, behaviour="a", verdict="undecided", sentences=(first, second)),
        replace(proof, behaviour="b", verdict="supported", sentences=(first,)),
        replace(proof, behaviour="c", verdict="supported", sentences=(first, second)),
    ]
    ranked = [("b", first), ("c", first), ("c", second), ("a", first), ("a", second)]
    assert list(rank_sentences(proofs)) == ranked
