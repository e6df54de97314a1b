"""How well each dictionary rebuilds what it stands for, in one pass over the text.

    FVU = sum |y - y_hat|^2 / sum |y - mean y|^2          L0 = mean number of features that fire on a token

over all tokens but the excluded first positions and the outliers, which training leaves out, too: one token that is a
thousand times as long as the others would be all that is seen. ``y_hat`` is what all dictionaries write at the site.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.model.model import Model
from circuitwise.quality.rebuilding import Rebuilding
from circuitwise.training.packing import Sequences
from circuitwise.training.pool import OUTLIER, measure_scales, read_sites
from circuitwise.training.recipe import Precision, Recipe
from circuitwise.training.scaling import Scale
from circuitwise.vocabulary import ResidualBatch, Site, Vector

BATCH_BYTES = 2**27
"""Activations that are held at once."""
SCALE_TOKENS = 4096
"""How many tokens say what is usual, about."""

Usual = Bool[Tensor, " token"]
"""Which tokens are no outliers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reconstruction:
    """What was found of one dictionary."""

    fvu: float
    """Fraction of variance unexplained, without outliers."""
    fvu_all: float
    """The same with them."""
    firing: float
    """Features that fire on a token, without outliers."""
    n_dead: int
    """Features that fired on none of these tokens."""
    mean: Vector
    """The mean of what it stands for, without outliers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reconstructions:
    """What was found of a set."""

    by_layer: Mapping[int, Reconstruction]
    """Of every dictionary, by the layer that it reads."""
    n_tokens: int
    """Tokens that were counted."""
    n_outliers: int
    """Tokens that were not."""


def reconstruct(
    model: Model,
    transcoders: Transcoders,
    sequences: Sequences,
    number: int,
    precision: Precision,
    done: Callable[[int], None],
) -> Reconstructions:
    """The reconstruction of every dictionary on the first sequences; ``done`` is told how many have been read."""
    sites = transcoders.sites
    first = sequences.take(0, min(number, max(1, SCALE_TOKENS // sequences.n_kept)))
    scales = measure_scales(model, replace(sequences, ids=first.int()), sites, Recipe(precision=precision))
    tallies = [_Tally(dictionary, scales[dictionary.writes[0]].mean) for dictionary in transcoders]
    n_tokens = n_outliers = 0
    step = max(1, BATCH_BYTES // (sequences.n_kept * len(sites) * model.d_model * 4))
    for start in range(0, number, step):
        n_here = min(step, number - start)
        flat = read_sites(model, sequences, sites, start, n_here, precision)
        usual = usual_tokens(flat, scales)
        values = {site: value.float().view(n_here, sequences.n_kept, -1) for site, value in flat.items()}
        rebuilding = Rebuilding(transcoders)
        for dictionary, tally in zip(transcoders, tallies, strict=True):
            tally.fire(dictionary, rebuilding, values[dictionary.read], usual)
        for dictionary, tally in zip(transcoders, tallies, strict=True):
            tally.compare(flat[dictionary.writes[0]], rebuilding.written[dictionary.writes[0]].flatten(0, 1), usual)
        n_tokens += int(usual.sum())
        n_outliers += int((~usual).sum())
        done(n_here)
    found = {dictionary.layer: tally.found() for dictionary, tally in zip(transcoders, tallies, strict=True)}
    return Reconstructions(by_layer=found, n_tokens=n_tokens, n_outliers=n_outliers)


def usual_tokens(values: Mapping[Site, Float[Tensor, "token d_model"]], scales: Mapping[Site, Scale]) -> Usual:
    """Which tokens are so long at no site that training would leave them out."""
    far: list[Tensor] = []
    for site, value in values.items():
        far.append(scales[site].apply(value).square().mean(1) > OUTLIER**2)
    return ~torch.stack(far).any(0)


class _Sums:
    """Sums over tokens, about a vector near their mean."""

    def __init__(self, about: Vector) -> None:
        self.about = about
        self.total = torch.zeros_like(about, dtype=torch.float64)
        self.n, self.unexplained, self.square = 0, 0.0, 0.0

    def add(self, y: Float[Tensor, "token d_model"], rebuilt: Float[Tensor, "token d_model"]) -> None:
        shifted = (y - self.about).double()
        self.n += len(y)
        self.total += shifted.sum(0)
        self.square += float(shifted.square().sum())
        self.unexplained += float((y - rebuilt).double().square().sum())

    @property
    def fvu(self) -> float:
        variance = self.square - float(self.total.square().sum()) / max(self.n, 1)
        return self.unexplained / max(variance, 1e-12)

    @property
    def mean(self) -> Vector:
        return self.about + (self.total / max(self.n, 1)).to(self.about)


class _Tally:
    """What is counted of one dictionary."""

    def __init__(self, dictionary: Dictionary, about: Vector) -> None:
        self.usual, self.everything = _Sums(about), _Sums(about)
        self.n_firing = 0
        self.fired = torch.zeros(dictionary.n_features, dtype=torch.bool, device=about.device)

    def fire(self, dictionary: Dictionary, rebuilding: Rebuilding, x: ResidualBatch, usual: Usual) -> None:
        firing = rebuilding.read(dictionary, x)
        features = firing.feature[usual[firing.pos]]
        self.n_firing += len(features)
        self.fired[features] = True

    def compare(self, y: Float[Tensor, "token d_model"], rebuilt: Float[Tensor, "token d_model"], usual: Usual) -> None:
        self.usual.add(y[usual].float(), rebuilt[usual])
        self.everything.add(y.float(), rebuilt)

    def found(self) -> Reconstruction:
        return Reconstruction(
            fvu=self.usual.fvu,
            fvu_all=self.everything.fvu,
            firing=self.n_firing / max(self.usual.n, 1),
            n_dead=int((~self.fired).sum()),
            mean=self.usual.mean,
        )
