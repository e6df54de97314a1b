"""Features go to circuit-tracer's viewer and Neuronpedia and come back; both find the keys that they read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from circuitwise.errors import ArtifactError, RequestError
from circuitwise.features.exchange import (
    even_bars,
    neuronpedia_value,
    read_neuronpedia_feature,
    read_tracer_feature,
    tracer_value,
    write_neuronpedia_feature,
    write_tracer_features,
)
from circuitwise.features.profile import Bar, Profile
from circuitwise.vocabulary import Feature
from tests.features.material import surveyed


@pytest.fixture(scope="module")
def profile() -> Profile:
    return surveyed().profile(Feature(2, 7))


def with_values(profile: Profile) -> Profile:
    promoted = tuple(replace(token, value=1.5 - at) for at, token in enumerate(profile.promoted))
    return replace(profile, promoted=promoted, suppressed=promoted[::-1])


def test_the_viewers_file_is_named_by_cantors_number_and_has_its_keys(profile: Profile, tmp_path: Path):
    assert write_tracer_features([profile], tmp_path / "scan", transcoders="set") == 1
    value = json.loads((tmp_path / "scan" / "52.json").read_text())  # (2 + 7) (2 + 7 + 1) / 2 + 7
    assert set(value) >= {
        "transcoder_id", "index", "examples_quantiles", "top_logits", "bottom_logits", "act_min", "act_max",
        "quantile_values", "histogram", "activation_frequency",
    }  # fmt: skip
    assert (value["transcoder_id"], value["index"], value["act_max"]) == ("set-2", 7, profile.maximum)
    names = [group["quantile_name"] for group in value["examples_quantiles"]]
    assert names == ["Top activations", *(f"Quintile {at} of 5" for at in (5, 4, 3, 2, 1))]
    example = value["examples_quantiles"][0]["examples"][0]
    assert example["tokens_acts_list"][example["train_token_ind"]] == value["act_max"]
    assert len(example["tokens"]) == len(example["tokens_acts_list"]) and example["is_repeated_datapoint"] is False


def test_percentiles_of_the_viewer_rise_to_the_maximums_bin(profile: Profile):
    values = tracer_value(profile, transcoders="set")["quantile_values"]
    assert isinstance(values, list) and len(values) == 100
    assert values == sorted(values) and profile.bars[-1].start < values[-1] <= profile.bars[-1].stop


def test_the_viewers_file_reads_back(profile: Profile, tmp_path: Path):
    write_tracer_features([profile], tmp_path, transcoders="set")
    found = read_tracer_feature(tmp_path / "52.json")
    assert found.feature == profile.feature and found.frequency == profile.frequency
    assert found.maximum == profile.maximum and found.label.text == profile.label.text
    assert [token.text for token in found.promoted] == [token.text for token in profile.promoted]
    for mine, theirs in zip(profile.strongest, found.strongest, strict=True):
        assert (mine.activations, mine.peak) == (theirs.activations, theirs.peak)
    assert [len(group) for group in found.quintiles] == [len(group) for group in profile.quintiles]


def test_neuronpedias_object_reads_back_with_its_values(profile: Profile, tmp_path: Path):
    valued = with_values(profile)
    path = tmp_path / "feature.json"
    write_neuronpedia_feature(valued, path, model="smollm2", source_set="mine")
    value = json.loads(path.read_text())
    assert (value["modelId"], value["layer"], value["index"]) == ("smollm2", "2-mine", "7")
    assert len(value["freq_hist_data_bar_heights"]) == len(value["freq_hist_data_bar_values"]) == 50
    assert value["activations"][0]["maxValue"] == value["maxActApprox"] == profile.maximum
    found = read_neuronpedia_feature(path)
    assert found.feature == profile.feature and found.frequency == profile.frequency
    assert [(token.text, token.value) for token in found.promoted] == [
        (token.text, token.value) for token in valued.promoted
    ]
    assert found.strongest[0].activations == profile.strongest[0].activations


def test_neuronpedia_needs_the_values_of_tokens(profile: Profile):
    with pytest.raises(RequestError, match="--transcoders"):
        neuronpedia_value(profile, model="m", source_set="s")


def test_even_bars_hold_every_firing_once(profile: Profile):
    assert sum(even_bars(profile)) == pytest.approx(profile.n_firings)
    one = replace(profile, bars=(Bar(1.0, 2.0, 8),), maximum=2.0)
    assert even_bars(one) == pytest.approx([0.0] * 25 + [8 / 25] * 25)


@pytest.mark.parametrize("text", ["[]", "{", '{"index": 3}', '{"layer": "x", "index": "1"}'])
def test_a_file_of_something_else_is_refused_by_name(text: str, tmp_path: Path):
    path = tmp_path / "52.json"
    path.write_text(text)
    for read in (read_tracer_feature, read_neuronpedia_feature):
        with pytest.raises(ArtifactError, match=r"52\.json"):
            read(path)
