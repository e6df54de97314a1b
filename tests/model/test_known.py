"""What is known of published models is what their checkpoints hold."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from circuitwise.model.architectures import ARCHITECTURES
from circuitwise.model.known import KNOWN_MODELS, known_config
from circuitwise.model.quiet import quiet

PUBLISHED_WEIGHTS = {
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-1.7B": 1_720_574_976,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-14B": 14_768_307_200,
    "google/gemma-2-2b": 2_614_341_888,
    "google/gemma-3-270m-pt": 268_098_176,
    "google/gemma-3-1b-pt": 999_885_952,
    "google/gemma-3-4b-pt": 4_300_079_472,
    "google/gemma-3-12b-pt": 12_187_325_040,
    "google/gemma-3-27b-pt": 27_432_406_640,
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
}
"""As the pages of the models and of those who measured them say: tied weights counted once."""


@pytest.mark.parametrize("name", PUBLISHED_WEIGHTS)
def test_a_known_model_has_as_many_weights_as_its_checkpoint(name: str) -> None:
    config = known_config(name)
    assert config is not None and config.model_type in ARCHITECTURES
    with torch.device("meta"), quiet():
        module: nn.Module = AutoModelForCausalLM.from_config(config)
    assert sum(weight.numel() for weight in module.parameters()) == PUBLISHED_WEIGHTS[name]


def test_every_known_model_is_counted_or_looks_like_one_that_is() -> None:
    for name in KNOWN_MODELS:
        assert name.replace("-it", "-pt") in PUBLISHED_WEIGHTS
        assert KNOWN_MODELS[name] == KNOWN_MODELS[name.replace("-it", "-pt")]


def test_other_models_are_not_known() -> None:
    assert known_config("org/unknown") is None and known_config("Qwen/Qwen3-5B") is None
