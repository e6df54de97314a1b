"""What every feature of a set does on a text, found in one pass over it.

``survey`` reads token sequences once. For every feature it counts firings, fills a histogram, keeps the strongest
contexts and a sample of all, names the tokens that it promotes, and makes a label of these. Memory is bounded by

    features * (600 + (strongest + sampled) * (16 + 4 * window)) bytes

(600 is the histogram and the counts), whatever the length of the text; the tokens themselves take four bytes each.

The model's products run in ``bfloat16`` unless told otherwise, as in training; dictionaries are applied in single
precision. ``Survey.precision`` says which it was, since activations differ by about a percent between the two.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import RequestError
from circuitwise.features.examples import Contexts, Examples, window_start
from circuitwise.features.labels import Label, Labeller, Peak
from circuitwise.features.profile import Context, Profile, Token, bars_of
from circuitwise.features.promoted import promoted_tokens
from circuitwise.features.tally import Tally
from circuitwise.model.fingerprint import fingerprint
from circuitwise.model.forward import run
from circuitwise.model.model import Model
from circuitwise.model.tokens import Padded, token_text
from circuitwise.replacement import Replacement
from circuitwise.storage import sha256_of_tensors
from circuitwise.storage.checksum import sha256_of_text
from circuitwise.storage.jsontext import canonical_json
from circuitwise.vocabulary import Feature, Site, TokenBatch, integers, numbers

Precision = Literal["bfloat16", "float32"]
TOKENS_PER_RUN = 2048
"""How many tokens run through the model together."""
QUINTILES = 5
"""Into how many groups the drawn contexts fall, by strength."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a survey belongs to."""

    model: str
    """The model's name."""
    model_sha256: str
    """The checksum of its weights."""
    transcoders: str
    """The dictionaries' name."""
    transcoders_sha256: str
    """The checksum of their files, or of their weights where they came from none."""
    text_sha256: str
    """The checksum of the token sequences."""
    precision: Precision
    """What the model's products were computed in."""
    n_excluded: int
    """Positions at the start of each sequence that were left out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerSurvey:
    """What the features of one layer do, a row each."""

    n_firings: Int[Tensor, " feature"]
    """Positions at which each fires."""
    mean: Float[Tensor, " feature"]
    """Its mean activation there; 0 where it never fires."""
    histogram: Int[Tensor, "feature bin"]
    """How many of its activations lie in each of the bins of ``tally``."""
    strongest: Contexts
    """Where it fires most."""
    sampled: Contexts
    """Drawn from all places where it fires."""
    promoted: Int[Tensor, "feature token"]
    """Tokens that it promotes, most first."""
    suppressed: Int[Tensor, "feature token"]
    """Tokens that it suppresses, most first."""
    labels: tuple[Label, ...]
    """Its name."""

    @property
    def n_features(self) -> int:
        """How many features there are."""
        return len(self.n_firings)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """What every feature of a set does on a text."""

    origin: Origin
    """What it belongs to."""
    how: Examples
    """What was kept."""
    sequences: Int[Tensor, "sequence context"]
    """The text."""
    texts: Mapping[int, str]
    """Every token that occurs in it or is promoted."""
    layers: Mapping[int, LayerSurvey]
    """By layer."""

    @property
    def n_positions(self) -> int:
        """Positions that were looked at."""
        return len(self.sequences) * (self.sequences.shape[1] - self.origin.n_excluded)

    def profile(self, feature: Feature) -> Profile:
        """All that is known of one feature."""
        layer = self._layer_of(feature)
        row = feature.index
        drawn = sorted(self._contexts(layer.sampled, row), key=lambda context: -context.value)
        cuts = [len(drawn) * part // QUINTILES for part in range(QUINTILES + 1)]
        strongest = tuple(self._contexts(layer.strongest, row))
        return Profile(
            feature=feature,
            n_firings=int(layer.n_firings[row]),
            n_positions=self.n_positions,
            frequency=int(layer.n_firings[row]) / self.n_positions,
            mean=float(layer.mean[row]),
            maximum=strongest[0].value if strongest else 0.0,
            bars=bars_of(integers(layer.histogram[row])),
            promoted=self._tokens(layer.promoted[row]),
            suppressed=self._tokens(layer.suppressed[row]),
            strongest=strongest,
            quintiles=tuple(tuple(drawn[start:stop]) for start, stop in zip(cuts, cuts[1:], strict=False)),
            label=layer.labels[row],
        )

    def labels(self, features: Collection[Feature]) -> dict[Feature, str]:
        """The labels of some features; those of layers that it does not hold are left out."""
        return {
            feature: self.layers[feature.layer].labels[feature.index].text
            for feature in features
            if feature.layer in self.layers and feature.index < self.layers[feature.layer].n_features
        }

    def _layer_of(self, feature: Feature) -> LayerSurvey:
        layer = self.layers.get(feature.layer)
        if layer is None:
            held = ", ".join(map(str, self.layers))
            raise RequestError(
                f"The survey holds the layers {held}, so it knows no {feature}. Name one of these layers."
            )
        if not 0 <= feature.index < layer.n_features:
            raise RequestError(
                f"There is no {feature}: layer {feature.layer} has the features 0 to {layer.n_features - 1}."
            )
        return layer

    def _contexts(self, contexts: Contexts, row: int) -> Iterator[Context]:
        for place in range(contexts.sequence.shape[1]):
            sequence, pos = int(contexts.sequence[row, place]), int(contexts.pos[row, place])
            if sequence >= 0:
                start = int(window_start(contexts.pos[row, place], self.how, self.sequences.shape[1]))
                ids = self.sequences[sequence, start : start + contexts.window.shape[2]]
                yield Context(
                    sequence=sequence,
                    start=start,
                    tokens=self._tokens(ids),
                    activations=tuple(numbers(contexts.window[row, place])),
                    peak=pos - start,
                )

    def _tokens(self, ids: Tensor) -> tuple[Token, ...]:
        return tuple(Token(token, self.texts[token]) for token in integers(ids))


@torch.no_grad()
def survey(
    replacement: Replacement,
    sequences: TokenBatch,
    how: Examples = Examples(),
    *,
    n_excluded: int = 1,
    precision: Precision = "bfloat16",
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """What all features of all layers do on sequences of one length; ``progress`` is told (tokens, all tokens)."""
    model = replacement.model
    _check(model, sequences, n_excluded)
    n_pos = sequences.shape[1]
    tallies = [Tally(dictionary, how, n_pos, model.device) for dictionary in replacement.transcoders]
    step = max(1, TOKENS_PER_RUN // n_pos)
    for start in range(0, len(sequences), step):
        some = sequences[start : start + step]
        inputs = read_inputs(replacement, some, precision)
        for tally in tallies:
            tally.add(inputs[tally.dictionary.read], n_excluded, start)
        if progress is not None:
            progress((start + len(some)) * n_pos, sequences.numel())
    origin = Origin(
        model=model.name,
        model_sha256=fingerprint(model),
        transcoders=replacement.transcoders.name,
        transcoders_sha256=transcoders_checksum(replacement.transcoders),
        text_sha256=sha256_of_tensors([("sequences", sequences.int())]),
        precision=precision,
        n_excluded=n_excluded,
    )
    return _finished(model, tallies, sequences.int().cpu(), origin, how)


def read_inputs(
    replacement: Replacement, sequences: TokenBatch, precision: Precision
) -> dict[Site, Float[Tensor, "sequence pos d_model"]]:
    """What the dictionaries read on some sequences."""
    model, reads = replacement.model, [dictionary.read for dictionary in replacement.transcoders]
    ids = sequences.to(model.device).long()
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        seen = run(model, Padded(ids, torch.ones_like(ids, dtype=torch.bool)), read=reads, logits="none")
    return {site: value.float() for site, value in seen.sites.items()}


def transcoders_checksum(transcoders: Transcoders) -> str:
    """One checksum for a set: of its files' checksums, or of its weights where it came from no files."""
    if transcoders.checksums:
        return sha256_of_text(canonical_json(dict(transcoders.checksums), what="The checksums"))
    weights = ((f"{each.read} {name}", getattr(each, name)) for each in transcoders for name in ("encoder", "decoder"))
    return sha256_of_tensors(weights)


def _check(model: Model, sequences: TokenBatch, n_excluded: int) -> None:
    if not sequences.numel():
        raise RequestError("There is no sequence to look at. Give at least one.")
    if not 0 <= n_excluded < sequences.shape[1]:
        raise RequestError(f"Sequences of {sequences.shape[1]} tokens cannot leave out {n_excluded}. Leave out fewer.")
    if int(sequences.min()) < 0 or int(sequences.max()) >= model.d_vocab:
        raise RequestError(f"{model.name} has {model.d_vocab} tokens; the sequences hold ids that are none of them.")


def _finished(model: Model, tallies: list[Tally], sequences: Tensor, origin: Origin, how: Examples) -> Survey:
    layers: dict[int, LayerSurvey] = {}
    counts = dict(enumerate(integers(torch.bincount(sequences.flatten().long(), minlength=model.d_vocab))))
    ends = [promoted_tokens(model, tally.dictionary, n=min(how.tokens, model.d_vocab)) for tally in tallies]
    occurring = {token for token, count in counts.items() if count}
    occurring.update(*(integers(torch.cat([end.top, end.bottom]).flatten()) for end in ends))
    texts = {token: token_text(model, token) for token in sorted(occurring)}
    labeller = Labeller(texts, {token: count for token, count in counts.items() if count})
    for tally, end in zip(tallies, ends, strict=True):
        strongest, sampled = tally.strongest.contexts(), tally.sampled.contexts()
        columns = (_peaks(strongest, sequences), _peaks(sampled, sequences), _rows(end.top))
        n_firings = tally.n_firings.cpu()
        layers[tally.dictionary.layer] = LayerSurvey(
            n_firings=n_firings,
            mean=(tally.total.cpu() / n_firings.clamp(min=1)).float(),
            histogram=tally.histogram.view(len(n_firings), -1).cpu(),
            strongest=strongest,
            sampled=sampled,
            promoted=end.top.int(),
            suppressed=end.bottom.int(),
            labels=tuple(labeller.label(*each) for each in zip(*columns, strict=True)),
        )
    return Survey(origin=origin, how=how, sequences=sequences, texts=texts, layers=layers)


def _peaks(contexts: Contexts, sequences: Tensor) -> Iterator[list[Peak]]:
    """For every feature the tokens that it peaks on, each with the one before."""
    sequence, pos = contexts.sequence.long().clamp(min=0), contexts.pos.long()
    token = sequences[sequence, pos.clamp(min=0)]
    before = torch.where(pos > 0, sequences[sequence, (pos - 1).clamp(min=0)], -1)
    counts = integers((contexts.sequence >= 0).sum(1))
    for n, tokens, befores in zip(counts, _rows(token), _rows(before), strict=True):
        yield [Peak(*each) for each in zip(tokens[:n], befores[:n], strict=True)]


def _rows(table: Tensor) -> list[list[int]]:
    return cast("list[list[int]]", table.tolist())
