"""A model from wherever it is: a short name, a folder, a GGUF or llama2.c file, or the Hugging Face hub.

Every source becomes a folder of the same kind, the folder is checked before transformers opens it, and what was
opened is checked again: all weights there, all numbers finite, and the family's row proved by ``probe``. Code that
comes with a model is never run.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from circuitwise.errors import ModelError, RequestError
from circuitwise.model.architectures import architecture_of
from circuitwise.model.builtin import SHORT_NAMES, find_builtin
from circuitwise.model.conversion import unpack
from circuitwise.model.hub import fetch_snapshot, is_hub_name
from circuitwise.model.model import Model, view_model
from circuitwise.model.probe import probe
from circuitwise.model.quiet import quiet

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""The number types that a model can run in."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
"""A folder with none of these has no tokenizer."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A folder with a model, and how it was asked for."""

    folder: Path
    """Where its files are now."""
    name: str
    """What the loaded model is called."""
    revision: str | None = None
    """The commit on the hub, for a model from there."""


def load_model(
    name_or_path: str | Path,
    *,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> Model:
    """A model ready to be read and rewritten.

    ``name_or_path`` is a short name (``smollm2``), a folder, a GGUF file, a checkpoint of llama2.c, or a name on the
    hub, where ``revision`` and ``token`` apply. Without ``device`` it goes to the first accelerator there is; without
    ``dtype`` it runs in float32 on a processor and in the checkpoint's own type on an accelerator.
    """
    place = _device(device)
    number_type = _dtype(dtype, place)
    source = _locate(name_or_path, revision, token)
    _check_folder(source)
    module = _open_module(source, number_type)
    _check_numbers(source, module)
    _move(source, module, place)
    model = view_model(module, _open_tokenizer(source), name=source.name, revision=source.revision)
    probe(model)
    return model


def _device(asked: torch.device | str | None) -> torch.device:
    if asked is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RequestError(f"There is no device “{asked}” here. Choose cpu, cuda or mps.") from error
    return device


def _dtype(asked: torch.dtype | str | None, device: torch.device) -> torch.dtype | None:
    """The number type to load in; None for the checkpoint's own."""
    if asked is None:
        return torch.float32 if device.type == "cpu" else None
    name = str(asked).removeprefix("torch.")
    if name not in DTYPES:
        raise RequestError(f"A model cannot run in “{name}”. Choose {', '.join(DTYPES)}.")
    return DTYPES[name]


def _locate(name_or_path: str | Path, revision: str | None, token: str | None) -> _Source:
    name, path = str(name_or_path), Path(name_or_path).expanduser()
    on_hub = isinstance(name_or_path, str) and name not in SHORT_NAMES and not path.exists() and is_hub_name(name)
    if on_hub:
        folder = fetch_snapshot(name, revision=revision, token=token)
        return _Source(folder, name, folder.name)
    if revision is not None:
        raise RequestError(f"“{name}” is not on the hub, so it has no revision “{revision}”. Leave the revision out.")
    if isinstance(name_or_path, str) and name in SHORT_NAMES:
        return _Source(unpack(find_builtin(name)), name)
    if path.is_dir():
        return _Source(path, path.resolve().name)
    if path.is_file():
        return _Source(unpack(path), path.name)
    raise ModelError(
        f"There is no model “{name}”: it is no folder, no file, no name that the hub could have, and no short name "
        f"({', '.join(SHORT_NAMES)}). Check the spelling."
    )


def _check_folder(source: _Source) -> None:
    """Refuse a folder that transformers would stumble over, or whose model has no row."""
    folder = source.folder
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{_called(source)} has no config.json, so it is not a model that transformers saved: name a folder with "
            "config.json and weights, or a GGUF file."
        )
    config = _read_json(folder / "config.json")
    architecture_of(str(config.get("model_type")))
    if "quantization_config" in config:
        raise ModelError(f"{_called(source)} is quantized, so circuits cannot be read from it: use the original model.")
    if (folder / "adapter_config.json").is_file():
        raise ModelError(f"{_called(source)} holds an adapter, too: merge it into the model and save that.")
    for file in _weight_files(source):
        _check_weights(file)


def _called(source: _Source) -> str:
    """What to call a source in a message."""
    return f"The model “{source.name}”" if source.revision else str(source.folder)


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise ModelError(f"{path} is not valid JSON ({error}). Get it anew.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is valid JSON, but no table of settings. Get it anew.")
    return value


def _weight_files(source: _Source) -> Iterable[Path]:
    """The safetensors files that the folder has or says that it has."""
    index = source.folder / "model.safetensors.index.json"
    found = set(source.folder.glob("model*.safetensors"))
    if index.is_file():
        places = _read_json(index).get("weight_map")
        named = places.values() if isinstance(places, dict) else []
        found |= {source.folder / str(name) for name in named}
    if not found and not any(source.folder.glob("pytorch_model*.bin")):
        raise ModelError(
            f"{_called(source)} has a config.json, but no weights: model.safetensors (or its parts and their index) "
            "should be beside it."
        )
    return sorted(found)


def _check_weights(file: Path) -> None:
    if not file.is_file():
        raise ModelError(f"{file} is missing: {file.parent.name} lists it among its weights. Get the model anew.")
    try:
        with safe_open(file, framework="pt"):
            return
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is truncated or damaged ({error}). Get it anew.") from error


def _open_module(source: _Source, dtype: torch.dtype | None) -> PreTrainedModel:
    try:
        with quiet():
            opened: Any = AutoModelForCausalLM.from_pretrained(
                source.folder,
                dtype="auto" if dtype is None else dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below, in words
                trust_remote_code=False,
                local_files_only=True,
            )
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, StrictDataclassError, SafetensorError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(f"{_called(source)} cannot be opened: {reason.rstrip('.')}. Get it anew.") from error
    module, report = opened
    _check_report(source, report)
    return module


def _check_report(source: _Source, report: Mapping[str, Any]) -> None:
    """Refuse a model with weights missing, left over or of other shapes."""
    for key, problem in {
        "mismatched_keys": "have another shape than its config.json says",
        "missing_keys": "are missing from its files",
        "unexpected_keys": "have no place in a model of its config.json",
    }.items():
        names = sorted(str(name[0] if isinstance(name, tuple) else name) for name in report.get(key) or [])
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ModelError(
                f"{_called(source)} is not whole: the weights {names[0]}{more} {problem}. Get the model anew."
            )


def _check_numbers(source: _Source, module: PreTrainedModel) -> None:
    for name, weight in module.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise ModelError(
                f"{_called(source)} has weights that are not numbers: {name} holds NaN or infinity in {weight.dtype}. "
                "Get the model anew, or load it with another dtype."
            )


def _move(source: _Source, module: PreTrainedModel, device: torch.device) -> None:
    try:
        nn.Module.to(module, device)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{_called(source)} does not fit into the memory of {device}: load it with device=“cpu” or a smaller dtype."
        ) from error


def _open_tokenizer(source: _Source) -> PreTrainedTokenizerBase | None:
    if not any((source.folder / name).is_file() for name in TOKENIZER_FILES):
        return None
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(
            f"The tokenizer of {_called(source)} cannot be opened: {error}. Get its files anew, or remove them to work "
            "with token ids."
        ) from error
