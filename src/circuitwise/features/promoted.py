"""The tokens that a feature promotes and suppresses: its decoder direction through final norm and unembedding.

    logits of feature f = W_U (g * centre(sum_w W_dec[f, w]))    less their mean over the vocabulary

``g`` is the final norm's weight; ``centre`` removes the mean where the norm does (LayerNorm). For a cross-layer
dictionary the writes to all layers are summed; what is written before a post-norm goes through that norm's weight too.
This is the direct path alone: what later layers make of the direction is not in it. The division by the norm's scale,
the same for all tokens, is left out, and so is a soft bound on the logits, which keeps their order. So the values
compare tokens of one feature; they are no logits of a prompt.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.errors import RequestError
from circuitwise.model.blocks import Norm
from circuitwise.model.model import Model
from circuitwise.vocabulary import Indices

VALUES_PER_SLICE = 2**24
"""How many logits exist at once: features are taken in slices of so many over the vocabulary's size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Promoted:
    """The tokens at both ends of some features' logits, strongest first."""

    top: Int[Tensor, "feature token"]
    """Ids of the tokens that each feature speaks for most."""
    top_value: Float[Tensor, "feature token"]
    """How much."""
    bottom: Int[Tensor, "feature token"]
    """Ids of the tokens that it speaks against most."""
    bottom_value: Float[Tensor, "feature token"]
    """How much; negative where it lowers them below the mean."""


@torch.no_grad()
def promoted_tokens(model: Model, dictionary: Dictionary, *, features: Indices | None = None, n: int = 10) -> Promoted:
    """The ``n`` tokens that features of a layer promote, and those that they suppress; of all features unless named."""
    if not 1 <= n <= model.d_vocab:
        raise RequestError(f"Cannot name {n} tokens of a vocabulary of {model.d_vocab}. Ask for at least one.")
    chosen = torch.arange(dictionary.n_features) if features is None else features.cpu()
    parts: list[tuple[Tensor, ...]] = []
    for logits in _logits(model, dictionary, chosen):
        top, bottom = logits.topk(n, 1), logits.topk(n, 1, largest=False)
        parts.append((top.indices.cpu(), top.values.cpu(), bottom.indices.cpu(), bottom.values.cpu()))
    top, top_value, bottom, bottom_value = (torch.cat(part) for part in zip(*parts, strict=True))
    return Promoted(top=top, top_value=top_value, bottom=bottom, bottom_value=bottom_value)


def _logits(model: Model, dictionary: Dictionary, chosen: Indices) -> Iterator[Float[Tensor, "feature vocab"]]:
    """Centred logits, a slice of the features at a time."""
    weight = model.unembedding.weight.float()
    mean = weight.mean(0)
    step = max(1, VALUES_PER_SLICE // model.d_vocab)
    for start in range(0, len(chosen), step):
        read = _through(model.final_norm, _written(model, dictionary, chosen[start : start + step]))
        yield torch.addmm(-(read @ mean)[:, None], read, weight.T)


def _written(model: Model, dictionary: Dictionary, some: Indices) -> Float[Tensor, "feature d_model"]:
    """What the features write to the stream, all sites together."""
    rows = dictionary.decoder_rows(some).to(model.device, torch.float32)
    total = torch.zeros_like(rows[:, 0])
    for place, site in enumerate(dictionary.writes):
        norm = model.blocks[site.layer].mlp_post_norm if site.kind == "mlp_raw" else None
        total += rows[:, place] if norm is None else _through(norm, rows[:, place])
    return total


def _through(norm: Norm, rows: Float[Tensor, "feature d_model"]) -> Float[Tensor, "feature d_model"]:
    return norm.centre(rows) * norm.weight.float()
