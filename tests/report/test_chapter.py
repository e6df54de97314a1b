"""A chapter has all that a run has about a behaviour, and says what it lacks."""

import shutil
from pathlib import Path

from circuitwise.report.chapter import read_chapter
from circuitwise.storage import write_json
from circuitwise.study.layout import MANIFEST
from circuitwise.study.run import Run
from circuitwise.study.written import written_fields
from tests.report.conftest import TOO_LONG


def test_it_has_what_the_run_has(run: Run):
    chapter = read_chapter(run, "agreement")
    assert [each.split for each in chapter.baselines] == ["train", "test"]
    assert chapter.tested is chapter.baselines[1] and len(chapter.prompts) == 5
    assert chapter.proof is not None and chapter.strongest == chapter.proof.sentences[:3]
    assert {each.kind for each in chapter.effects("patching_layer")} == {"layer"}


def test_a_prompt_that_failed_is_a_failure_of_its_stage(run: Run):
    failures = list(read_chapter(run, "agreement").failures)
    assert ("baseline", TOO_LONG) in {(stage, prompt) for stage, prompt, _ in failures}
    assert all(why for _, _, why in failures)


def test_a_stage_that_was_not_run_is_no_success(run: Run, tmp_path: Path):
    part = Run(tmp_path)
    for name in ("plan.toml", "data/prompts"):
        if (run.folder / name).is_dir():
            shutil.copytree(run.folder / name, tmp_path / name)
        else:
            shutil.copy(run.folder / name, tmp_path / name)
    told = written_fields(run.manifest)
    told["behaviours"] = {"agreement": {}}
    write_json(tmp_path / MANIFEST, told)
    chapter = read_chapter(part, "agreement")
    assert chapter.verdict == "not tested" and chapter.circuit is None
    assert [stage for stage, _, _ in chapter.failures] == list(part.plan.stages)
