"""What a study needs is computed from configurations and suites alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from circuitwise.study.forecast import forecast
from circuitwise.study.plan import STAGES, Chosen, GraphChoice, Plan
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
