"""``circuitwise quantise`` writes a smaller set that opens like any other."""

from pathlib import Path

import pytest
import torch

from circuitwise.dictionaries import load_transcoders, random_transcoders, save_transcoders
from circuitwise.storage import peek_artifact
from tests.cli.words import UMLAUTS, files, refusal, shown, value


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    folder = tmp_path / UMLAUTS / "whole"
    save_transcoders(random_transcoders(3, 32, n_features=200, firing=8), folder)
    return folder


def test_the_smaller_set_is_told_and_is_as_it_is_told(whole: Path, capsys: pytest.CaptureFixture[str]):
    small = whole.with_name("small")
    told = value(["quantise", str(whole), "-o", str(small), "--bits", "5"], capsys)
    assert told["bits"] == 5
    assert told["bytes"] == sum(len(content) for content in files(small).values())
    assert told["weights"] == 3 * 2 * 200 * 32
    before, after = load_transcoders(whole), load_transcoders(small)
    changed = sum((one.encoder - other.encoder).square().sum() for one, other in zip(before, after, strict=True))
    changed += sum((one.decoder - other.decoder).square().sum() for one, other in zip(before, after, strict=True))
    length = sum(one.encoder.square().sum() + one.decoder.square().sum() for one in before)
    assert told["relative_change"] == pytest.approx(float(changed / length), rel=1e-4)
    assert 0 < told["relative_change"] < 0.01
    assert [type(each.activation) for each in after] == [type(each.activation) for each in before]


def test_the_smaller_set_says_what_it_was_made_of(whole: Path, capsys: pytest.CaptureFixture[str]):
    small = whole.with_name("small")
    assert "in 6 bits each" in shown(["quantise", str(whole), "-o", str(small)], capsys)
    provenance = peek_artifact(small / "layer_001.safetensors").provenance
    assert provenance is not None and provenance.dictionary is not None
    assert provenance.dictionary.sha256 == load_transcoders(whole).checksum


def test_the_set_of_a_training_is_found_in_its_folder(tmp_path: Path):
    save_transcoders(random_transcoders(1, 16, n_features=20, firing=4), tmp_path / "training" / "set")
    found, inside = load_transcoders(tmp_path / "training"), load_transcoders(tmp_path / "training" / "set")
    assert torch.equal(found.layers[0].encoder, inside.layers[0].encoder)
    assert found.checksum == inside.checksum


def test_what_cannot_be_done_is_one_sentence_and_writes_nothing(whole: Path, capsys: pytest.CaptureFixture[str]):
    small = whole.with_name("small")
    assert "cannot be kept in 1 bits" in refusal(["quantise", str(whole), "-o", str(small), "--bits", "1"], capsys)
    assert not small.exists()
    assert "is not empty" in refusal(["quantise", str(whole), "-o", str(whole)], capsys)
    assert "There is no folder" in refusal(["quantise", "./nowhere", "-o", str(small)], capsys)
