"""What a study needs is computed from configurations and suites alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from circuitwise.dictionaries.known import known_set
from circuitwise.dictionaries.references import PUBLISHED
from circuitwise.dictionaries.sizes import dictionary_size
from circuitwise.model.shape import shape_of
from circuitwise.study import forecast as forecasting
from circuitwise.study.forecast import PRICED, forecast
from circuitwise.study.plan import STAGES, Chosen, GraphChoice, Plan
from circuitwise.study.prices import prices_of
from tests.study.material import small_plan

QWEN3_4B = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 151936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}


def test_prompts_tokens_and_stages_are_those_of_the_plan(tmp_path: Path) -> None:
    plan = small_plan(tmp_path)
    found = forecast(plan)
    assert found.prompts == {"tiny.toml": (8, 6)} and found.tokens == 7 and list(found.seconds) == list(STAGES)
    assert found.total == pytest.approx(sum(found.seconds.values())) and all(found.seconds.values())
    assert forecast(replace(plan, n_prompts=2)).prompts == {"tiny.toml": (2, 2)}
    more = forecast(replace(plan, graphs=GraphChoice(rows=4000)))
    assert more.memory.graph > found.memory.graph


def test_a_large_model_is_planned_from_its_configuration_alone(tmp_path: Path) -> None:
    model, layers = tmp_path / "Qwen3-4B", tmp_path / "set"
    model.mkdir()
    layers.mkdir()
    (model / "config.json").write_text(json.dumps(QWEN3_4B), "utf-8")
    save_file({"W_enc": torch.zeros(1000)}, layers / "layer_0.safetensors")
    plan = Plan(
        name="big", model=str(model), transcoders=str(layers), suites=(Chosen(suite="capitals"),), layers=(10, 11)
    )
    found = forecast(plan)
    assert found.prompts == {"capitals": (84, 36)}
    assert 4e9 * 4 * 0.9 < found.memory.weights + found.memory.on_device < 4e9 * 4 * 2.5
    assert found.memory.dictionaries == (layers / "layer_0.safetensors").stat().st_size * 2 // 36
    assert found.total > 60


def test_a_published_model_and_set_are_planned_without_hub_or_copy() -> None:
    suites = tuple(Chosen(suite=name) for name in ("grammar", "capitals", "sentiment", "arithmetic"))
    plan = Plan(name="qwen", model="Qwen/Qwen3-4B", transcoders="mwhanna/qwen3-4b-transcoders", suites=suites)
    found = forecast(plan)
    assert found.model.known and found.dictionaries.known and found.transcoders == "mwhanna/qwen3-4b-transcoders"
    assert found.model.n_bytes == 8_044_936_192 and found.memory.dictionaries == found.dictionaries.n_bytes
    assert found.dictionaries.n_bytes == pytest.approx(57 * 2**30, rel=0.015)
    some = forecast(replace(plan, layers=tuple(range(10, 26))))
    assert some.dictionaries.n_bytes == found.dictionaries.n_bytes * 16 // 36
    assert set(found.prompts) == {"grammar", "capitals", "sentiment", "arithmetic"}


def test_encoders_count_as_weights_do_where_features_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def weight(*_: int) -> float:
        return 1e-9

    monkeypatch.setattr(forecasting, "_seconds_a_weight", weight)
    plan = Plan(name="qwen", model="Qwen/Qwen3-4B", transcoders="qwen3-4b", suites=(Chosen(suite="capitals"),))
    found = forecast(plan)
    n_weights, n_encoder = found.model.n_weights, found.dictionaries.n_encoder
    baseline, features = prices_of(plan)["baseline"], prices_of(plan)["features"]
    assert found.seconds["baseline"] == pytest.approx(120 * (1e-9 * n_weights * baseline.passes + baseline.seconds))
    whole = 1e-9 * (n_weights + n_encoder) / (1 + PRICED)
    assert found.seconds["features"] == pytest.approx(120 * (whole * features.passes + features.seconds))


@pytest.mark.weights
def test_the_prices_are_those_of_the_shipped_set() -> None:
    shape, size = shape_of("smollm2"), dictionary_size("smollm2")
    assert size.n_encoder / shape.n_weights == pytest.approx(PRICED, abs=0.01)


def test_known_sets_fit_the_models_that_they_were_trained_on() -> None:
    for name, published in PUBLISHED.items():
        found = known_set(name)
        if found is not None:
            shape = shape_of(published.model)
            assert (found.n_layers, found.d_model) == (shape.n_layers, shape.d_model), name
