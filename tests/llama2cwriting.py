"""Checkpoints as llama2.c's exporter writes them, and llama2.c's own arithmetic on them, written anew in numpy."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WORDS = (" t", "he", " the", "in", "ing", " a", "an", "and", "at", " c", "cat", " cat", " é", "  ", "lo", "ll", "lll")
PIECES = tuple(
    (piece.encode(), -float(rank)) for rank, piece in enumerate([*WORDS, *" abcdefghijklmnopqrstuvwxyz.,!é世"])
)
"""Pieces with scores: words first, single characters last."""
VOCABULARY: tuple[tuple[bytes, float], ...] = (
    (b"<unk>", 0.0),
    (b"\n<s>\n", 0.0),
    (b"\n</s>\n", 0.0),
    *((bytes([byte]), 0.0) for byte in range(256)),
    *PIECES,
)
"""Every token: special ones, bytes, pieces."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A header."""

    d_model: int = 24
    d_mlp: int = 20
    n_layers: int = 2
    n_heads: int = 4
    n_groups: int = 4
    n_tokens: int = len(VOCABULARY)
    context: int = 16
    tied: bool = True

    @property
    def header(self) -> bytes:
        """As it is written."""
        shape = (self.d_model, self.d_mlp, self.n_layers, self.n_heads, self.n_groups)
        return struct.pack("<7i", *shape, self.n_tokens if self.tied else -self.n_tokens, self.context)


Weights = dict[str, np.ndarray]


def draw(sizes: Sizes, seed: int = 0) -> Weights:
    """Random weights under llama2.c's names, in the order of the file."""
    draws = np.random.default_rng(seed)
    n, d, hidden = sizes.n_layers, sizes.d_model, sizes.d_mlp
    groups = d // sizes.n_heads * sizes.n_groups
    shapes: dict[str, tuple[int, ...]] = {
        "token_embedding": (sizes.n_tokens, d),
        "rms_att": (n, d),
        "wq": (n, d, d),
        "wk": (n, groups, d),
        "wv": (n, groups, d),
        "wo": (n, d, d),
        "rms_ffn": (n, d),
        "w1": (n, hidden, d),
        "w2": (n, d, hidden),
        "w3": (n, hidden, d),
        "rms_final": (d,),
        "freq_cis": (sizes.context, d // sizes.n_heads),
    }
    if not sizes.tied:
        shapes["wcls"] = (sizes.n_tokens, d)
    return {
        name: (draws.normal(size=shape) * (0.5 if name != "freq_cis" else 1e6)).astype("<f4")
        for name, shape in shapes.items()
    }


def packed_tokenizer(vocabulary: Sequence[tuple[bytes, float]] = VOCABULARY) -> bytes:
    """The tokenizer's bytes."""
    entries = [struct.pack("<fi", score, len(piece)) + piece for piece, score in vocabulary]
    return struct.pack("<i", max(len(piece) for piece, _ in vocabulary)) + b"".join(entries)


def write(path: Path, sizes: Sizes, weights: Weights, tokenizer: bytes = b"") -> Path:
    """One file."""
    path.write_bytes(sizes.header + b"".join(weight.tobytes() for weight in weights.values()) + tokenizer)
    return path


def logits(sizes: Sizes, weights: Weights, tokens: Sequence[int]) -> np.ndarray:
    """The logits at the last token, one token after the other as llama2.c does it: neighbours rotate together."""
    w = {name: weight.astype(np.float64) for name, weight in weights.items()}
    d_head = sizes.d_model // sizes.n_heads
    keys: list[list[np.ndarray]] = [[] for _ in range(sizes.n_layers)]
    values: list[list[np.ndarray]] = [[] for _ in range(sizes.n_layers)]
    x = np.zeros(sizes.d_model)
    for pos, token in enumerate(tokens):
        x = w["token_embedding"][token].copy()
        for layer in range(sizes.n_layers):
            inner = _normed(x, w["rms_att"][layer])
            query = _rotated(w["wq"][layer] @ inner, pos, d_head).reshape(-1, d_head)
            keys[layer].append(_rotated(w["wk"][layer] @ inner, pos, d_head).reshape(-1, d_head))
            values[layer].append((w["wv"][layer] @ inner).reshape(-1, d_head))
            mixed: list[np.ndarray] = []
            for head in range(sizes.n_heads):
                group = head // (sizes.n_heads // sizes.n_groups)
                scores = np.array([query[head] @ key[group] / np.sqrt(d_head) for key in keys[layer]])
                shares = np.exp(scores - scores.max())
                mixed.append(
                    sum(share * value[group] for share, value in zip(shares / shares.sum(), values[layer], strict=True))
                )
            x = x + w["wo"][layer] @ np.concatenate(mixed)
            inner = _normed(x, w["rms_ffn"][layer])
            gate = w["w1"][layer] @ inner
            x = x + w["w2"][layer] @ (gate / (1 + np.exp(-gate)) * (w["w3"][layer] @ inner))
    return w["token_embedding" if sizes.tied else "wcls"] @ _normed(x, w["rms_final"])


def _normed(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return weight * x / np.sqrt((x**2).mean() + 1e-5)


def _rotated(vector: np.ndarray, pos: int, d_head: int) -> np.ndarray:
    out = vector.copy()
    for first in range(0, len(vector), 2):
        angle = pos * 10_000.0 ** (-(first % d_head) / d_head)
        turn = np.exp(1j * angle) * complex(vector[first], vector[first + 1])
        out[first], out[first + 1] = turn.real, turn.imag
    return out


def encode(vocabulary: Sequence[tuple[bytes, float]], text: str) -> list[int]:
    """Token ids, the way llama2.c finds them: the best pair of neighbours is merged until no pair is a piece."""
    known = {piece: token for token, (piece, _) in enumerate(vocabulary) if token >= 259}
    tokens = [1]
    if text:
        for character in " " + text:
            raw = character.encode()
            tokens += [known[raw]] if raw in known else [byte + 3 for byte in raw]
    while True:
        best: tuple[float, int, int] | None = None
        for at in range(1, len(tokens) - 1):
            merged = known.get(vocabulary[tokens[at]][0] + vocabulary[tokens[at + 1]][0])
            if merged is not None and (best is None or vocabulary[merged][1] > best[0]):
                best = vocabulary[merged][1], at, merged
        if best is None:
            return tokens
        _, at, merged = best
        tokens[at : at + 2] = [merged]
