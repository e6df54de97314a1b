"""What the model loses with dictionaries in the place of what they stand for.

The cross-entropy of the next token is measured with a site's value replaced at every position but the excluded first
ones: by its reconstruction, by zero, by its mean over the text. The share of the loss that the reconstruction avoids,

    recovered = (zeroed - spliced) / (zeroed - model)

is SAEBench's. A pass is run once and kept; the three changed copies go on from it at the layer that they change, which
halves the work. One layer alone reads the model's own activations, whatever the set: for a cross-layer set its output
is what the features of all layers so far write there. With all layers at once each dictionary reads what the others
have left.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import log_softmax

from circuitwise.model.forward import Pass, Rewrite, run, unembed
from circuitwise.model.model import Model
from circuitwise.model.resume import Copies, resume
from circuitwise.model.tokens import Padded
from circuitwise.quality.estimates import mean, recovered
from circuitwise.quality.quality import Spliced
from circuitwise.quality.rebuilding import put, rebuilt, splice_all
from circuitwise.replacement import Replacement
from circuitwise.training.packing import Sequences
from circuitwise.training.recipe import Precision
from circuitwise.vocabulary import Residual, ResidualBatch, Site, TokenBatch, Vector

LOGIT_BYTES = 2**28
"""Predictions of the model that are held at once."""

Predicted = Float[Tensor, "scored vocab"]
"""Logarithms of the probabilities of the next token."""
Copied = Float[Tensor, "copy column d_model"]
"""Something of all sequences with the reconstruction, then of all with zero, then of all with the mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """Of each sequence, the mean loss with another value at a site."""

    spliced: list[float] = field(default_factory=list[float])
    """With the reconstruction."""
    zeroed: list[float] = field(default_factory=list[float])
    """With zero."""
    averaged: list[float] = field(default_factory=list[float])
    """With the mean."""
    divergence: list[float] = field(default_factory=list[float])
    """From the model's prediction to that with the reconstruction."""

    def summary(self, model: Sequence[float]) -> Spliced:
        """In numbers, given the model's own losses."""
        return Spliced(
            spliced=mean(self.spliced),
            zeroed=mean(self.zeroed),
            averaged=mean(self.averaged),
            recovered=recovered(self.zeroed, self.spliced, model),
            recovered_over_mean=recovered(self.averaged, self.spliced, model),
            divergence=mean(self.divergence),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splices:
    """What was measured."""

    model: list[float]
    """The model's own loss, of each sequence."""
    alone: Mapping[int, Losses]
    """By layer, with that layer alone spliced in."""
    together: Losses
    """With all layers spliced in."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splicing:
    """What is spliced into what."""

    replacement: Replacement
    """The model and its dictionaries."""
    means: Mapping[Site, Vector]
    """The mean of every site that a dictionary stands for."""
    layers: tuple[int, ...]
    """The layers that are spliced in one by one."""
    precision: Precision
    """Of the model's large products."""

    @property
    def sites(self) -> dict[int, Site]:
        """What the dictionary of each layer stands for."""
        return {dictionary.layer: dictionary.writes[0] for dictionary in self.replacement.transcoders}

    @property
    def last(self) -> Site:
        """The stream that predictions are read off."""
        return Site(self.replacement.model.n_layers - 1, "resid_post")

    def low(self) -> AbstractContextManager[object]:
        """Products in the precision that was asked for."""
        device = self.replacement.model.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.precision == "bfloat16")


def n_blocks(replacement: Replacement, layers: Sequence[int]) -> int:
    """How many blocks run on each sequence if these layers are spliced in one by one."""
    n_layers = replacement.model.n_layers
    own = {dictionary.layer: dictionary.writes[0].layer for dictionary in replacement.transcoders}
    return 4 * n_layers + sum(3 * (n_layers - own[layer]) for layer in layers)


def splice(how: Splicing, sequences: Sequences, number: int, done: Callable[[int], None]) -> Splices:
    """Measure the first sequences; ``done`` is told how many blocks have run."""
    model = how.replacement.model
    found = Splices(model=[], alone={layer: Losses() for layer in how.layers}, together=Losses())
    step = max(1, LOGIT_BYTES // (sequences.ids.shape[1] * model.d_vocab * 4))
    for start in range(0, number, step):
        ids = sequences.take(start, min(step, number - start)).to(model.device)
        _measure(how, found, ids, sequences.n_excluded, done)
    return found


def _measure(how: Splicing, found: Splices, ids: TokenBatch, n_excluded: int, done: Callable[[int], None]) -> None:
    model, transcoders = how.replacement.model, how.replacement.transcoders
    tokens = Padded(ids, torch.ones_like(ids, dtype=torch.bool))
    with how.low():
        kept = run(model, tokens, read={*transcoders.sites, how.last}, logits="none", keep_calls=True)
    scoring = _Scoring(model, ids, n_excluded)
    found.model.extend(scoring.keep(kept.sites[how.last]))
    done(model.n_layers * len(ids))
    inputs = {dictionary.read: kept.sites[dictionary.read][:, n_excluded:] for dictionary in transcoders}
    reconstruction = rebuilt(transcoders, inputs)
    for layer, losses in found.alone.items():
        site = how.sites[layer]
        scoring.add(losses, _alone(how, kept, site, _choices(reconstruction[site], how.means[site]), n_excluded))
        done(3 * (model.n_layers - site.layer) * len(ids))
    scoring.add(found.together, _together(how, tokens, n_excluded))
    done(3 * model.n_layers * len(ids))


def _choices(reconstruction: ResidualBatch, average: Vector) -> Copied:
    """What a site is replaced by."""
    return torch.cat([reconstruction, torch.zeros_like(reconstruction), average.expand_as(reconstruction)])


def _alone(how: Splicing, kept: Pass, site: Site, choices: Tensor, n_excluded: int) -> Copied:
    """The last stream of the copies of a pass that go on from one layer, a site replaced."""
    n_copies = len(choices)
    rows = tuple(range(len(kept.tokens.ids))) * (n_copies // len(kept.tokens.ids))
    copies = Copies(rows=rows, layers=(site.layer,) * n_copies, start=0)
    with how.low():
        model, rewrite = how.replacement.model, {site: _replace(choices, n_excluded)}
        return resume(model, kept, copies, read=[how.last], rewrite=rewrite).sites[how.last]


def _together(how: Splicing, tokens: Padded, n_excluded: int) -> Copied:
    """The last stream with every site replaced."""
    sites = how.sites.values()
    rewrites: list[dict[Site, Rewrite]] = [
        splice_all(how.replacement.transcoders, n_excluded),
        {site: _replace(torch.zeros_like(how.means[site]), n_excluded) for site in sites},
        {site: _replace(how.means[site], n_excluded) for site in sites},
    ]
    with how.low():
        passes = [
            run(how.replacement.model, tokens, read=[how.last], rewrite=rewrite, logits="none") for rewrite in rewrites
        ]
    return torch.cat([one.sites[how.last] for one in passes])


def _replace(new: Float[Tensor, "*some d_model"], n_excluded: int) -> Rewrite:
    return lambda value, _: put(value, new, n_excluded)


@dataclass(slots=True, eq=False)
class _Scoring:
    """What the model predicts on some sequences, and how far other predictions are from that."""

    model: Model
    """The model."""
    ids: TokenBatch
    """The sequences."""
    n_excluded: int
    """Positions that predict nothing that counts."""
    predicted: list[Predicted] = field(default_factory=list[Tensor])
    """What the model predicts, sequence by sequence."""

    def keep(self, stream: ResidualBatch) -> list[float]:
        """Take this last stream as the model's own; its losses."""
        self.predicted = [self._predict(one) for one in stream]
        return [self._loss(number, predicted) for number, predicted in enumerate(self.predicted)]

    def add(self, losses: Losses, streams: Copied) -> None:
        """Note the losses of these last streams."""
        n_sequences = len(self.ids)
        for kind, lost in enumerate((losses.spliced, losses.zeroed, losses.averaged)):
            for number in range(n_sequences):
                predicted = self._predict(streams[kind * n_sequences + number])
                lost.append(self._loss(number, predicted))
                if lost is losses.spliced:
                    own = self.predicted[number]
                    losses.divergence.append(float((own.exp() * (own - predicted)).sum(-1).mean()))

    def _predict(self, stream: Residual) -> Predicted:
        normed = self.model.final_norm.module(stream[self.n_excluded : -1])
        return log_softmax(unembed(self.model, normed).float(), -1)

    def _loss(self, number: int, predicted: Predicted) -> float:
        following = self.ids[number, self.n_excluded + 1 :]
        return -float(predicted.gather(1, following[:, None]).mean())
