"""``circuitwise check`` passes where everything works, and notices what does not."""

import json
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import AutoTokenizer

from circuitwise.attribution.attribute import Budget, attribute
from circuitwise.cli import checks
from circuitwise.cli.app import main
from circuitwise.cli.cached import scan_cache
from circuitwise.cli.check import FAILED, GATES, PROMPTS
from circuitwise.cli.opening import NO_FINDING
from circuitwise.errors import DictionaryError
from circuitwise.graph import Graph
from circuitwise.model.builtin import find_builtin
from circuitwise.model.loading import load_model
from circuitwise.replacement import Replacement
from circuitwise.suites import BEHAVIOURS
from tests import tiny
from tests.cli.words import refusal
from tests.study.material import write_dictionaries, write_model

PROMPT = ["--prompt", "the cat is"]
EACH = ("trace", "scores", "complete", "save and load")
"""What is checked of every prompt."""
ONCE = ("versions", "model", "dictionaries", "intervention", "no-op", "memory")
GEMMA = "google/gemma-2-2b"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("ein Modell") / "große Mühle"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ein Ordner") / "report.json"


@pytest.fixture(scope="module")
def ran(model: str, file: Path) -> tuple[str, str]:
    """What a check of two prompts on the tiny model shows: output and errors."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        assert main(["check", "--model", model, *PROMPT, "--prompt", "a cat", "--output", str(file)]) == FAILED
    return out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def report(ran: tuple[str, str], file: Path) -> Any:
    """What it writes."""
    assert ran[0]
    return json.loads(file.read_text("utf-8"))


def told(words: list[str], capsys: pytest.CaptureFixture[str], *, code: int) -> Any:
    """The report that a command line writes as JSON."""
    capsys.readouterr()
    assert main(["check", *words, "--json"]) == code
    found = capsys.readouterr()
    assert found.err == ""
    return json.loads(found.out)


def failures(report: Mapping[str, Any]) -> dict[str, str]:
    """The checks that failed, with what they say."""
    made = [*report["results"], *report["ws2_results"]]
    return {each["name"]: each["sentence"] for each in made if not each["passed"]}


def traced(replacement: Replacement) -> Graph:
    return attribute(replacement, tiny.tokens_of(6), budget=Budget(rows=30))


def test_a_tokenizer_that_reads_no_suite_is_all_that_fails_on_a_tiny_model(report: Any):
    failed = failures(report)
    assert failed and failed.keys() <= {f"suite {name}" for name in BEHAVIOURS}
    assert all(sentence.endswith(".") for sentence in failed.values()) and "tokenizer" in failed["suite grammar"]
    assert report["overall_success"] is False
    assert report["gates"] == {gate: gate != "integration" for gate in GATES}
    assert sorted(each["name"] for each in report["results"]) == sorted([*EACH, *EACH, *ONCE])
    assert [each["name"] for each in report["ws2_results"]] == [f"suite {name}" for name in BEHAVIOURS]
    assert report["model"] == "große Mühle" and report["transcoders"].startswith("random-")
    assert report["versions"]["torch"] == torch.__version__ and report["peak_bytes"] > 100 << 20
    assert datetime.fromisoformat(report["timestamp"]).tzinfo == UTC


def test_what_was_drawn_and_what_is_open_is_said(report: Any):
    remarks = [(each["name"], each["remark"]) for each in report["results"] if each["remark"] is not None]
    assert [name for name, _ in remarks] == ["dictionaries", "trace", "trace"]
    assert remarks[0][1] == NO_FINDING
    assert all(said.startswith("This prompt has no determinate next token: the likeliest, ") for _, said in remarks[1:])


def test_people_read_gate_by_gate_what_was_found(ran: tuple[str, str], report: Any):
    out, err = ran
    assert err.startswith("Written to ") and err.count("\n") == 1
    questions = [line for line in out.splitlines() if line.endswith((" yes", " NO"))]
    assert questions == [f"{GATES[gate]} {'yes' if passed else 'NO'}" for gate, passed in report["gates"].items()]
    n_failed, made = len(failures(report)), [*report["results"], *report["ws2_results"]]
    for each in made:
        title = each["name"] if each["prompt"] is None else f"{each['name']} “{each['prompt']}”"
        assert f"  {'passed' if each['passed'] else 'FAILED'}  {title}: {each['sentence']}\n" in out
    assert f"\n{n_failed} of {len(made)} checks failed, in " in out


def test_dictionaries_that_do_not_fit_are_noticed(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = str(write_dictionaries(tmp_path / "other"))
    failed = failures(told(["--model", model, *PROMPT, "--transcoders", other], capsys, code=FAILED))
    assert "median fraction of variance unexplained is" in failed["dictionaries"]
    assert not failed.keys() & {*EACH, "intervention", "no-op"}, "a graph is exact for whatever dictionaries there are"
    deeper = write_dictionaries(tmp_path / "deeper", n_layers=5)
    with pytest.raises(DictionaryError, match="layers 0 to 2"):
        checks.check_dictionaries(load_model(model), str(deeper))


def test_a_damaged_model_fails_and_takes_what_needs_it_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    weights, file = write_model(tmp_path / "model") / "model.safetensors", tmp_path / "ein Bericht.json"
    weights.write_bytes(weights.read_bytes()[:5000])
    file.write_text("an older report", "utf-8")
    words = ["check", "--model", str(weights.parent), *PROMPT, "--output", str(file)]
    capsys.readouterr()
    assert main([*words, "--json"]) == FAILED
    shown, report = capsys.readouterr(), json.loads(file.read_text("utf-8"))
    assert shown.out == file.read_text("utf-8") and shown.err == ""
    assert sorted(tmp_path.iterdir()) == sorted([file, weights.parent])
    failed = failures(report)
    assert "model.safetensors is truncated or damaged" in failed["model"]
    assert {each["name"] for each in report["results"] if each["passed"]} == {"versions", "memory"}
    for name in (*EACH, "dictionaries", "intervention", "no-op", *(f"suite {each}" for each in BEHAVIOURS)):
        assert failed[name].startswith("This could not be checked: there is no ")
    assert report["gates"] == {gate: gate == "installation" for gate in GATES}
    assert main([*words, "--quiet"]) == FAILED
    shown = capsys.readouterr()
    assert "\n  FAILED  model: " in shown.out and shown.err == ""


def test_an_edge_that_is_not_what_the_model_does_is_noticed():
    replacement = tiny.tiny_replacement()
    graph = traced(replacement)
    assert checks.check_complete(graph).passed and checks.check_intervention(replacement, graph).passed
    weight = graph.edges.weight.clone()
    weight[weight.abs().argmax()] *= 1.01
    wrong = replace(graph, edges=replace(graph.edges, weight=weight))
    assert not checks.check_complete(wrong).passed
    wrong = replace(graph, edges=replace(graph.edges, weight=1.01 * graph.edges.weight))
    assert not checks.check_intervention(replacement, wrong).passed
    wrong = replace(graph, edges=replace(graph.edges, weight=torch.zeros_like(weight)))
    assert not checks.check_scores(wrong).passed, "nothing reaches a target"


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "qwen3", "gemma2"])
def test_graphs_of_other_families_pass(family: str):
    replacement = tiny.tiny_replacement(family, "cross-layer skip")
    graph = traced(replacement)
    for found in (
        checks.check_complete(graph),
        checks.check_saving(graph),
        checks.check_intervention(replacement, graph),
        checks.check_no_op(replacement, graph),
    ):
        assert found.passed, found.sentence


def test_what_was_typed_wrong_is_one_sentence_and_checks_nothing(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert refusal(["check", "--prompt", " "], capsys).startswith("The prompt is empty.")
    lost = ["check", "--model", model, "--output"]
    assert "there is no folder" in refusal([*lost, str(tmp_path / "gone/report.json")], capsys)
    assert "is a folder" in refusal([*lost, str(tmp_path)], capsys)
    assert "No such option: --rows" in refusal(["check", "--rows", "3"], capsys)


@pytest.mark.weights
def test_everything_works_on_the_built_in_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    report = told(["--output", str(tmp_path / "validation.json")], capsys, code=0)
    assert report["overall_success"] is True and failures(report) == {} and all(report["gates"].values())
    assert json.loads((tmp_path / "validation.json").read_text("utf-8")) == report
    remarks = {each["prompt"]: each["remark"] for each in report["results"] if each["name"] == "trace"}
    assert tuple(remarks) == PROMPTS and remarks[PROMPTS[0]] is None
    assert all("no determinate next token" in remarks[prompt] for prompt in PROMPTS[1:])


@pytest.mark.weights
def test_everything_works_on_a_random_model_that_reads_real_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    packed = find_builtin("smollm2")
    tokenizer = cast("Any", AutoTokenizer).from_pretrained(packed.parent, gguf_file=packed.name)
    tokenizer.save_pretrained(tmp_path)
    tiny.hugging_face_model("llama-grouped-tied", vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    report = told(["--model", str(tmp_path), "--prompt", PROMPTS[0]], capsys, code=0)
    assert report["overall_success"] is True and NO_FINDING in [each["remark"] for each in report["results"]]


@pytest.mark.gpu
def test_everything_works_on_gemma_with_its_published_dictionaries(capsys: pytest.CaptureFixture[str]):
    cache = scan_cache()
    if GEMMA not in {each.name for each in cache.models} or not cache.holds("gemma"):
        pytest.skip(f"{GEMMA} and its dictionaries are not in the hub's cache")
    report = told(["--model", GEMMA, "--transcoders", "gemma"], capsys, code=0)
    assert report["overall_success"] is True
    (opened,) = [each["sentence"] for each in report["results"] if each["name"] == "model"]
    assert "on cuda" in opened
