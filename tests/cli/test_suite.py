"""``circuitwise suite`` makes, checks and shows what the library makes, checks and reads."""

from functools import partial
from pathlib import Path

import pytest

from circuitwise.cli.suite import UNSOUND
from circuitwise.model.loading import load_model
from circuitwise.model.tokens import text_ids
from circuitwise.suites import make_suite, read_suite
from tests import tiny
from tests.cli.words import files, refusal, shown, value
from tests.tinytokenizer import tiny_tokenizer

LINE = '{"prompt": "the cat", "correct_answer": " is", "incorrect_answer": " the", "split": "train"}'
TEST = '{"prompt": "a cat", "correct_answer": " is", "incorrect_answer": " the", "split": "test"}'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ein Modell")
    tiny.hugging_face_model("llama-grouped-tied").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


def written(folder: Path, *lines: str) -> str:
    path = folder / "mine.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return str(path)


def test_make_writes_the_librarys_suite_and_nothing_twice(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "a folder"
    words = ["suite", "make", "arithmetic", "-o", str(folder), "--model", model, "--train", "20", "--test", "8"]
    found = value([*words, "--seed", "7"], capsys)
    assert found["splits"]["train"]["n_items"] == found["splits"]["train"]["n_contrasts"] == 20
    encode = partial(text_ids, load_model(model))
    expected = make_suite("arithmetic", encode, seed=7, n_train=20, n_test=8)
    assert read_suite(found["file"]) == expected
    before = files(folder)
    assert "exists already" in refusal(words, capsys)
    assert files(folder) == before
    assert f"Written to {folder / 'arithmetic.toml'}." in shown([*words, "--seed", "7", "--force"], capsys)
    assert files(folder) == before


def test_check_lists_what_the_tokenizer_finds(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    sound = ["suite", "check", written(tmp_path, LINE, TEST), "--model", model]
    assert value(sound, capsys)["n_equal_answers"] == 2
    assert "is sound for this model. Both answers have equally many tokens in 2 of 2 items." in shown(sound, capsys)
    longer = TEST.replace('"split"', '"contrast_prompt": "a dog", "split"')
    unsound = ["suite", "check", written(tmp_path, LINE, longer), "--model", model]
    (problem,) = value(unsound, capsys, code=UNSOUND)["problems"]
    assert problem.startswith("Line 2 of ") and "a contrast of" in problem
    assert problem in shown(unsound, capsys, code=UNSOUND)


def test_show_needs_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["suite", "show", written(tmp_path, LINE, TEST.replace("}", ', "tags": {"kind": "second"}}'))]
    found = value(words, capsys)
    assert found["splits"]["test"] == {"n_items": 1, "n_groups": 1, "n_contrasts": 0}
    assert found["tags"] == {"kind": {"second": 1}} and len(found["examples"]) == 2
    text = shown(words, capsys)
    assert "'the cat'" in text and "kind: second (1)" in text


def test_what_can_be_mended_is_one_sentence(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert "Line 2 of " in refusal(["suite", "show", written(tmp_path, LINE, "{")], capsys)
    assert "Missing command. See `circuitwise suite --help`." in refusal(["suite"], capsys)
    assert "cannot be read" in refusal(["suite", "check", str(tmp_path / "gone.toml")], capsys)
    assert "no built-in suite “verbs”" in refusal(["suite", "make", "verbs", "-o", str(tmp_path)], capsys)
    odd = ["suite", "make", "arithmetic", "-o", str(tmp_path), "--model", model, "--train", "3"]
    assert "no whole number of minimal pairs" in refusal(odd, capsys)
