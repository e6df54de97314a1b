"""A study is carried out, resumed to the byte wherever it was killed, and repeats nothing that was finished."""

import logging
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from circuitwise.errors import ArtifactError, RequestError
from circuitwise.report import write_report
from circuitwise.study.capability import NEUTRAL
from circuitwise.study.clock import Progress
from circuitwise.study.opening import Opened
from circuitwise.study.plan import STAGES, Stage
from circuitwise.study.planfile import read_plan
from circuitwise.study.run import Run
from circuitwise.study.store import only_writer
from circuitwise.study.study import Study, stages_of
from tests.cli.words import files
from tests.study.killing import NEVER, check_resumed, kill, kill_at_write, lasting, stage_of, stamps, whole
from tests.study.material import ALONE, FAMILIES, STUDY, carry_out, write_dictionaries, write_plan
from tests.study.watching import watch

FIGURES = logging.getLogger("figures")
"""What the slow tests measured: shown with --log-cli-level=INFO."""
FINDING: list[Stage] = ["baseline", "features", "graphs", "circuit"]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plan(tmp_path_factory.mktemp("eine Studie"))


@pytest.fixture(scope="module")
def finished(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole study, all stages."""
    folder = tmp_path_factory.mktemp("runs") / "ganz"
    carry_out(plan, folder)
    return Run(folder)


@pytest.fixture(scope="module")
def found(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The stages that find a circuit."""
    return Study.load(plan).run(tmp_path_factory.mktemp("runs") / "found", only=FINDING)


def test_a_whole_study_leaves_every_file_of_its_layout(finished: Run) -> None:
    names = set(lasting(finished.folder))
    assert {
        "plan.toml",
        "data/prompts/tiny_train.jsonl",
        "data/prompts/tiny_test.jsonl",
        "data/results/baseline_tiny_train.csv",
        "data/results/baseline_metrics_test.json",
        "transcoder_features/tiny/layer_00/tiny_train_top_k_indices.npy",
        "transcoder_features/tiny/layer_02/tiny_test_feature_frequencies.npy",
        "transcoder_features/tiny/tiny_test_summary.json",
        "attribution_graphs/tiny/prompts/0003.graph",
        "attribution_graphs/tiny/attribution_graph_train.graphml",
        "attribution_graphs/tiny/attribution_graph_train.json",
        "attribution_graphs/tiny/circuit.safetensors",
        "interventions/tiny/intervention_ablation_tiny.csv",
        "interventions/tiny/intervention_patching_tiny.csv",
        "interventions/tiny/intervention_tiny_summary.json",
        "interventions/tiny/feature_importance_layer_0.csv",
        "evidence/tiny.json",
    } <= names
    states = finished.manifest.behaviours["tiny"]
    assert list(states) == list(STAGES) and all(state.finished for state in states.values())
    assert finished.manifest.finished and finished.manifest.seeds == {"prompts": 42, "interventions": 456, "torch": 789}


def test_everything_reads_back_as_values(finished: Run) -> None:
    baseline, features = finished.baseline("tiny", "test"), finished.features("tiny", "train")
    circuit, proof = finished.circuit("tiny"), finished.proof("tiny")
    interventions, importances = finished.interventions("tiny"), finished.importances("tiny")
    assert baseline is not None and len(baseline.rows) == 6
    assert features is not None and features.n_prompts == 8 and len(features.samples) == 40
    assert [row.number for row in finished.graphs("tiny")] == [0, 1, 2, 3]
    assert finished.graph("tiny", 2).n_pos == finished.graphs("tiny")[2].n_pos
    assert circuit is not None and len(circuit.members) == 6
    assert interventions is not None and interventions.n_prompts == 6
    assert importances is not None and importances.n_training == 8
    assert proof is not None and proof.behaviour == "tiny" and proof.headline
    assert len(list(finished.measurements("tiny", "ablation"))) > 6


def test_no_file_but_the_manifest_differs_between_two_runs(plan: Path, found: Run, tmp_path: Path) -> None:
    again = Study.load(plan).run(tmp_path / "anders", only=FINDING)
    assert lasting(again.folder) == lasting(found.folder)


def test_a_finished_study_computes_nothing_again(plan: Path, finished: Run) -> None:
    before = stamps(finished.folder)
    again = Study.load(plan).run(finished.folder)
    assert again.manifest.made == {} and stamps(again.folder) == before


def test_a_lost_file_is_written_anew_from_what_is_kept(plan: Path, tmp_path: Path) -> None:
    run = Study.load(plan).run(tmp_path / "run", only=["features"])
    before = lasting(run.folder)
    (run.folder / "transcoder_features/tiny/layer_01/tiny_test_top_k_values.npy").unlink()
    (run.folder / "transcoder_features/tiny/tiny_train_summary.json").write_text("{}", "utf-8")
    again = Study.load(plan).run(tmp_path / "run", only=["features"])
    assert lasting(again.folder) == before and again.manifest.made == {}


def test_more_prompts_keep_what_was_computed_of_fewer(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    path.write_text("n_prompts = 4\n" + path.read_text("utf-8"), "utf-8")
    fewer = Study.load(path).run(tmp_path / "run", only=["features"])
    assert fewer.manifest.made == {"features": 8}
    path.write_text(path.read_text("utf-8").replace("n_prompts = 4", "n_prompts = 6", 1), "utf-8")
    more = Study.load(path).run(tmp_path / "run", only=["features"])
    assert more.manifest.made == {"features": 4}
    assert more.items("tiny", "train")[:4] == fewer.items("tiny", "train")[:4]


def test_another_choice_runs_its_stage_and_those_after_it_alone(plan: Path, tmp_path: Path) -> None:
    Study.load(plan).run(tmp_path / "run", only=["features", "circuit"])
    text = plan.read_text("utf-8").replace("size = 6", "size = 5")
    changed = plan.with_name("changed.toml")
    changed.write_text(text, "utf-8")
    run = Study.load(changed).run(tmp_path / "run", only=["features", "circuit"])
    assert run.manifest.made == {} and len(run.circuit("tiny").members) == 5  # type: ignore[union-attr]


def test_a_stage_brings_what_it_needs() -> None:
    assert stages_of(["evidence"]) == ["graphs", "circuit", "evidence"]
    assert stages_of(["interventions", "baseline"]) == ["baseline", "graphs", "circuit", "interventions"]


def test_a_prompt_that_fails_is_counted_and_listed_and_the_study_goes_on(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    suite = tmp_path / "tiny.toml"
    suite.write_text(suite.read_text("utf-8").replace('prompt = "n b a cat"', 'prompt = "n b a cat cat"', 1), "utf-8")
    run = Study.load(path).run(tmp_path / "run", only=FINDING)
    states = run.manifest.behaviours["tiny"]
    for stage in ("baseline", "features", "graphs"):
        (failure,) = states[stage].failures
        assert failure.prompt == "n b a cat cat" and "contrast" in failure.sentence and failure.split == "train"
        assert str(tmp_path) not in failure.sentence
    assert [states[stage].done for stage in FINDING] == [13, 13, 3, 3]
    assert run.features("tiny", "train").n_prompts == 7  # type: ignore[union-attr]
    assert [row.number for row in run.graphs("tiny")] == [0, 1, 3]


def test_no_circuit_is_a_verdict_and_leaves_nothing_to_act_on(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    path.write_text(path.read_text("utf-8").replace("frequency = 0.2", "activation = 1e9"), "utf-8")
    run = Study.load(path).run(tmp_path / "run", only=["interventions", "evidence"])
    states, proof = run.manifest.behaviours["tiny"], run.proof("tiny")
    assert "no feature recurs" in states["interventions"].problem and not states["interventions"].finished
    assert proof is not None and proof.verdict == "not shown" and "no feature recurs" in proof.headline
    assert run.interventions("tiny") is None and run.manifest.finished is None, "other stages were not run yet"


def test_a_stage_without_a_result_stops_those_that_need_it(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    suite = tmp_path / "tiny.toml"
    suite.write_text(suite.read_text("utf-8").replace('contrast_prompt = "n ', 'contrast_prompt = "n n '), "utf-8")
    run = Study.load(path).run(tmp_path / "run", only=["baseline", "evidence"])
    states = run.manifest.behaviours["tiny"]
    assert "No prompt of the split “train”" in states["baseline"].problem and len(states["baseline"].failures) == 8
    assert "No prompt could be traced" in states["graphs"].problem and len(states["graphs"].failures) == 4
    assert "stage graphs, which has no result" in states["evidence"].problem and run.proof("tiny") is None


def test_a_second_process_is_refused(plan: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with only_writer(tmp_path / "run"), pytest.raises(RequestError, match="Another process is working"):
        Study.load(plan).run(tmp_path / "run")


def test_a_folder_with_something_else_in_it_is_refused(plan: Path, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("Liebe Eltern", "utf-8")
    with pytest.raises(RequestError, match="holds other files and no run"):
        Study.load(plan).run(tmp_path)
    with pytest.raises(RequestError, match="is a file"):
        Study.load(plan).run(tmp_path / "letters.txt")


def test_a_full_disk_is_one_sentence_and_the_study_goes_on_later(plan: Path, found: Run, tmp_path: Path) -> None:
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); "
    script = STUDY.replace("import Study; ", f"import Study; {limit}")
    command = [sys.executable, "-c", script, str(plan), str(tmp_path / "run"), *FINDING]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ALONE)
    assert "ArtifactError: There is no space left for" in done.stderr.splitlines()[-1]
    run = Study.load(plan).run(tmp_path / "run", only=FINDING)
    assert lasting(run.folder) == lasting(found.folder)


def test_ctrl_c_leaves_what_was_done(plan: Path, found: Run, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "graphs" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Study.load(plan).run(tmp_path / "run", only=FINDING, progress=stop)
    manifest = Run(tmp_path / "run").manifest
    assert manifest.behaviours["tiny"]["baseline"].finished and manifest.finished is None
    assert not manifest.behaviours["tiny"]["graphs"].finished
    again = Study.load(plan).run(tmp_path / "run", only=FINDING)
    assert again.manifest.made["graphs"] == 2 and lasting(again.folder) == lasting(found.folder)


def test_progress_tells_of_every_prompt_and_of_the_time_left(plan: Path, tmp_path: Path) -> None:
    told: list[tuple[float, Progress]] = []
    Study.load(plan).run(
        tmp_path / "run", only=["features"], progress=lambda each: told.append((time.monotonic(), each))
    )
    assert [(each.done, each.wanted) for _, each in told] == [(n, 8) for n in range(1, 9)] + [
        (n, 6) for n in range(1, 7)
    ]
    assert all(each.seconds_left is not None for _, each in told) and told[-1][1].seconds_left == 0


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_the_same_plan_runs_on_other_families(family: str, tmp_path: Path) -> None:
    path = write_plan(tmp_path, family)
    folder = write_dictionaries(tmp_path / "dictionaries")
    text = path.read_text("utf-8").replace('"random"', f'"{folder}"\nallow_misfit = true')
    path.write_text(text, "utf-8")
    command = [sys.executable, "-m", "circuitwise", "study", str(path), "-o", str(tmp_path / "run"), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ALONE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing found with them is a finding" in done.stdout
    run = Run.load(tmp_path / "run")
    manifest, states = run.manifest, run.manifest.behaviours["tiny"]
    assert list(states) == list(STAGES) and all(state.finished and not state.failures for state in states.values())
    assert manifest.finished and manifest.misfit
    assert manifest.model == "model" and "dictionaries" in manifest.transcoders
    baseline, proof = run.baseline("tiny", "test"), run.proof("tiny")
    assert baseline is not None and baseline.verdict in ("failed", "undecided")
    assert proof is not None and proof.verdict in ("not shown", "undecided", "refuted")
    before = files(run.folder / "report")
    assert write_report(run) == run.folder / "report/index.html" and files(run.folder / "report") == before
    assert proof.headline in before["report.md"].decode()


def test_two_suites_are_kept_apart_and_their_baselines_together(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    second = (tmp_path / "tiny.toml").read_text("utf-8").replace('name = "tiny"', 'name = "zweite"')
    (tmp_path / "second.toml").write_text(second, "utf-8")
    path.write_text(path.read_text("utf-8").replace('["tiny.toml"]', '["tiny.toml", "second.toml"]'), "utf-8")
    run = Study.load(path).run(tmp_path / "run", only=["baseline"])
    metrics = (run.folder / "data/results/baseline_metrics_test.json").read_text("utf-8")
    assert run.behaviours == ("tiny", "zweite") and '"tiny": {' in metrics and '"zweite": {' in metrics
    plan = read_plan(path)
    with pytest.raises(RequestError, match="same name"):
        Study(replace(plan, suites=plan.suites[:1] * 2)).run(tmp_path / "other", only=["baseline"])


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no run"):
        Run.load(tmp_path)


def test_dictionaries_of_some_layers_alone_take_part(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    path.write_text('layers = "1-2"\n' + path.read_text("utf-8"), "utf-8")
    assert [each.layer for each in Opened(read_plan(path)).replacement.transcoders] == [1, 2]


def test_a_killed_study_comes_to_the_same_bytes_and_repeats_nothing(plan: Path, found: Run, tmp_path: Path) -> None:
    kill(plan, tmp_path / "run", 9, 0.1, list(FINDING))
    assert check_resumed(plan, tmp_path / "run", list(FINDING), whole(found.folder))


def test_a_study_that_was_killed_before_its_first_result_goes_on(plan: Path, tmp_path: Path) -> None:
    for n_written in range(4):  # manifest, plan, the prompts of both splits
        kill_at_write(plan, tmp_path / f"{n_written}", n_written, ["baseline"])
        run = Study.load(plan).run(tmp_path / f"{n_written}", only=["baseline"])
        assert run.manifest.made == {"baseline": 2} and not list(run.folder.rglob("*.partial"))


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_byte(plan: Path, finished: Run, tmp_path: Path) -> None:
    expected, draws = whole(finished.folder), random.Random(0)
    last, met = sum(expected.kept.values()) - 3, Counter[str]()
    for number in range(20):  # random moments, spread over the whole study
        folder, n_results = tmp_path / f"{number}", int((number + draws.uniform(0, 1)) / 20 * last)
        kill(plan, folder, n_results, draws.uniform(0, 0.2), [])
        stage = stage_of(folder)
        met[stage] += check_resumed(plan, folder, [], expected)
    FIGURES.info("of 20 studies, %d were interrupted, in %s", met.total(), dict(met))
    assert met.total() >= 15 and met["interventions"] and met["evidence"] and len(+met) >= 4


@pytest.mark.slow
def test_a_kill_while_a_file_is_written_changes_no_byte(plan: Path, finished: Run, tmp_path: Path) -> None:
    expected, draws = whole(finished.folder), random.Random(0)
    written = kill_at_write(plan, tmp_path / "all", NEVER, [])
    assert whole(tmp_path / "all") == expected
    derived = [number for number, name in enumerate(written) if not name.startswith(".store/")]
    first = {name.split("/")[0]: number for number, name in reversed(list(enumerate(written)))}
    moments = {*first.values(), *draws.sample(derived, 5), derived[-1]}
    for number in sorted(moments):
        kill_at_write(plan, tmp_path / f"{number}", number, [])
        check_resumed(plan, tmp_path / f"{number}", [], expected)
    FIGURES.info("killed at %d of %d writes: %s", len(moments), len(written), [written[each] for each in moments])


@pytest.mark.slow
def test_five_hundred_prompts_take_no_more_memory_than_forty_and_the_time_left_is_right(tmp_path: Path) -> None:
    few, many = watch(tmp_path / "few", 20, 20), watch(tmp_path / "many", 250, 250)
    FIGURES.info("at the most %d MiB with 40 prompts, %d MiB with 500", few.peak >> 20, many.peak >> 20)
    share, later = many.share_right(), many.share_right(after=0.1)
    FIGURES.info("time left right within 2 for %.3f of %.0f s, %.3f after a tenth", share, many.seconds, later)
    FIGURES.info("said by took, stage by stage: %s", many.by_stage())
    assert many.peak - few.peak < 15 << 20
    assert later > 0.95 and share > 0.9
    assert all(done == wanted for done, wanted in many.ends())
    assert {250, len(NEUTRAL)} < {each.wanted for each in many.told if each.stage == "interventions"}


def test_files_name_no_place_of_this_machine(finished: Run, plan: Path) -> None:
    for name, content in files(finished.folder).items():
        if name != "plan.toml":  # holds what the plan says
            assert str(plan.parent).encode() not in content, name


def test_results_do_not_depend_on_what_was_drawn_before(plan: Path, finished: Run, tmp_path: Path) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    run = Study.load(plan).run(tmp_path / "run", only=["circuit"])
    kept = lasting(finished.folder)
    assert all(content == kept[name] for name, content in lasting(run.folder).items() if ".store/stage" not in name)
