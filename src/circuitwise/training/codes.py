"""What fires on a batch of tokens, and the products that training needs of it.

With the code A (token x feature), decoder D, error E and input X a step needs

    A D                     what is written
    (E D^T) where it fires  how the error falls with each value
    A^T E and G^T X         gradients of decoder and encoder

A sparse code computes them for the features that fire only, a dense one for all. Which one is faster depends on how
many fire: on a processor the sparse one, far below one feature in ten. On an accelerator it is the dense one. The
middle one is what torch computes as the gradient of the first by the values: it reads decoder rows where they lie and
took an eighth of the time of the dense float32 product; fetching a row for every pair took over ten times as long.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from circuitwise.vocabulary import FeatureBias, Indices, Values

SPARSE_SHARE = 0.06
"""A code is kept sparse below this share of features that fire."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SparseCode:
    """The features that fire, ordered by token."""

    pos: Indices
    """Which token of the batch."""
    feature: Indices
    """Which feature."""
    value: Values
    """How strongly."""
    shape: tuple[int, int]
    """Tokens and features."""

    def __len__(self) -> int:
        return len(self.value)

    def decode(self, decoder: Float[Tensor, "feature written"], _: torch.dtype) -> Float[Tensor, "token written"]:
        """What is written."""
        starts = _starts(self.pos, self.shape[0])
        return embedding_bag(self.feature, decoder, starts[:-1], mode="sum", per_sample_weights=self.value)

    def inner(
        self, error: Float[Tensor, "token written"], decoder: Float[Tensor, "feature written"], precision: torch.dtype
    ) -> Values:
        """How well the error points along the decoder row of each firing feature."""
        value = self.value.detach().requires_grad_()
        with torch.enable_grad():
            written = replace(self, value=value).decode(decoder, precision)
        return torch.autograd.grad(written, value, error)[0]

    def gradients(
        self,
        pairs: tuple[tuple[Values, Float[Tensor, "token one"]], tuple[Values, Float[Tensor, "token other"]]],
        _: torch.dtype,
    ) -> tuple[Float[Tensor, "feature one"], Float[Tensor, "feature other"]]:
        """For each pair of weights and rows: the rows summed by feature, each times its weight."""
        order = torch.argsort(self.feature, stable=True)
        starts = _starts(self.feature[order], self.shape[1])[:-1]
        pos = self.pos[order]
        one, other = (
            embedding_bag(pos, rows, starts, mode="sum", per_sample_weights=weights[order]) for weights, rows in pairs
        )
        return one, other

    def by_feature(self, weights: Values) -> FeatureBias:
        """The weights summed by feature."""
        return torch.bincount(self.feature, weights=weights, minlength=self.shape[1]).to(weights.dtype)

    def counts(self) -> FeatureBias:
        """On how many tokens each feature fires."""
        return torch.bincount(self.feature, minlength=self.shape[1]).to(self.value.dtype)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenseCode:
    """All features of all tokens, most of them zero."""

    value: Float[Tensor, "token feature"]
    """How strongly each fires."""
    mask: Bool[Tensor, "token feature"]
    """Which fire."""

    def __len__(self) -> int:
        return int(self.mask.sum())

    def decode(
        self, decoder: Float[Tensor, "feature written"], precision: torch.dtype
    ) -> Float[Tensor, "token written"]:
        """What is written."""
        return product(self.value, decoder.T, precision)

    def inner(
        self, error: Float[Tensor, "token written"], decoder: Float[Tensor, "feature written"], precision: torch.dtype
    ) -> Float[Tensor, "token feature"]:
        """How well the error points along the decoder row of each feature; zero where it does not fire."""
        return product(error, decoder, precision) * self.mask

    def gradients(
        self,
        pairs: tuple[
            tuple[Float[Tensor, "token feature"], Float[Tensor, "token one"]],
            tuple[Float[Tensor, "token feature"], Float[Tensor, "token other"]],
        ],
        precision: torch.dtype,
    ) -> tuple[Float[Tensor, "feature one"], Float[Tensor, "feature other"]]:
        """For each pair of weights and rows: the rows summed by feature, each times its weight."""
        one, other = (product(weights.T, rows.T, precision) for weights, rows in pairs)
        return one, other

    def by_feature(self, weights: Float[Tensor, "token feature"]) -> FeatureBias:
        """The weights summed by feature."""
        return weights.sum(0)

    def counts(self) -> FeatureBias:
        """On how many tokens each feature fires."""
        return self.mask.sum(0).to(self.value.dtype)


Code = SparseCode | DenseCode


def code_of(pre: Float[Tensor, "token feature"], mask: Bool[Tensor, "token feature"]) -> Code:
    """The pre-activations under the mask, in the form that is faster."""
    if pre.device.type == "cpu" and int(mask.sum()) < SPARSE_SHARE * mask.numel():
        pos, feature = mask.nonzero(as_tuple=True)
        return SparseCode(pos=pos, feature=feature, value=pre[pos, feature].float(), shape=(len(pre), pre.shape[1]))
    return DenseCode(value=(pre * mask).float(), mask=mask)


def product(
    x: Float[Tensor, "row inner"], weight: Float[Tensor, "column inner"], precision: torch.dtype
) -> Float[Tensor, "row column"]:
    """``x weight^T`` in the precision that was asked for, given back as float32."""
    return (x.to(precision) @ weight.to(precision).T).float()


def _starts(sorted_groups: Indices, n_groups: int) -> Int[Tensor, " border"]:
    """Where each group begins in a sorted list of group numbers, and where the last one ends."""
    counts = torch.bincount(sorted_groups, minlength=n_groups)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
