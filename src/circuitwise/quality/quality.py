"""What is known of a set of dictionaries: one row a layer, all layers together, and the graphs made with it."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from circuitwise.errors import ArtifactError
from circuitwise.quality.estimates import Estimate, mean
from circuitwise.storage import Json
from circuitwise.storage.jsontext import canonical_json, plain_json

if TYPE_CHECKING:
    import pandas

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
HEAD = ("layer", "features", "FVU", "L0", "dead", "spliced", "zeroed", "mean", "recovered", "over mean", "KL", "errors")
"""What the columns of the table are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spliced:
    """What the model loses with dictionaries in the place of what they stand for; all in nats a token."""

    spliced: float
    """Cross-entropy with the reconstruction."""
    zeroed: float
    """With zero instead."""
    averaged: float
    """With the mean instead."""
    recovered: Estimate
    """Of what zero loses, the share that the reconstruction does not: (zeroed - spliced) / (zeroed - model)."""
    recovered_over_mean: Estimate
    """The same with the mean in the place of zero."""
    divergence: float
    """KL divergence from the model's prediction to that with the reconstruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerQuality:
    """What is known of one layer's dictionary."""

    layer: int
    """The layer that it reads."""
    site: str
    """What it stands for: the first site that it writes."""
    n_features: int
    """How many features it has."""
    fvu: float
    """Fraction of variance unexplained, without outliers: 0 is perfect, 1 no better than the mean."""
    fvu_all: float
    """The same with outliers."""
    firing: float
    """Features that fire on a token (L0)."""
    n_dead: int
    """Features that fired on none of the tokens."""
    alone: Spliced
    """With this layer alone spliced in."""
    error_share: float | None
    """Of the paths of graphs, the share that starts in this layer's errors; None without graphs."""

    @property
    def dead(self) -> float:
        """Share of the features that never fired."""
        return self.n_dead / self.n_features


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphScores:
    """The mean scores of graphs, with their intervals over the prompts."""

    prompts: tuple[str, ...]
    """What they were made of."""
    rows: int
    """Features of a graph that become nodes, at most."""
    n_scored: int
    """Prompts that have scores: those where something reaches a target."""
    replacement: Estimate
    """The share of paths that starts in tokens and not in errors."""
    completeness: Estimate
    """The share of inputs that comes from no error."""
    replacement_folded: Estimate
    """Replacement, with features that got no node counted as errors."""
    completeness_folded: Estimate
    """Completeness, with features that got no node counted as errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What it was measured on."""

    text: str
    """The name of the file or folder, or how many texts were given."""
    n_tokens: int
    """Tokens for variance, firing and dead features."""
    n_outliers: int
    """Tokens that were left out of these because they are unlike all others."""
    n_spliced: int
    """Tokens whose prediction was measured."""
    context: int
    """Tokens that the model read at a time."""
    n_excluded: int
    """Positions at the start of each that were left alone."""
    precision: str
    """Of the model's large products."""
    dtype: str
    """Number type of the model's weights."""
    seed: int
    """Which sequences were taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How good a set of dictionaries is for a model, measured on a text that it was not trained on."""

    __pydantic_config__ = _STRICT

    transcoders: str
    """The set."""
    checksum: str | None
    """SHA-256 over its files, where it was read from some."""
    kind: str
    """What its dictionaries are."""
    model: str
    """The model that it was measured with."""
    made_for: str | None
    """The model that it says it was trained on."""
    misfit: bool
    """Whether it does not reconstruct the model and was let through."""
    n_trained: int | None
    """Tokens that it saw in training, repetitions counted, where that is known."""
    measured: Measured
    """What it was measured on."""
    cross_entropy: float
    """Of the model itself, in nats a token."""
    layers: tuple[LayerQuality, ...]
    """One row each."""
    together: Spliced
    """With all layers spliced in at once."""
    graphs: GraphScores | None
    """Of graphs; None where none were asked for or the set allows none."""
    no_graphs: str | None = None
    """Why the set allows none."""

    @property
    def mean_fvu(self) -> float:
        """Over the rows."""
        return mean([row.fvu for row in self.layers])

    @property
    def mean_firing(self) -> float:
        """Over the rows."""
        return mean([row.firing for row in self.layers])

    @property
    def mean_dead(self) -> float:
        """Over the rows."""
        return mean([row.dead for row in self.layers])

    @property
    def mean_recovered(self) -> float | None:
        """With one layer spliced in, over the rows whose share has bounds (or any, if none has)."""
        shares = self._shares()
        return mean(shares) if shares else None

    def _shares(self) -> list[float]:
        every = [row.alone.recovered for row in self.layers]
        bounded = [share for share in every if share.low is not None]
        return [share.value for share in bounded or every if share.value is not None]

    def rows(self) -> list[tuple[str, ...]]:
        """The table as text, its head first: every layer, their mean, and all layers at once."""
        average = ("mean", "", f"{self.mean_fvu:.3f}", f"{self.mean_firing:.1f}", f"{self.mean_dead:.1%}", "", "", "")
        n_shares, n_rows = len(self._shares()), len(self.layers)
        recovered = "none" if self.mean_recovered is None else f"{self.mean_recovered:.3f}"
        recovered += f" ({n_shares} of {n_rows})" if n_shares < n_rows else ""
        return [
            HEAD,
            *(_row(row) for row in self.layers),
            (*average, recovered, "", "", ""),
            ("all at once", "", "", "", "", *_cells(self.together), ""),
        ]

    def to_pandas(self) -> "pandas.DataFrame":
        """One row a layer, indexed by it; bounds of intervals in columns of their own."""
        import pandas

        records = [{**_flat("", asdict(row)), "dead": row.dead} for row in self.layers]
        return pandas.DataFrame.from_records(records).set_index("layer")

    def to_json(self) -> dict[str, Json]:
        """As plain JSON; ``from_json`` reads it back."""
        return cast("dict[str, Json]", plain_json(asdict(self), what="the quality"))

    @classmethod
    def from_json(cls, value: Json, *, what: str = "The quality") -> "Quality":
        """The quality that this JSON holds; unknown, missing and wrongly typed fields are errors."""
        try:
            return _ADAPTER.validate_json(canonical_json(value, what=what))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "itself"
            raise ArtifactError(f"{what} cannot be understood: {where}: {first['msg']}. Measure it anew.") from None


def _row(row: LayerQuality) -> tuple[str, ...]:
    errors = "" if row.error_share is None else f"{row.error_share:.1%}"
    sizes = (str(row.layer), f"{row.n_features:,}", f"{row.fvu:.3f}", f"{row.firing:.1f}", f"{row.dead:.1%}")
    return (*sizes, *_cells(row.alone), errors)


def _cells(found: Spliced) -> tuple[str, ...]:
    entropies = (f"{value:.3f}" for value in (found.spliced, found.zeroed, found.averaged))
    return (*entropies, str(found.recovered), found.recovered_over_mean.text, f"{found.divergence:.3f}")


def _flat(prefix: str, value: dict[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, entry in value.items():
        if isinstance(entry, dict):
            found |= _flat(f"{prefix}{name}_", cast("dict[str, object]", entry))
        else:
            found[prefix + name] = entry
    return found


_ADAPTER = TypeAdapter(Quality)
