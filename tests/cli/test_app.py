"""How the command ends: what a user can mend is one sentence and code 2, a bug keeps its traceback."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from circuitwise.cli.app import main
from tests import tiny
from tests.cli.words import refusal
from tests.tinytokenizer import tiny_tokenizer

COMMANDS = ("doctor", "models", "demo", "trace", "prune", "score", "show", "export", "validate", "compare")


def saved(folder: Path) -> Path:
    """A tiny model that can be opened."""
    tiny.hugging_face_model("llama-grouped-tied", max_position_embeddings=256).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def truncated(folder: Path) -> Path:
    file = saved(folder) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    return folder


def emptied(folder: Path) -> Path:
    folder.mkdir()
    return folder


def program(code: str, *words: str) -> list[str]:
    """A Python process that prepares something and then runs one command line."""
    return [sys.executable, "-c", f"import sys\nfrom circuitwise.cli.app import app, main\n{code}", *words]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CIRCUITWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


BAD_MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a path that is not there": (lambda folder: folder / "gone", r"There is no model “.*gone”"),
    "a name the hub does not have here": (lambda _: "org/unknown", r"“org/unknown”.*(cache|hub)"),
    "a folder without config": (lambda folder: emptied(folder / "große Mühle"), r"große Mühle has no config\.json"),
    "a file that is no GGUF": (lambda folder: written(folder / "ein Tier.gguf", b"something else"), r"ein Tier\.gguf"),
    "a truncated GGUF": (lambda folder: written(folder / "cut.gguf", b"GGUF\3\0\0\0"), r"cut\.gguf is truncated"),
    "an unknown family": (
        lambda folder: written(folder / "new/config.json", b'{"model_type": "bert"}').parent,
        r"“bert” are not known yet",
    ),
    "a config that is no JSON": (lambda folder: written(folder / "bad/config.json", b"{").parent, r"config\.json"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
@pytest.mark.parametrize("command", ["demo", "doctor"])
def test_a_model_that_cannot_be_opened_is_one_sentence(
    command: str, case: str, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
):
    make, sentence = BAD_MODELS[case]
    name = str(make(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    assert re.search(sentence, refusal([command, "--model", name], capsys))
    assert sorted(tmp_path.rglob("*")) == before and not cache.exists()


def test_a_truncated_weight_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    sentence = refusal(["demo", "--model", str(truncated(tmp_path / "cut"))], capsys)
    assert "model.safetensors is truncated or damaged" in sentence


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_one_sentence(prompt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["trace", prompt, "--model", str(saved(tmp_path / "model")), "--transcoders", "random"]
    assert refusal(words, capsys).startswith("The prompt is empty.")


def test_a_prompt_that_is_too_long_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["trace", "a b " * 100, "--model", str(saved(tmp_path / "model")), "--transcoders", "random"]
    assert "was made for at most 256" in refusal(words, capsys)


def test_an_unknown_set_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = str(saved(tmp_path / "model"))
    for name, sentence in (("no such set", "neither a folder"), ("org/unknown", "cannot be told")):
        assert sentence in refusal(["doctor", "--model", model, "--transcoders", name], capsys)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gone"], r"No such command 'gone'\. See `circuitwise --help`\."),
        (["--gone"], r"No such option: --gone\. See `circuitwise --help`\."),
        (["models", "--gone"], r"No such option: --gone.*\. See `circuitwise models --help`\."),
        (["doctor", "--tokens", "0"], r"--tokens.*See `circuitwise doctor --help`\."),
        (["doctor", "--rows", "many"], r"--rows.*See `circuitwise doctor --help`\."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert re.search(sentence, refusal(words, capsys))


def test_with_json_an_error_is_json_too(capsys: pytest.CaptureFixture[str]):
    for words, kind in ((["demo", "--model", "/no/where"], "ModelError"), (["models", "--gone"], "UsageError")):
        assert main([*words, "--json"]) == 2
        shown = capsys.readouterr()
        found = json.loads(shown.out)
        assert found["kind"] == kind and found["error"].endswith(".") and shown.err == ""


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_help_tells_what_it_is_and_how_to_start(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "Find the circuit behind a behaviour" in shown and "prompts -> model -> features" in shown
    assert "First steps:\n    circuitwise doctor" in shown
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_and_the_two_shared_options(command: str, capsys: pytest.CaptureFixture[str]):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Examples:\n    circuitwise {command}" in shown
    assert "--json" in shown and "--quiet" in shown


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert re.match(r"circuitwise (\d+\.\d+|\(not installed)", capsys.readouterr().out)


def test_a_bug_keeps_its_traceback():
    bug = program("app.command('stumble')(lambda: 1 / 0)\nsys.exit(main(['stumble']))")
    ended = subprocess.run(bug, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr and "ZeroDivisionError" in ended.stderr


def test_an_interruption_is_one_sentence_and_code_130():
    code = "import time\napp.command('wait')(lambda: (print('ready', flush=True), time.sleep(60)))\n"
    command = program(f"{code}sys.exit(main(['wait']))")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None and waiting.stderr is not None
        assert waiting.stdout.readline() == "ready\n"
        time.sleep(0.2)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(30) == 130
        assert waiting.stderr.read() == "Interrupted: nothing more was done.\n"


def test_the_module_runs_as_a_program_and_is_silent_when_its_reader_leaves():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        ended = subprocess.run(
            [sys.executable, "-m", "circuitwise", "models", "--quiet"], stdout=closed, stderr=subprocess.PIPE, text=True
        )
    assert ended.stderr == ""


def test_letters_that_the_terminal_cannot_show_are_no_bug():
    ended = subprocess.run(
        [sys.executable, "-m", "circuitwise", "demo", "--model", "/keine/große Mühle"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"There is no model") and ended.stderr.count(b"\n") == 1
