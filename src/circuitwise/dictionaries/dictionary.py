"""One layer's dictionary: transcoder (per-layer or cross-layer, with or without skip) or sparse autoencoder.

    a = activation(W_enc x + b_enc)            x at the site that it reads
    y_w = sum_f a_f W_dec[f, w]                for every site w that it writes to
    y_0 += b_dec + W_skip x                    at the first of them

A per-layer transcoder writes one site, a cross-layer one the same kind of site in its own and all later layers, a
sparse autoencoder writes where it reads. Nobody asks which one they hold: they iterate over ``writes``.

Weights may be memory-mapped views of a file: the encoder is applied in slices of features, and decoder rows are
fetched only for the features that fire.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding_bag

from circuitwise.dictionaries.activations import Activation, BatchTopK, JumpReLU, ReLU, TopK
from circuitwise.errors import DictionaryError
from circuitwise.vocabulary import (
    Activations,
    Decoder,
    Encoder,
    FeatureBias,
    Indices,
    Residual,
    Site,
    Square,
    Values,
    Vector,
)

FEATURES_PER_SLICE = 8192
"""How many encoder rows are applied at once: bounds the dense (position x feature) block."""
ROWS_PER_SLICE = 1024
"""How many decoder rows are fetched at once: bounds what a cross-layer dictionary copies."""
ROW_VALUES = 2**24
"""How many values of decoder rows are fetched at once, at the most: a feature that fires often is fetched once."""

Kind = Literal["transcoder", "skip transcoder", "cross-layer transcoder", "sparse autoencoder"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Firing:
    """The features that fire on one prompt, ordered by position, then feature."""

    pos: Indices
    """Where."""
    feature: Indices
    """Which row of the encoder."""
    value: Values
    """How strongly."""

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dictionary:
    """The features of one layer."""

    read: Site
    """Where its input comes from."""
    writes: tuple[Site, ...]
    """Where its output goes, its own layer first."""
    activation: Activation
    """Which pre-activations fire."""
    encoder: Encoder
    """One row a feature."""
    encoder_bias: FeatureBias
    """Added to the pre-activation."""
    decoder: Decoder
    """One row a feature and written site."""
    bias: Vector
    """Added to the first written site."""
    skip: Square | None = None
    """Maps the input straight to the first written site: ``y += skip @ x``."""

    def __post_init__(self) -> None:
        n_features, d_model = self.encoder.shape
        expected: dict[str, tuple[Tensor, tuple[int, ...]]] = {
            "encoder bias": (self.encoder_bias, (n_features,)),
            "decoder": (self.decoder, (n_features, len(self.writes), d_model)),
            "bias": (self.bias, (d_model,)),
        }
        if self.skip is not None:
            expected["skip connection"] = (self.skip, (d_model, d_model))
        if isinstance(self.activation, JumpReLU):
            expected["threshold"] = (self.activation.threshold, (n_features,))
        for name, (tensor, shape) in expected.items():
            if tuple(tensor.shape) != shape:
                raise DictionaryError(
                    f"The {name} of the dictionary at {self.read} has shape {tuple(tensor.shape)}, but its encoder of "
                    f"{n_features} features x {d_model} dimensions calls for {shape}."
                )
        if isinstance(self.activation, TopK | BatchTopK) and not 1 <= self.activation.k <= n_features:
            raise DictionaryError(
                f"The dictionary at {self.read} lets k={self.activation.k} of its {n_features} features fire. "
                f"k must lie between 1 and {n_features}."
            )

    @property
    def layer(self) -> int:
        """The layer that it reads."""
        return self.read.layer

    @property
    def n_features(self) -> int:
        """How many features it has."""
        return self.encoder.shape[0]

    @property
    def d_model(self) -> int:
        """The width of the stream that it reads and writes."""
        return self.encoder.shape[1]

    @property
    def kind(self) -> Kind:
        """What the literature calls it."""
        if self.writes == (self.read,):
            return "sparse autoencoder"
        if len(self.writes) > 1:
            return "cross-layer transcoder"
        return "transcoder" if self.skip is None else "skip transcoder"

    def preactivations(self, x: Residual, features: slice = slice(None)) -> Activations:
        """``W_enc x + b_enc`` for a slice of the features."""
        weight = self.encoder[features].to(x.device, x.dtype)
        return torch.addmm(self.encoder_bias[features].to(x.device, x.dtype), x, weight.T)

    def encode(self, x: Residual) -> Firing:
        """The features that fire on this input."""
        match self.activation:
            case TopK(k=k):
                pos, feature, value = self._largest(x, k)
            case BatchTopK(k=k):
                pos, feature, value = self._largest_of_all(x, k)
            case _:
                pos, feature, value = self._above_threshold(x)
        order = torch.argsort(pos * self.n_features + feature)
        return Firing(pos=pos[order], feature=feature[order], value=value[order])

    def decode(self, firing: Firing, n_pos: int) -> Float[Tensor, "write pos d_model"]:
        """What the firing features write, without bias and skip, at every site in ``writes``."""
        out = firing.value.new_zeros(len(self.writes), n_pos, self.d_model)
        every = torch.arange(n_pos, device=out.device)
        step = max(1, ROW_VALUES // (len(self.writes) * self.d_model))
        for start in range(0, len(firing), step):
            chosen = slice(start, start + step)
            feature, place = cast("tuple[Tensor, Tensor]", firing.feature[chosen].unique(return_inverse=True))
            rows = self.decoder_rows(feature).to(out).flatten(1)
            first = torch.searchsorted(firing.pos[chosen], every)
            total = embedding_bag(place, rows, first, mode="sum", per_sample_weights=firing.value[chosen])
            out += total.view(n_pos, len(self.writes), self.d_model).transpose(0, 1)
        return out

    def constant(self, x: Residual) -> Residual:
        """What it writes at its first site whatever fires: the bias and the skip connection."""
        bias = self.bias.to(x).expand_as(x)
        return bias if self.skip is None else bias + x @ self.skip.to(x).T

    def reconstruct(self, x: Residual) -> Residual:
        """Its own whole output at the first site that it writes."""
        return self.decode(self.encode(x), len(x))[0] + self.constant(x)

    def encoder_rows(self, features: Indices) -> Float[Tensor, "active d_model"]:
        """The encoder directions of chosen features."""
        return self.encoder[features.to(self.encoder.device)]

    def decoder_rows(self, features: Indices) -> Float[Tensor, "active write d_model"]:
        """The decoder directions of chosen features, one for each written site."""
        return self.decoder[features.to(self.decoder.device)]

    def _slices(self, x: Residual) -> Iterator[tuple[int, Activations]]:
        for start in range(0, self.n_features, FEATURES_PER_SLICE):
            yield start, self.preactivations(x, slice(start, start + FEATURES_PER_SLICE))

    def _above_threshold(self, x: Residual) -> tuple[Indices, Indices, Values]:
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for start, pre in self._slices(x):
            if isinstance(self.activation, JumpReLU):
                floor = self.activation.threshold[start : start + pre.shape[1]].to(pre)
            else:
                floor = pre.new_zeros(1)
            pos, feature = torch.where(pre > floor)
            found.append((pos, feature + start, pre[pos, feature]))
        pos, feature, value = (torch.cat(parts) for parts in zip(*found, strict=True))
        return pos, feature, value

    def _largest(self, x: Residual, k: int) -> tuple[Indices, Indices, Values]:
        value, feature = self._running_top(x, k)
        keep = value.isfinite()
        if not (isinstance(self.activation, TopK) and self.activation.keep_negative):
            keep &= value > 0
        pos, slot = torch.where(keep)
        return pos, feature[pos, slot], value[pos, slot]

    def _largest_of_all(self, x: Residual, k: int) -> tuple[Indices, Indices, Values]:
        n_pos = len(x)
        n_kept = min(k * n_pos, self.n_features)
        value, feature = self._running_top(x, n_kept)
        best = value.flatten().topk(min(k * n_pos, value.numel()))
        slot = best.indices[best.values > 0]
        pos = slot // value.shape[1]
        return pos, feature.flatten()[slot], value.flatten()[slot]

    def _running_top(self, x: Residual, k: int) -> tuple[Activations, Tensor]:
        """The k largest pre-activations of each position and their features, merged slice by slice."""
        value = x.new_empty(len(x), 0)
        feature = torch.empty(len(x), 0, dtype=torch.long, device=x.device)
        for start, pre in self._slices(x):
            index = torch.arange(start, start + pre.shape[1], device=x.device).expand(len(x), -1)
            value, feature = torch.cat([value, pre], 1), torch.cat([feature, index], 1)
            if value.shape[1] > k:
                value, slot = value.topk(k, dim=1)
                feature = feature.gather(1, slot)
        return value, feature


__all__ = ["BatchTopK", "Dictionary", "Firing", "JumpReLU", "Kind", "ReLU", "TopK"]
