r"""Intervals: how far an estimate may be off, by drawing whole clusters of prompts again.

    draw:     G of the G clusters, with replacement          statistic of what was drawn, again and again
    interval: the quantiles of the draws at Phi(-/+ sqrt(G / (G - 1)) t_{G - 1, (1 + level) / 2})

The quantiles are wider than the plain ones (Hesterberg 2015, arXiv 1411.5279), which with few clusters are too narrow.
``bca`` corrects them for bias and skew (Efron 1987). Fewer than ten clusters are too few to be drawn again (of three,
the extreme draws hold the mean three times in four): there it is Student's t with the jackknife's standard error,

    estimate -/+ t_{G - 1, (1 + level) / 2} sqrt((G - 1) / G sum (left out - mean left out)^2)

A ratio whose denominator may as well be zero has no bounds: its interval is infinite.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

import numpy as np
from jaxtyping import Float64, UInt
from scipy import stats

from circuitwise.errors import RequestError
from circuitwise.evidence.samples import Clusters, Codes, Numbers, Table, Values, blocks, read_clusters, read_table

Draws = Float64[np.ndarray, " draw"]
Counts = UInt[np.ndarray, "draw cluster"]
"""How often each cluster is in each of some draws."""
FEW = 10
"""Fewer clusters than this are not drawn again."""
Method = Literal["percentile", "bca"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and where it lies with so much confidence."""

    estimate: float
    """From all prompts."""
    low: float
    """The lower bound."""
    high: float
    """The upper bound."""
    level: float
    """How often such an interval holds the truth, about."""
    n: int
    """Prompts."""
    n_clusters: int
    """Clusters of prompts: what was drawn."""

    def excludes(self, value: float) -> bool:
        """Whether a value lies outside."""
        return not self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.estimate:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How an interval is found."""

    draws: int = 4000
    """How often clusters are drawn again."""
    level: float = 0.95
    """The confidence."""
    method: Method = "percentile"
    """Widened percentiles, or these corrected for bias and skew, which takes some thirty clusters; with fewer than ten
    clusters, neither."""
    seed: int = 0
    """Governs the draws."""

    def __post_init__(self) -> None:
        if self.draws < 100 or not 0 < self.level < 1:
            raise RequestError(f"An interval needs 100 draws at least and a level between 0 and 1, not {self}.")


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of the first column."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of weighted sums of the columns' means: never a mean of ratios, which explodes near zero."""

    top: tuple[float, ...] = (1.0, 0.0)
    """The weight of each column above the line."""
    bottom: tuple[float, ...] = (0.0, 1.0)
    """Below the line."""


@dataclass(frozen=True, slots=True)
class Custom:
    """Any other number that can be computed from the rows."""

    of: Callable[[Table], float]
    """From some of the rows to the number."""


Statistic = Mean | Ratio | Custom


def bootstrap(
    *columns: Numbers, statistic: Statistic = Mean(), clusters: Clusters | None = None, how: Bootstrap = Bootstrap()
) -> Interval:
    """The interval of a statistic of one or several numbers a prompt."""
    table = read_table(columns, "values")
    codes = read_clusters(clusters, len(table))
    n_clusters = int(codes.max()) + 1
    estimate = float(_evaluate(statistic, table, codes, np.ones((1, n_clusters), np.uint8))[0])
    low, high = _bounds(statistic, table, codes, estimate, how)
    return Interval(estimate=estimate, low=low, high=high, level=how.level, n=len(table), n_clusters=n_clusters)


def bootstrap_pair(
    first: Numbers, second: Numbers, *, clusters: Clusters | None = None, how: Bootstrap = Bootstrap()
) -> Interval:
    """The interval of the mean difference between two numbers that were measured on the same prompts."""
    table = read_table([first, second], "values")
    return bootstrap(table[:, 0] - table[:, 1], clusters=clusters, how=how)


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """The interval of a proportion (Wilson 1927): it never leaves 0 to 1 and is right for few prompts, too."""
    if not 0 <= successes <= n or n < 1:
        raise RequestError(
            f"{successes} of {n} is no proportion: count one prompt at least, and no more than there are."
        )
    found = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    low, high = (float(bound) for bound in cast("tuple[float, float]", found))
    return Interval(estimate=successes / n, low=low, high=high, level=level, n=n, n_clusters=n)


@lru_cache(maxsize=1)
def _draw(n_clusters: int, n_draws: int, seed: int) -> Counts:
    """Every draw of clusters: most of the work, and the same for all numbers of the same prompts."""
    generator, even = np.random.default_rng(seed), np.full(n_clusters, 1 / n_clusters)
    smallest = np.min_scalar_type(n_clusters)
    sizes = map(len, blocks(n_draws, n_clusters))
    return np.concatenate([generator.multinomial(n_clusters, even, size).astype(smallest) for size in sizes])


def _bounds(statistic: Statistic, table: Table, codes: Codes, estimate: float, how: Bootstrap) -> tuple[float, float]:
    n_clusters = int(codes.max()) + 1
    if isinstance(statistic, Ratio) and _may_be_zero(statistic, table, codes, how):
        return -np.inf, np.inf
    left_out = _evaluate(statistic, table, codes, _without_each(n_clusters))
    drawn = left_out if n_clusters < FEW else _evaluate(statistic, table, codes, _draw(n_clusters, how.draws, how.seed))
    if not np.isfinite([*drawn, *left_out]).all():
        raise RequestError(
            f"{int((~np.isfinite(drawn)).sum())} of {len(drawn)} draws of the prompts give no finite number, so there "
            "is no interval. Take a statistic that exists for every part of the prompts, or more prompts."
        )
    if n_clusters < FEW:
        return _student(estimate, left_out, how.level)
    reach = _reach(n_clusters, how.level)
    shares = _outside(reach) if how.method == "percentile" else _corrected(drawn, estimate, left_out, reach)
    low, high = np.quantile(drawn, shares)
    return float(low), float(high)


def _without_each(n_clusters: int) -> Counts:
    """All clusters but one, for each of them."""
    return 1 - np.eye(n_clusters, dtype=np.uint8)


def _evaluate(statistic: Statistic, table: Table, codes: Codes, counts: Counts) -> Draws:
    """The statistic of every draw, given how often each cluster was drawn."""
    match statistic:
        case Mean():
            return _means(table, codes, counts)[:, 0]
        case Ratio(top=top, bottom=bottom):
            if not len(top) == len(bottom) == table.shape[1]:
                raise RequestError(f"{statistic} weighs another number of columns than the {table.shape[1]} there are.")
            means = _means(table, codes, counts)
            below = means @ np.asarray(bottom)
            if (below == 0).any():
                raise RequestError("The mean below the line is zero, so there is no ratio: nothing is to be explained.")
            return means @ np.asarray(top) / below
        case Custom(of=of):
            rows = [np.flatnonzero(codes == cluster) for cluster in range(counts.shape[1])]
            chosen = (np.concatenate([np.repeat(rows[c], k) for c, k in enumerate(count) if k]) for count in counts)
            return np.asarray([float(of(table[take])) for take in chosen])


def _means(table: Table, codes: Codes, counts: Counts) -> Float64[np.ndarray, "draw column"]:
    n_clusters = counts.shape[1]
    sums, sizes = np.zeros((n_clusters, table.shape[1])), np.bincount(codes, minlength=n_clusters)
    np.add.at(sums, codes, table)
    drawn = (counts[some.start : some.stop].astype(np.float64) for some in blocks(len(counts), n_clusters))
    return np.concatenate([some @ sums / (some @ sizes)[:, None] for some in drawn])


def _may_be_zero(ratio: Ratio, table: Table, codes: Codes, how: Bootstrap) -> bool:
    """Whether the interval of what is below the line holds zero."""
    n_clusters = int(codes.max()) + 1
    if n_clusters < FEW:
        below = _means(table, codes, _without_each(n_clusters)) @ np.asarray(ratio.bottom)
        low, high = _student(float(table.mean(0) @ np.asarray(ratio.bottom)), below, how.level)
    else:
        below = _means(table, codes, _draw(n_clusters, how.draws, how.seed)) @ np.asarray(ratio.bottom)
        low, high = np.quantile(below, _outside(_reach(n_clusters, how.level)))
    return bool(low <= 0 <= high)


def _student(estimate: float, left_out: Values, level: float) -> tuple[float, float]:
    """Student's interval with the jackknife's standard error."""
    n_clusters = len(left_out)
    error = float(np.sqrt((n_clusters - 1) / n_clusters * ((left_out - left_out.mean()) ** 2).sum()))
    half = float(stats.t.ppf((1 + level) / 2, n_clusters - 1)) * error
    return estimate - half, estimate + half


def _reach(n_clusters: int, level: float) -> float:
    """How many standard errors of the draws the bounds are away, for so few clusters."""
    return float(np.sqrt(n_clusters / (n_clusters - 1)) * stats.t.ppf((1 + level) / 2, n_clusters - 1))


def _outside(reach: float) -> tuple[float, float]:
    """The shares of draws below the bounds."""
    tail = float(stats.norm.cdf(-reach))
    return tail, 1 - tail


def _corrected(drawn: Draws, estimate: float, left_out: Values, reach: float) -> tuple[float, float]:
    """The shares of draws below the bounds, corrected for bias and skew."""
    below = float(((drawn < estimate).mean() + (drawn <= estimate).mean()) / 2)
    spread = left_out.mean() - left_out
    if below in (0.0, 1.0) or not spread.any():
        return _outside(reach)
    bias = float(stats.norm.ppf(below))
    skew = float((spread**3).sum() / (6 * (spread**2).sum() ** 1.5))
    low, high = (float(stats.norm.cdf(bias + z / (1 - skew * z))) for z in (bias - reach, bias + reach))
    return low, high
