"""How big published sets are, for a machine that cannot ask the hub and has no copy of them.

    numbers of a layer = features (2 d + 1) + d        encoder, decoder and biases

A skip connection adds d x d; a cross-layer dictionary has a decoder for each layer from its own on.

What a copy or the hub says always comes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from circuitwise.dictionaries.references import PUBLISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSet:
    """What decides the size of a published set."""

    n_layers: int
    """Dictionaries in it, one a layer."""
    n_features: int
    """Features of one."""
    d_model: int
    """The width of the stream that they read and write."""
    itemsize: int = 2
    """Bytes of one number in its files."""
    skip: bool = False
    """Whether it has skip connections."""
    cross_layer: bool = False
    """Whether a dictionary writes to all layers from its own on."""

    @property
    def n_encoder(self) -> int:
        """Numbers in all encoders."""
        return self.n_layers * self.n_features * self.d_model

    @property
    def n_bytes(self) -> int:
        """The size of its weights."""
        n_decoders = self.n_layers * (self.n_layers + 1) // 2 if self.cross_layer else self.n_layers
        decoders = n_decoders * self.n_features * self.d_model
        rest = self.n_layers * (self.n_features + self.d_model + (self.d_model**2 if self.skip else 0))
        return self.itemsize * (self.n_encoder + decoders + rest)


_GEMMA_SCOPE = KnownSet(n_layers=26, n_features=16_384, d_model=2304, itemsize=4)

KNOWN_SETS: Mapping[str, KnownSet] = {
    "mwhanna/qwen3-0.6b-transcoders-lowl0": KnownSet(n_layers=28, n_features=163_840, d_model=1024),
    "mwhanna/qwen3-1.7b-transcoders-lowl0": KnownSet(n_layers=28, n_features=163_840, d_model=2048),
    "mwhanna/qwen3-4b-transcoders": KnownSet(n_layers=36, n_features=163_840, d_model=2560),
    "mwhanna/qwen3-8b-transcoders": KnownSet(n_layers=36, n_features=163_840, d_model=4096),
    "mwhanna/qwen3-14b-transcoders-lowl0": KnownSet(n_layers=40, n_features=163_840, d_model=5120),
    "mwhanna/gemma-scope-transcoders": _GEMMA_SCOPE,
    "mntss/gemma-scope-transcoders": _GEMMA_SCOPE,
    "mntss/clt-gemma-2-2b-426k": KnownSet(n_layers=26, n_features=16_384, d_model=2304, cross_layer=True),
    "mntss/clt-gemma-2-2b-2.5M": KnownSet(n_layers=26, n_features=98_304, d_model=2304, cross_layer=True),
    "mntss/transcoder-Llama-3.2-1B": KnownSet(n_layers=16, n_features=131_072, d_model=2048, itemsize=4, skip=True),
    "mntss/clt-llama-3.2-1b-524k": KnownSet(n_layers=16, n_features=32_768, d_model=2048, cross_layer=True),
}
"""What decides the size of a published set, by its repository on the hub."""


def known_set(name: str) -> KnownSet | None:
    """What is known of a published set under its short name or repository; None for others."""
    return KNOWN_SETS.get(PUBLISHED[name].reference if name in PUBLISHED else name)
