"""Every figure that there is something for is drawn, and none that there is nothing for."""

from dataclasses import replace

from circuitwise.report.chapter import read_chapter
from circuitwise.report.figures import pictures
from circuitwise.study.run import Run


def test_what_was_not_run_has_no_figure(run: Run):
    chapter = read_chapter(run, "agreement")
    bare = replace(chapter, use=None, circuit=None, interventions=None, proof=None)
    assert [picture.name for picture in pictures(bare)] == ["baseline_agreement"]
    assert pictures(replace(bare, baselines=())) == []
