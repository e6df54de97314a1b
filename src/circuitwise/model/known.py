"""What published models look like, for a machine that has neither their config.json nor the hub.

Only what decides their size is said here, for the models that published dictionary sets were trained on; a config.json
that can be read always comes first. The tests hold each row to the number of weights that its checkpoint has.
"""

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

Settings = Mapping[str, Any]
"""Entries of a config.json."""


def _decoder(family: str, layers: int, width: int, mlp: int, heads: tuple[int, int, int], vocabulary: int) -> Settings:
    """One decoder; heads are query heads, key/value heads, and the width of one."""
    n_heads, n_kv_heads, d_head = heads
    return {
        "model_type": family,
        "num_hidden_layers": layers,
        "hidden_size": width,
        "intermediate_size": mlp,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_kv_heads,
        "head_dim": d_head,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
    }


_UNTIED: Settings = {"tie_word_embeddings": False}
_VISION: Settings = {
    "model_type": "siglip_vision_model",
    "num_hidden_layers": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_attention_heads": 16,
    "image_size": 896,
    "patch_size": 14,
    "vision_use_head": False,
}


def _with_vision(text: Settings) -> Settings:
    return {"model_type": "gemma3", "text_config": dict(text), "vision_config": dict(_VISION), "dtype": "bfloat16"}


_QWEN, _LLAMA, _GEMMA_2, _GEMMA_3 = 151_936, 128_256, 256_000, 262_144
_GEMMA_3_270M = _decoder("gemma3_text", 18, 640, 2048, (4, 1, 256), _GEMMA_3)
_GEMMA_3_1B = _decoder("gemma3_text", 26, 1152, 6912, (4, 1, 256), _GEMMA_3)
_GEMMA_3_4B = _with_vision(_decoder("gemma3_text", 34, 2560, 10_240, (8, 4, 256), _GEMMA_3 + 64))
_GEMMA_3_12B = _with_vision(_decoder("gemma3_text", 48, 3840, 15_360, (16, 8, 256), _GEMMA_3 + 64))
_GEMMA_3_27B = _with_vision(_decoder("gemma3_text", 62, 5376, 21_504, (32, 16, 128), _GEMMA_3 + 64))

KNOWN_MODELS: Mapping[str, Settings] = {
    "Qwen/Qwen3-0.6B": _decoder("qwen3", 28, 1024, 3072, (16, 8, 128), _QWEN),
    "Qwen/Qwen3-1.7B": _decoder("qwen3", 28, 2048, 6144, (16, 8, 128), _QWEN),
    "Qwen/Qwen3-4B": _decoder("qwen3", 36, 2560, 9728, (32, 8, 128), _QWEN),
    "Qwen/Qwen3-8B": {**_decoder("qwen3", 36, 4096, 12_288, (32, 8, 128), _QWEN), **_UNTIED},
    "Qwen/Qwen3-14B": {**_decoder("qwen3", 40, 5120, 17_408, (40, 8, 128), _QWEN), **_UNTIED},
    "google/gemma-2-2b": {**_decoder("gemma2", 26, 2304, 9216, (8, 4, 256), _GEMMA_2), "dtype": "float32"},
    "google/gemma-3-270m-pt": _GEMMA_3_270M,
    "google/gemma-3-270m-it": _GEMMA_3_270M,
    "google/gemma-3-1b-pt": _GEMMA_3_1B,
    "google/gemma-3-1b-it": _GEMMA_3_1B,
    "google/gemma-3-4b-pt": _GEMMA_3_4B,
    "google/gemma-3-4b-it": _GEMMA_3_4B,
    "google/gemma-3-12b-pt": _GEMMA_3_12B,
    "google/gemma-3-12b-it": _GEMMA_3_12B,
    "google/gemma-3-27b-pt": _GEMMA_3_27B,
    "google/gemma-3-27b-it": _GEMMA_3_27B,
    "meta-llama/Llama-3.2-1B": _decoder("llama", 16, 2048, 8192, (32, 8, 64), _LLAMA),
    "meta-llama/Llama-3.1-8B-Instruct": {**_decoder("llama", 32, 4096, 14_336, (32, 8, 128), _LLAMA), **_UNTIED},
}
"""What decides the size of a published model, by its name on the hub."""


def known_config(name: str) -> PreTrainedConfig | None:
    """A configuration of the size of a published model; None for others. It is good for nothing but its size."""
    settings = KNOWN_MODELS.get(name)
    if settings is None:
        return None
    rest = {key: value for key, value in settings.items() if key != "model_type"}
    return AutoConfig.for_model(settings["model_type"], **rest)
