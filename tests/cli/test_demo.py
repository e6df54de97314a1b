"""``circuitwise demo`` shows what a model predicts, and calls random features random."""

import json

import pytest
import torch

from circuitwise.cli.app import main
from circuitwise.cli.demo import FIRING, N_FEATURES
from circuitwise.dictionaries.drawn import random_transcoders
from circuitwise.model.forward import run
from circuitwise.model.loading import load_model
from circuitwise.model.tokens import pad, tokenize
from circuitwise.replacement import measure_fit
from circuitwise.vocabulary import Site
from tests.cli.test_app import saved


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(saved(tmp_path_factory.mktemp("ein Modell") / "große Mühle"))


def shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()  # what making the model said
    assert main(words) == 0
    found = capsys.readouterr()
    assert found.err == ""
    return found.out


@torch.no_grad()
def test_probabilities_and_features_are_those_of_an_explicit_calculation(
    model: str, capsys: pytest.CaptureFixture[str]
):
    prompts = ["the cat is", "a b"]
    found = json.loads(
        shown(["demo", "--model", model, "--json", "--prompt", prompts[0], "--prompt", prompts[1]], capsys)
    )
    opened = load_model(model)
    assert found["model"]["n_layers"] == 3 and found["model"]["title"] == "große Mühle"
    for prompt, prediction in zip(prompts, found["predictions"], strict=True):
        logits = opened.module(input_ids=tokenize(opened, prompt)[None]).logits[0, -1]
        expected = logits.softmax(-1).topk(5).values.tolist()
        assert [each["probability"] for each in prediction["next"]] == pytest.approx(expected, rel=1e-4)
    transcoders = random_transcoders(3, opened.d_model, n_features=N_FEATURES, firing=FIRING)
    assert found["dictionaries"]["median_fvu"] == pytest.approx(measure_fit(opened, transcoders).median_fvu, rel=1e-4)
    site = Site(1, "mlp_in")
    x = run(opened, pad([tokenize(opened, prompts[0])]), read=[site], logits="none").sites[site][0]
    strongest = [each["value"] for each in found["features"] if each["layer"] == 1]
    assert strongest == pytest.approx((x @ transcoders.layers[1].encoder.T).flatten().topk(3).values.tolist(), rel=1e-4)


def test_random_features_are_called_no_findings(model: str, capsys: pytest.CaptureFixture[str]):
    for words in (["--json"], []):
        text = " ".join(shown(["demo", "--model", model, "--prompt", "the cat", *words], capsys).split())
        assert "are no findings" in text
    assert "fraction of variance unexplained" in text


def test_text_that_looks_like_markup_is_shown_as_it_is(model: str, capsys: pytest.CaptureFixture[str]):
    assert "a [bold] b" in shown(["demo", "--model", model, "--prompt", "a [bold] b"], capsys)


@pytest.mark.weights
def test_the_built_in_model_knows_the_capital_of_france(capsys: pytest.CaptureFixture[str]):
    text = shown(["demo"], capsys)
    assert "SmolLM2-135M Q4_1: 30 layers of width 576" in text
    for expected in ("“ Paris” 0.77", "“large” 0.24", "“ are” 0.16", "“ Mary” 0.92"):
        assert expected in text
    words = " ".join(text.split())
    assert "2,048 features a layer for SmolLM2-135M Q4_1" in words and "so this set fits the model" in words
    assert "random" not in text
