"""``circuitwise survey`` writes what the library finds, and ``circuitwise feature`` shows it."""

import json
from pathlib import Path

import pytest

from circuitwise.features.saving import load_survey
from circuitwise.model.loading import load_model
from circuitwise.training.packing import pack
from tests import tiny
from tests.cli.words import UMLAUTS, files, refusal, shown, value
from tests.tinytokenizer import tiny_tokenizer
from tests.training.material import some_texts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ein Modell") / UMLAUTS
    tiny.hugging_face_model("llama-grouped-tied").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("Texte") / "Wörter.txt"
    path.write_text("\n".join(some_texts()), "utf-8")
    return str(path)


@pytest.fixture
def start(model: str, text: str) -> list[str]:
    """A command line that surveys drawn dictionaries on a short text."""
    words = ["survey", "--transcoders", "random", "--model", model, "--text", text, "--context", "16"]
    return [
        *words,
        "--tokens",
        "400",
        "--strongest",
        "3",
        "--sampled",
        "5",
        "--device",
        "cpu",
        "--precision",
        "float32",
    ]


def test_the_survey_is_what_the_library_finds(
    start: list[str], model: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    found = value([*start, "-o", str(tmp_path / "s")], capsys)
    survey = load_survey(tmp_path / "s")
    packed = pack(load_model(model), text, context=16, seed=0, path=tmp_path / "text")
    every = {tuple(row) for row in packed.ids.tolist()}
    assert found["tokens"] == survey.n_positions == 25 * 15
    assert {tuple(row) for row in survey.sequences.tolist()} <= every
    assert [layer["layer"] for layer in found["layers"]] == [0, 1, 2]
    silent = [int((survey.layers[number].n_firings == 0).sum()) for number in range(3)]
    assert [layer["silent"] for layer in found["layers"]] == silent


def test_the_same_command_writes_the_same_tables(start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("one", "two"):
        assert "features on 375 tokens" in shown([*start, "-o", str(tmp_path / name)], capsys)
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert one.keys() == two.keys()
    assert all(one[name] == two[name] for name in one if name != "text.parquet")  # that one says when it was made


def test_wrong_requests_are_one_sentence(start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("")
    assert "is a file" in refusal([*start, "-o", str(tmp_path / "file")], capsys)
    out = ["-o", str(tmp_path / "s")]
    assert "bfloat16 or float32" in refusal([*start, *out, "--precision", "int8"], capsys)
    assert "At least one" in refusal([*start, *out, "--strongest", "0"], capsys)
    assert "There is no text" in refusal([*start, *out, "--text", str(tmp_path / "no.txt")], capsys)
    assert not (tmp_path / "s").exists()


@pytest.fixture
def survey(start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    shown([*start, "-o", str(tmp_path / "survey")], capsys)
    return str(tmp_path / "survey")


def test_a_feature_is_shown_from_its_survey_alone(survey: str, capsys: pytest.CaptureFixture[str]):
    profile = value(["feature", "L1F7", "--survey", survey], capsys)
    assert profile["feature"] == "L1F7" and profile["n_positions"] == 375
    assert len(profile["promoted"]) == 6 and profile["promoted"][0]["value"] is None
    text = shown(["feature", "L1F7", "--survey", survey], capsys)
    assert text.startswith("L1F7  ") and "Promotes" in text
    if profile["n_firings"]:
        assert "«" in text and "Activations" in text


def test_a_feature_is_shown_from_its_dictionaries_alone_and_from_both(
    survey: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["feature", "L1F7", "--transcoders", "random", "--model", model]
    alone = value(words, capsys)
    assert len(alone["promoted"]) == 10 and alone["promoted"][0]["value"] > 0 and alone["strongest"] == []
    assert "No survey was given" in shown(words, capsys)
    outputs = ["--html", str(tmp_path / "f.html"), "--tracer", str(tmp_path / "t"), "--neuronpedia"]
    both = value([*words, "--survey", survey, *outputs, str(tmp_path / "n.json")], capsys)
    assert both["promoted"] == alone["promoted"] and both["n_positions"] == 375
    assert len(both["written"]) == 3
    assert "L1F7" in (tmp_path / "f.html").read_text("utf-8")
    assert json.loads((tmp_path / "t" / "43.json").read_text())["index"] == 7
    assert json.loads((tmp_path / "n.json").read_text())["index"] == "7"


def test_a_feature_that_is_not_there_is_one_sentence(survey: str, model: str, capsys: pytest.CaptureFixture[str]):
    assert "layer 1 has the features 0 to 1023" in refusal(["feature", "L1F4096", "--survey", survey], capsys)
    assert "knows no L9F0" in refusal(["feature", "L9F0", "--survey", survey], capsys)
    assert "is not a feature" in refusal(["feature", "twelve", "--survey", survey], capsys)
    assert "No dictionaries are shipped for the model" in refusal(["feature", "L1F0", "--model", model], capsys)
    words = ["feature", "L1F4096", "--transcoders", "random", "--model", model]
    assert "layer 1 has the features 0 to 1023" in refusal(words, capsys)
    assert "--transcoders" in refusal(["feature", "L1F7", "--survey", survey, "--neuronpedia", "x.json"], capsys)
