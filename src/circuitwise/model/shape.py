"""How big a model is, read from its configuration alone: no weight is opened or downloaded.

Where the configuration is out of reach, a table of published models stands in, and the shape says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from circuitwise.cache import cache_folder
from circuitwise.errors import ModelError
from circuitwise.model.architectures import architecture_of
from circuitwise.model.builtin import SHORT_NAMES, find_builtin
from circuitwise.model.conversion import open_packed
from circuitwise.model.hub import is_hub_name
from circuitwise.model.known import known_config
from circuitwise.model.quiet import quiet
from circuitwise.storage.jsontext import parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What decides how much memory a model needs."""

    n_weights: int
    """Numbers in it, shared ones counted once."""
    stored: torch.dtype
    """The type in which its file keeps them."""
    n_layers: int
    """How many blocks it has."""
    d_model: int
    """The width of the stream."""
    d_mlp: int
    """Neurons of one MLP."""
    n_heads: int
    """Query heads in a layer."""
    n_kv_heads: int
    """Key/value groups in a layer."""
    d_head: int
    """The width of one head."""
    d_vocab: int
    """Tokens that it knows."""
    packed: bool
    """Whether it is a file that has not been unpacked into the cache yet."""
    known: bool = False
    """Whether the table of published models says it, since the model's own configuration is out of reach."""

    @property
    def n_bytes(self) -> int:
        """The size of its weights as they are stored."""
        return self.n_weights * self.stored.itemsize


def shape_of(name: str, *, token: str | None = None) -> Shape:
    """The shape of a model under any name that ``load_model`` takes, read from its configuration alone."""
    packed = _packed_file(name)
    config, known = (open_packed(packed).config, False) if packed else _find_config(name, token)
    with torch.device("meta"), quiet():
        module = AutoModelForCausalLM.from_config(config)
    text = module.config.get_text_config()
    n_heads = int(text.num_attention_heads)
    d_model = int(text.hidden_size)
    return Shape(
        n_weights=sum(parameter.numel() for parameter in module.parameters()),
        stored=getattr(config, "dtype", None) or torch.float32,
        n_layers=int(text.num_hidden_layers),
        d_model=d_model,
        d_mlp=int(getattr(text, "intermediate_size", None) or getattr(text, "n_inner", None) or 4 * d_model),
        n_heads=n_heads,
        n_kv_heads=int(getattr(text, "num_key_value_heads", None) or n_heads),
        d_head=int(getattr(text, "head_dim", None) or d_model // n_heads),
        d_vocab=int(text.vocab_size),
        packed=packed is not None and packed.name not in unpacked_files(),
        known=known,
    )


def unpacked_files() -> frozenset[str]:
    """The names of the files that were unpacked into the cache."""
    origins = (cache_folder() / "models").glob("*/origin.json")
    values = [parse_json(path.read_bytes(), what=str(path)) for path in origins]
    return frozenset(str(value.get("file")) for value in values if isinstance(value, Mapping))


def _packed_file(name: str) -> Path | None:
    """The file behind a name; None where it names a folder or a model on the hub."""
    if name in SHORT_NAMES:
        return find_builtin(name)
    path = Path(name).expanduser()
    return path if path.is_file() else None


def _find_config(name: str, token: str | None) -> tuple[PreTrainedConfig, bool]:
    """A model's configuration, and whether it is the table's because its own cannot be read."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _open_config(folder), False
    try:
        folder = _fetch_config(name, token)
    except ModelError:
        known = known_config(name)
        if known is None:
            raise
        return known, True
    return _open_config(folder), False


def _open_config(folder: Path) -> PreTrainedConfig:
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(
            f"{folder} has no config.json, so it is not a model that transformers saved: name a folder with "
            "config.json and weights, or a GGUF file."
        )
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} cannot be understood: {_first_line(error)}. Get it anew.") from error
    architecture_of(str(config.model_type))
    return config


def _fetch_config(name: str, token: str | None) -> Path:
    if not is_hub_name(name):
        raise ModelError(
            f"There is no model “{name}”: it is no folder, no file, no name that the hub could have, and no short name "
            f"({', '.join(SHORT_NAMES)}). Check the spelling."
        )
    try:
        with quiet():
            return Path(huggingface_hub.snapshot_download(name, token=token, allow_patterns="config.json"))
    except GatedRepoError as error:
        raise _unknown_size(name, "it is gated: accept its licence on its page and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise _unknown_size(name, "there is no such model on the hub, or it is private: check the name") from error
    except OSError as error:
        raise _unknown_size(
            name, "its config.json is not in the cache and the hub cannot be reached: name a local folder or GGUF file"
        ) from error


def _unknown_size(name: str, reason: str) -> ModelError:
    return ModelError(f"The size of the model “{name}” cannot be told, because {reason}.")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__
