"""``circuitwise quality`` shows what the library measures, and refuses what makes no sense."""

from pathlib import Path

import pandas
import pytest

from circuitwise.dictionaries.activations import BatchTopK
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.dictionaries.native import save_transcoders
from circuitwise.model.loading import load_model
from circuitwise.quality import Cut, Quality, QualityBudget, measure_quality
from circuitwise.replacement import Replacement
from circuitwise.training.recipe import Reading, Recipe
from circuitwise.training.train import train
from tests import tiny
from tests.cli.words import UMLAUTS, refusal, shown, value
from tests.tinytokenizer import tiny_tokenizer
from tests.training.material import some_texts


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a text and a trained set."""
    folder = tmp_path_factory.mktemp("Messung") / UMLAUTS
    tiny.hugging_face_model("llama-grouped-tied").save_pretrained(folder / "model")
    tiny_tokenizer().save_pretrained(folder / "model")
    (folder / "Wörter.txt").write_text("\n".join(some_texts()), "utf-8")
    recipe = Recipe(
        sparsity=BatchTopK(4), width=64, n_tokens=2000, batch=64, reading=Reading(context=16, pool_bytes=500_000)
    )
    train(load_model(str(folder / "model"), device="cpu"), folder / "Wörter.txt", recipe, folder / "trained")
    return folder


@pytest.fixture
def start(place: Path) -> list[str]:
    """A command line that measures little."""
    words = ["quality", str(place / "trained"), "--text", str(place / "Wörter.txt"), "--model", str(place / "model")]
    return [*words, "--context", "16", "--tokens", "300", "--spliced", "0.1k", "--prompts", "0", "--device", "cpu"]


def test_it_shows_what_the_library_measures(start: list[str], place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = Quality.from_json(value([*start, "--layers", "0,2"], capsys))
    replacement = Replacement(load_model(str(place / "model"), device="cpu"), load_transcoders(str(place / "trained")))
    how = QualityBudget(context=16, tokens=300, spliced=100, prompts=Cut(number=0), layers=(0, 2))
    assert found == measure_quality(replacement, place / "Wörter.txt", how=how)
    assert found.n_trained == 31 * 64 and found.graphs is None and [row.layer for row in found.layers] == [0, 2]


def test_the_folder_of_the_set_is_as_good_as_that_of_the_training(
    start: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, part = value(start, capsys), value([start[0], str(place / "trained" / "set"), *start[2:]], capsys)
    assert whole["layers"] == part["layers"] and whole["n_trained"] == part["n_trained"] == 31 * 64


def test_people_see_a_table_and_sentences(start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("the cat is on\n\na dog is on the\nthe mat \n", "utf-8")
    told = shown([*start, "--prompts", str(prompts), "--rows", "50"], capsys)
    for word in ("recovered", "all at once", "trained on 1,984 tokens", "300 tokens of Wörter.txt", "nats a token"):
        assert word in told
    assert "3 graphs of at most 50 features: replacement 0." in told
    assert max(len(line) for line in told.splitlines() if "  0  " in line[:10] or "all at once" in line) <= 120


def test_the_table_is_written_for_the_documentation(start: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown([*start, "--markdown"], capsys).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 7 and len({line.count("|") for line in table}) == 1
    assert table[0].startswith("| layer | features | FVU |") and table[1].startswith("| --- | ---: |")


def test_figure_and_table_are_files(start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot, table = tmp_path / "große Güte.svg", tmp_path / "rows.csv"
    found = value([*start, "--plot", str(plot), "--csv", str(table)], capsys)
    assert plot.read_text("utf-8").startswith("<?xml")
    assert pandas.read_csv(table)["fvu"].tolist() == pytest.approx([row["fvu"] for row in found["layers"]])
    assert "exists already" in refusal([*start, "--plot", str(plot)], capsys)
    value([*start, "--plot", str(plot), "--force"], capsys)


def test_a_set_for_another_model_is_refused_unless_one_insists(
    start: list[str], place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(str(place / "model"), device="cpu")
    save_transcoders(tiny.tiny_transcoders(model), tmp_path / "foreign")
    words = [start[0], str(tmp_path / "foreign"), *start[2:]]
    assert "does not reconstruct" in refusal(words, capsys)
    assert "because you asked" in shown([*words, "--allow-misfit"], capsys)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--text", "nowhere.txt"], "There is no text at nowhere.txt"),
        (["--prompts", "nowhere.txt"], "“nowhere.txt” is neither a number of prompts nor a file of prompts"),
        (["--prompts", "4000", "--context", "24"], "too few for 4000 prompts"),
        (["--tokens", "many"], "“many” is no number of tokens"),
        (["--precision", "int8"], "cannot be computed in “int8”"),
        (["--layers", "9"], "has no dictionary for layer 9"),
        (["--plot", "quality.doc"], "cannot be written as quality.doc"),
        (["--context", "900"], "Sequences of 900 tokens do not fit"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    start: list[str], more: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refusal([*start, *more], capsys)


def test_a_set_that_is_not_there_is_one_sentence(start: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no folder" in refusal([start[0], "./nowhere", *start[2:]], capsys)
