"""The set that comes along is installed, is what it says, and opens by its short name."""

from dataclasses import replace

import pytest

from circuitwise.dictionaries import SHIPPED, JumpReLU, load_transcoders
from circuitwise.dictionaries.shipped import shipped_folder, shipped_for, shipped_survey
from circuitwise.errors import DictionaryError


def test_the_built_in_model_has_a_set_of_all_its_layers():
    name = shipped_for("smollm2")
    assert name is not None
    found = load_transcoders(name)
    assert [each.layer for each in found] == list(range(30)) and found.n_features == 30 * 2048
    assert found.kind == SHIPPED[name].kind and found.model_name == SHIPPED[name].model
    assert all(isinstance(each.activation, JumpReLU) for each in found)
    assert f"{found.layers[0].n_features:,} features a layer" in SHIPPED[name].title


def test_it_is_small_enough_to_be_passed_on_and_has_its_story_beside_it():
    folder = shipped_folder("smollm2")
    assert sum(file.stat().st_size for file in (folder / "transcoders").iterdir()) < 64e6
    assert (folder / "training.json").is_file()
    assert shipped_survey("smollm2") == folder / "survey"


def test_other_models_have_none():
    assert shipped_for("gpt2") is None and shipped_survey("my-set") is None


def test_a_set_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "circuitwise.dictionaries.shipped.SHIPPED", {"gone": replace(SHIPPED["smollm2"], package="gone_from_here")}
    )
    with pytest.raises(DictionaryError, match=r"“gone” .* are not installed: run `python -m pip install"):
        shipped_folder("gone")
