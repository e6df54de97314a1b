"""A survey's labels stand on the nodes that ``show`` and ``export`` name."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circuitwise.cli.labelled import features_of
from circuitwise.features import Examples, save_survey, survey
from circuitwise.graph import save_graph
from circuitwise.model.model import Model
from tests import tiny
from tests.cli.words import refusal, shown, value
from tests.graphs import computed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A graph, and a survey of dictionaries that are called as its are."""
    graph = computed(rows=40)
    model: Model = tiny.tiny_model()
    held = tiny.tiny_replacement()
    named = replace(held, transcoders=replace(held.transcoders, name=graph.transcoders))
    ids = torch.randint(3, model.d_vocab, (20, 16), generator=torch.Generator().manual_seed(0))
    save_survey(survey(named, ids, Examples(strongest=2, sampled=2), precision="float32"), tmp_path / "survey")
    save_graph(graph, tmp_path / "graph")
    return tmp_path


def test_show_names_features_with_their_labels(folder: Path, capsys: pytest.CaptureFixture[str]):
    words = ["show", str(folder / "graph")]
    assert "promotes" not in shown(words, capsys)
    assert "promotes “" in shown([*words, "--survey", str(folder / "survey")], capsys)


def test_export_writes_labels_and_examples(folder: Path, capsys: pytest.CaptureFixture[str]):
    words = ["export", str(folder / "graph"), "-o", str(folder / "g.json"), "--survey", str(folder / "survey")]
    value([*words, "--features", str(folder / "features")], capsys)
    nodes = json.loads((folder / "g.json").read_text())["nodes"]
    features = [node for node in nodes if node["feature_type"] == "cross layer transcoder"]
    assert features and all("promotes “" in node["clerp"] for node in features)
    written = {path.stem for path in (folder / "features").iterdir()}
    assert written == {str(node["feature"]) for node in features}


def test_labels_that_were_there_stay(folder: Path, capsys: pytest.CaptureFixture[str]):
    graph = computed(rows=40)
    number, _ = features_of(graph)[0]
    save_graph(replace(graph, labels={number: "mine"}), folder / "own")
    words = ["export", str(folder / "own"), "-o", str(folder / "own.json"), "--survey", str(folder / "survey")]
    value(words, capsys)
    labels = [node["clerp"] for node in json.loads((folder / "own.json").read_text())["nodes"]]
    assert labels.count("mine") == 1 and any("promotes “" in label for label in labels)


def test_a_survey_of_other_dictionaries_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]):
    save_graph(replace(computed(rows=40), transcoders="others"), folder / "others")
    words = ["show", str(folder / "others"), "--survey", str(folder / "survey")]
    assert "but" in refusal(words, capsys) and "“others”" in refusal(words, capsys)
    words = ["export", str(folder / "graph"), "-o", str(folder / "x.json"), "--features", str(folder / "f")]
    assert "Name it with --survey" in refusal(words, capsys)
