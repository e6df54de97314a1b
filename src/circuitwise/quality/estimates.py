"""Numbers with their intervals, which may not exist: a share of nothing is no number."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from circuitwise.evidence.intervals import Bootstrap, Mean, Ratio, Statistic, bootstrap
from circuitwise.evidence.samples import FEWEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and where it lies with 95 % confidence."""

    value: float | None
    """None where there is none: nothing is lost that could be recovered, or nothing was measured."""
    low: float | None
    """The lower bound; None where there are too few samples, or what is divided by may as well be zero."""
    high: float | None
    """The upper bound."""

    @property
    def text(self) -> str:
        """Without its bounds."""
        return "none" if self.value is None else f"{self.value:.3f}"

    def __str__(self) -> str:
        bounds = "" if self.low is None or self.high is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.text}{bounds}"


def mean(values: Sequence[float]) -> float:
    """The plain mean."""
    return sum(values) / len(values)


def mean_of(values: Sequence[float]) -> Estimate:
    """The mean of one number a prompt."""
    if not values:
        return Estimate(value=None, low=None, high=None)
    return _bounded(mean(values), [values], Mean())


def recovered(without: Sequence[float], spliced: Sequence[float], model: Sequence[float]) -> Estimate:
    """(without - spliced) / (without - model), a ratio of means over the sequences that were measured."""
    gap = sum(without) - sum(model)
    if gap <= 0:
        return Estimate(value=None, low=None, high=None)
    value = (sum(without) - sum(spliced)) / gap
    return _bounded(value, [without, spliced, model], Ratio(top=(1.0, -1.0, 0.0), bottom=(1.0, 0.0, -1.0)))


def _bounded(value: float, columns: Sequence[Sequence[float]], statistic: Statistic) -> Estimate:
    if len(columns[0]) < FEWEST:
        return Estimate(value=value, low=None, high=None)
    found = bootstrap(*columns, statistic=statistic, how=Bootstrap())
    low, high = found.low, found.high
    return Estimate(value=value, low=low if isfinite(low) else None, high=high if isfinite(high) else None)
