"""``circuitwise study`` carries out plans, goes on where it was, and says what is wrong with a plan in one sentence."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from circuitwise.study.run import Run
from circuitwise.study.study import Study
from tests.cli.words import refusal, shown, value
from tests.study.killing import lasting
from tests.study.material import ALONE, carry_out, write_plan, write_suite_file


def line(**changed: object) -> bytes:
    """A line of a file of prompts."""
    item = {"prompt": "a", "correct_answer": " is", "incorrect_answer": " 7", "split": "train", "group": "g"}
    return json.dumps({**item, **changed}).encode() + b"\n"


STAGES = ["--stage", "baseline", "--stage", "features"]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plan(tmp_path_factory.mktemp("ein Plan"))


@pytest.fixture(scope="module")
def run(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "größer"
    carry_out(plan, folder)
    return folder


def test_the_files_are_those_of_the_library(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = value(["study", str(plan), "-o", str(tmp_path / "a"), *STAGES], capsys)
    Study.load(plan).run(tmp_path / "b", only=["baseline", "features"])
    assert lasting(tmp_path / "a") == lasting(tmp_path / "b")
    assert found["name"] == "small" and found["behaviours"] == ["tiny"] and found["report"] is None
    assert found["results"]["tiny"]["baseline"]["test"]["n_prompts"] == 6


def test_the_report_is_a_stage_too(plan: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = value(["study", str(plan), "-o", str(run), "--stage", "report"], capsys)
    assert Path(found["report"]).read_text("utf-8").startswith("<!") and found["finished"]


def test_run_is_what_a_plan_means_by_itself(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(plan), "-o", str(tmp_path / "a"), "--stage", "baseline", "--quiet"]
    first = shown(["study", *words], capsys)
    assert first == shown(["study", "run", *words], capsys)
    assert "tiny" in first and "All of it lies in" in first and "undecided" in first


def test_options_change_the_plan(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["study", str(plan), "-o", str(tmp_path / "a"), "--stage", "features", "--layers", "1-2"]
    value([*words, "--n-prompts", "2"], capsys)
    found = Run(tmp_path / "a")
    assert found.plan.n_prompts == 2 and found.plan.layers == (1, 2)
    features = found.features("tiny", "train")
    assert features is not None and set(features.layers) == {1, 2} and features.n_prompts == 2


def test_a_file_of_prompts_is_a_study_of_them(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = write_suite_file(tmp_path)
    words = ["study", str(suite), "--model", str(plan.parent / "model"), "--transcoders", "random"]
    found = value([*words, "-o", str(tmp_path / "run"), "--stage", "baseline"], capsys)
    assert found["name"] == "tiny" and found["results"]["tiny"]["baseline"]["train"]["n_prompts"] == 8


def test_a_dry_run_opens_nothing(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["study", "run", str(plan), "-o", str(tmp_path / "run"), "--dry-run"]
    found = value(words, capsys)
    assert found["suites"] == {"tiny.toml": {"train": 8, "test": 6}} and found["bytes"] > 0
    assert set(found["seconds"]) > {"baseline", "evidence"} and not (tmp_path / "run").exists()
    told = shown([*words, "--quiet"], capsys)
    assert "8 prompts to find a circuit on, 6 to test it on" in told and "Memory:" in told


def test_runs_are_listed_and_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (listed,) = value(["study", "list", str(run.parent)], capsys)
    assert listed["name"] == "small" and listed["finished"]
    assert "finished" in shown(["study", "list", str(run.parent)], capsys)
    states = value(["study", "status", str(run)], capsys)["stages"]["tiny"]
    assert all(state["state"] == "finished" for state in states.values()) and states["graphs"]["done"] == 4
    assert "interventions" in shown(["study", "status", str(run)], capsys)
    results = value(["study", "show", str(run)], capsys)["results"]["tiny"]
    assert results["graphs"]["n"] == 4 and len(results["circuit"]) == 6 and results["evidence"]["headline"]
    told = shown(["study", "show", str(run)], capsys)
    assert results["evidence"]["headline"] in told and "kept by it alone" in told


def test_what_failed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_plan(tmp_path)
    suite = tmp_path / "tiny.toml"
    suite.write_text(suite.read_text("utf-8").replace('prompt = "n b a cat"', 'prompt = "n b a cat cat"', 1), "utf-8")
    told = shown(["study", str(path), "-o", str(tmp_path / "run"), "--stage", "baseline", "--quiet"], capsys)
    assert "1 prompts failed" in told
    assert "'n b a cat cat'" in shown(["study", "status", str(tmp_path / "run")], capsys)


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["captals"], "neither a file “captals” nor a built-in suite"),
        (["gone.toml"], "gone.toml cannot be read"),
        (["{plan}", "--stage", "basline"], "There is no stage “basline”. Choose baseline"),
        (["{plan}", "--layers", "5-3"], "names no layers"),
        (["{plan}", "--n-prompts", "0"], "0 prompts are none"),
        (["{plan}", "-o", "{plan}"], "is a file, but a run is a folder"),
        (["status", "{folder}"], "holds no run"),
        (["list", "gone"], "There is no folder gone"),
        (["{plan}", "--dry-run", "--transcoders", "no/such", "--model", "no-such-model"], "no-such-model"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], about: str, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.format(plan=plan, folder=plan.parent) for word in words]
    assert about in refusal(["study", *filled], capsys)


FAULTS = {
    "an unknown key.toml": (b'suites = ["capitals"]\nmodle = "smollm2"\n', 2, "“modle”, which means nothing here"),
    "a wrong type.toml": (b'suites = ["capitals"]\r\n[seeds]\r\ntorch = "x"\r\n', 3, "a whole number from 0"),
    "a missing file.toml": (b'model = "x"\nsuites = ["gone.jsonl"]\n', 2, "there is no file"),
    "no suite.toml": (b"", 1, "has no suite"),
    "no stage.toml": (b'suites = ["capitals"]\nstages = ["prove"]\n', 2, "one of “baseline”"),
    "no TOML.toml": (b'suites = ["capitals"\n\nmodel =', 3, "is not valid TOML"),
    "Latin.toml": ('suites = ["capitals"]\nname = "größte"\n'.encode("latin-1"), 2, "is not UTF-8"),
    "a picture.toml": (bytes(range(128, 256)), 1, "is not UTF-8"),
    "a repeated prompt.jsonl": (line() + line(split="test", group="b", prompt="b") + line(), 3, "repeats the prompt"),
    "equal answers.jsonl": (line() + line(correct_answer=" 7"), 2, "the same answer twice"),
    "an empty split.jsonl": (line(), 1, "has no item of the split 'test'"),
    "another key.jsonl": (b"\xef\xbb\xbf" + line() + line(promt="x"), 2, "“promt”, which means nothing here"),
    "another type.jsonl": (line() + line(prompt=3), 2, "has no text “prompt”, but 3"),
    "no JSON.jsonl": (line() + b"{\n", 2, "is no JSON object"),
    "nothing.jsonl": (b"\r\n\r\n", 1, "is no item, nor is any other"),
    "slots.toml": (b'[[templates]]\ntext = "a {b}"\n[[items]]\nslots = {c = "d"}\n', 4, "Name the same slots"),
    "no items.toml": (b'name = "x"\nfiles = []\n', 2, "begins a suite without items"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_file_is_one_sentence_with_its_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, number, about = FAULTS[name]
    path = tmp_path / f"größer als {name}"
    path.write_bytes(content)
    is_suite = path.suffix == ".jsonl" or b"templates" in content or b"files" in content
    told = [refusal(["study", str(path), "-o", str(tmp_path / "run"), "--dry-run"], capsys)]
    if is_suite:
        told.append(refusal(["suite", "check", str(path)], capsys))
    for sentence in told:
        assert f"Line {number} of {path}" in sentence and about in sentence


def without_report(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in lasting(folder).items() if not name.startswith("report/")}


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(plan: Path, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "circuitwise", "study", str(plan), "-o", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ALONE)
    while process.poll() is None and not (folder / "data/results/baseline_metrics_test.json").is_file():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130 and "Give the same command again to go on" in told and "Traceback" not in told
    carry_out(plan, folder)
    assert without_report(folder) == without_report(run)


def test_a_dry_run_of_a_model_that_is_not_here_says_where_its_figures_come_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["study", "capitals", "--dry-run", "--model", "Qwen/Qwen3-4B", "--transcoders", "qwen3-4b"]
    assert value(words, capsys)["from_table"] == {"model": True, "transcoders": True}
    told = shown([*words, "--quiet"], capsys)
    assert "table of published models" in told and "To be downloaded: 8.0 GB for the model and 60.4 GB" in told
