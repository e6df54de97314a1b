"""``circuitwise models`` lists what can be opened and what is here."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from circuitwise.cli.app import main
from circuitwise.dictionaries.references import PUBLISHED
from circuitwise.model.architectures import ARCHITECTURES
from circuitwise.model.builtin import SHORT_NAMES
from tests.cli.test_cached import put


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    put(tmp_path, "mntss/clt-131k", "config.yaml")
    put(tmp_path, "org/model", "config.json", "model.safetensors")


def test_everything_with_a_name_is_listed_as_json(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["families"] == sorted(ARCHITECTURES)
    assert [each["name"] for each in found["models"]] == list(SHORT_NAMES)
    assert [(each["name"], each["model"]) for each in found["shipped"]] == [("smollm2", "smollm2")]
    assert {each["name"]: each["reference"] for each in found["sets"]} == {
        name: published.reference for name, published in PUBLISHED.items()
    }
    assert [each["name"] for each in found["sets"] if each["cached"]] == ["gpt-oss-clt"]
    assert found["cached_models"] == [{"name": "org/model", "bytes": 10}]


def test_people_get_the_same_as_tables(capsys: pytest.CaptureFixture[str]):
    assert main(["models"]) == 0
    shown = capsys.readouterr()
    for word in (*ARCHITECTURES, *PUBLISHED, "SmolLM2-135M Q4_1", "org/model"):
        assert word in shown.out
    assert "circuitwise doctor --model" in shown.err


def test_what_fetches_a_model_that_is_not_here_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CIRCUITWISE_CACHE", str(tmp_path))
    assert main(["models"]) == 0
    assert "stories15m is fetched by: mkdir -p" in capsys.readouterr().out


def test_quiet_leaves_the_note_out(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
