"""Models in one file unpacked once: an ordinary model folder in the user's cache, named by what is in the file.

A folder is complete or absent. It is built beside its place under a hidden name, flushed to the disk and renamed; one
process at a time works on it, so what a killed one left behind is recognised and removed.
"""

import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from circuitwise.cache import cache_folder
from circuitwise.errors import ModelError
from circuitwise.model import llama2c
from circuitwise.model.gguffile import MAGIC, GgufFile, config_of, open_gguf, weights_of
from circuitwise.model.pieces import tokenizer_from
from circuitwise.model.quiet import quiet
from circuitwise.storage import sha256_of_file
from circuitwise.storage.checksum import sha256_of_text

LAYOUT = 1
"""Raised whenever a file would be unpacked differently, so that older folders are not taken for its result."""
BYTES_PER_FILE = 2 << 30
"""How many bytes of weights are held in memory before they are written."""
DIGIT_BY_DIGIT = {"smollm"}
"""Byte-level tokenizers that split numbers into digits first, which transformers does not know of GGUF files."""
UNDERSTOOD = {"default", "deepseek-r1-qwen", "gpt-2", "llama-bpe", "llama3", "qwen2", "tekken"} | DIGIT_BY_DIGIT
"""How byte-level tokenizers may split text before merging; SentencePiece ones do not say."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packed:
    """A model in one file, opened but not unpacked."""

    path: Path
    """Where it is."""
    title: str
    """What it calls itself."""
    n_bytes: int
    """How much its weights take once they are unpacked."""
    config: PreTrainedConfig
    """Its configuration."""
    weights: Callable[[PreTrainedModel], Iterator[tuple[str, Tensor]]]
    """Its weights, for a module of that configuration."""
    tokenizer: Callable[[], PreTrainedTokenizerBase | None]
    """Its tokenizer, if it has one."""


def open_packed(path: Path) -> Packed:
    """A GGUF file or a checkpoint of llama2.c."""
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
    if magic == MAGIC:
        return _open_gguf(path)
    if path.suffix in llama2c.ENDINGS:
        return _open_llama2c(path)
    raise ModelError(
        f"{path} is a file, but no GGUF file and no checkpoint of llama2.c ({', '.join(llama2c.ENDINGS)}): name one "
        "of these, or the folder that holds config.json and weights."
    )


def unpack(path: Path) -> Path:
    """The model folder made from a file: made now, or found in the cache."""
    target = cache_folder() / "models" / f"{_fingerprint(path)}-{LAYOUT}"
    if target.is_dir():
        return target
    packed = open_packed(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / f".{target.name}.lock"):
            if not target.is_dir():
                _check_space(packed, target)
                with _whole_folder(target) as partial:
                    _write(packed, partial)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ModelError(
            f"{path} could not be unpacked into {target.parent} ({reason}); nothing was left there: it needs "
            f"{packed.n_bytes / 1e6:,.0f} MB, so free some space or set CIRCUITWISE_CACHE to another folder."
        ) from error
    return target


def _fingerprint(path: Path) -> str:
    """Names what is in the file, and in the tokenizer that lies beside a checkpoint of llama2.c."""
    beside = path.with_name(llama2c.BESIDE)
    if path.suffix != ".bin" or not beside.is_file():
        return sha256_of_file(path)[:32]
    return sha256_of_text(sha256_of_file(path) + sha256_of_file(beside))[:32]


def _open_gguf(path: Path) -> Packed:
    file = open_gguf(path)
    _check_tokenizer(file)
    return Packed(
        path=path,
        title=str(file.header.get("general.name")),
        n_bytes=file.n_bytes,
        config=config_of(file),
        weights=lambda module: weights_of(file, module, module.config.get_text_config()),
        tokenizer=lambda: _gguf_tokenizer(file),
    )


def _open_llama2c(path: Path) -> Packed:
    file = llama2c.open_llama2c(path)
    return Packed(
        path=path,
        title="llama2.c",
        n_bytes=file.n_bytes,
        config=file.config,
        weights=lambda _: llama2c.weights_of(file),
        tokenizer=lambda: tokenizer_from(llama2c.pieces_of(file)) if file.tokenizer else None,
    )


def _check_space(packed: Packed, target: Path) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < packed.n_bytes:
        raise ModelError(
            f"{packed.path} needs {packed.n_bytes / 1e6:,.0f} MB in {target.parent} to be unpacked, and "
            f"{free / 1e6:,.0f} MB are free: free some space or set CIRCUITWISE_CACHE to another folder."
        )


def _check_tokenizer(file: GgufFile) -> None:
    split = file.header.get("tokenizer.ggml.pre", "default")
    if file.header.get("tokenizer.ggml.model") == "gpt2" and split not in UNDERSTOOD:
        raise ModelError(
            f"{file.path} splits text the way “{split}” does, and of GGUF files only "
            f"{', '.join(sorted(UNDERSTOOD))} are known: use the original model from the hub."
        )


@contextmanager
def _whole_folder(target: Path) -> Generator[Path]:
    """A hidden folder to write into; it becomes ``target`` when the block ends well and vanishes when it does not."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # a killed process left it
    partial.mkdir()
    try:
        yield partial
        mode = partial.stat().st_mode & 0o666
        for path in partial.iterdir():
            path.chmod(mode)  # safetensors makes private files; what is shared should follow the user's umask
            _flush(path)
        _flush(partial)
        partial.rename(target)
        _flush(target.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders, and keeps renames safe by itself
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(packed: Packed, folder: Path) -> None:
    with torch.device("meta"):
        module = AutoModelForCausalLM.from_config(packed.config)
    weights = packed.weights(module)
    with quiet():
        module.config.save_pretrained(folder)
        module.generation_config.save_pretrained(folder)
    places: dict[str, str] = {}
    for number, several in enumerate(_several(weights)):
        name = f"model-{number:05}.safetensors"
        save_file(several, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(several, name)
    _write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})
    if (tokenizer := packed.tokenizer()) is not None:
        tokenizer.save_pretrained(folder)
    _write_json(folder / "origin.json", {"file": packed.path.name, "name": packed.title})


def _several(weights: Iterator[tuple[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """The weights in groups that fit into memory."""
    group: dict[str, Tensor] = {}
    for name, weight in weights:
        group[name] = weight
        if sum(each.nbytes for each in group.values()) >= BYTES_PER_FILE:
            yield group
            group = {}
    if group:
        yield group


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _gguf_tokenizer(file: GgufFile) -> PreTrainedTokenizerBase | None:
    if "tokenizer.ggml.model" not in file.header:
        return None
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(file.path.parent, gguf_file=file.path.name)
    except (ValueError, KeyError, ImportError) as error:
        raise ModelError(f"{file.path} holds a tokenizer that cannot be built: {error}. Get the file anew.") from error
    if file.header.get("tokenizer.ggml.pre") in DIGIT_BY_DIGIT:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    return tokenizer
