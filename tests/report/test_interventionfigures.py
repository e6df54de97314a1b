"""Effects are named by what was done, and predictions say which point is which."""

from dataclasses import replace
from pathlib import Path

from circuitwise.report.interventionfigures import LONGEST, done_to
from circuitwise.study.run import Run


def test_effects_are_named_by_aim_and_deed(run: Run):
    found = run.interventions("agreement")
    assert found is not None
    assert done_to(found.find("ablation_zero")) == "circuit, set to zero"
    assert done_to(found.find("patching_everything", "everything")) == "everything from the contrast prompt"
    long = replace(found.find("ablation_zero"), aim="x" * 90)
    assert len(done_to(long).split(", ")[0]) == LONGEST
    several = replace(long, aim="L26F645@-1, L26F1408@-1, L28F747@-1 and 4 more")
    assert done_to(several) == "L26F645@-1, L26F1408@-1, …, set to zero"


def test_every_point_of_a_prediction_says_what_it_is(run: Run, report: Path):
    found = run.interventions("agreement")
    assert found is not None and found.scatters
    text = report.read_text("utf-8")
    for label in found.scatters[0].labels:
        assert f"<title>{label}: predicted " in text
