"""Permutation tests: how often chance alone does as well.

    p = (1 + arrangements at least as extreme) / (1 + arrangements drawn)

or, where all arrangements are fewer than would be drawn, the exact share of them. Two-sided is twice the smaller tail.
Clusters are flipped as a whole; within strata (a template, a length) labels change places, never across.
"""

import math
from dataclasses import dataclass
from itertools import combinations, permutations, product
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64

from circuitwise.errors import RequestError
from circuitwise.evidence.samples import (
    FEWEST,
    Clusters,
    Codes,
    Numbers,
    blocks,
    read_clusters,
    read_sample,
    read_table,
)

Side = Literal["two-sided", "greater", "less"]
"""Which deviations count as extreme."""
SLACK = 1e-12
"""Arrangements that differ from what was seen by rounding only are as extreme."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Significance:
    """How a statistic compares with chance."""

    statistic: float
    """What was seen."""
    p: float
    """How often chance does as well."""
    n: int
    """Prompts (or pairs, or clusters) that were arranged."""
    how: str
    """What was permuted, and whether all arrangements were counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permute:
    """How chance is tried."""

    draws: int = 9999
    """Arrangements drawn at most; where there are fewer, all are counted."""
    side: Side = "two-sided"
    """Which deviations count."""
    seed: int = 0
    """Governs the draws."""

    def __post_init__(self) -> None:
        if self.draws < 99:
            raise RequestError(f"{self.draws} arrangements cannot show p < 0.05 reliably. Draw 99 at least.")


def flip_signs(differences: Numbers, *, clusters: Clusters | None = None, how: Permute = Permute()) -> Significance:
    """Whether paired differences are zero in the mean: under chance each might have had the other sign."""
    sample = read_sample(differences, "differences")
    codes = read_clusters(clusters, len(sample))
    sums = np.bincount(codes, weights=sample)
    n_clusters = len(sums)
    exact = 2**n_clusters <= how.draws + 1
    if exact:
        drawn = np.asarray(list(product((1.0, -1.0), repeat=n_clusters))) @ sums
    else:
        generator, sizes = np.random.default_rng(how.seed), map(len, blocks(how.draws, n_clusters))
        drawn = np.concatenate([generator.choice((1.0, -1.0), (size, n_clusters)) @ sums for size in sizes])
    drawn = drawn / len(sample)
    p = _p_value(drawn, float(sample.mean()), how.side, exact=exact)
    return Significance(statistic=float(sample.mean()), p=p, n=n_clusters, how=_words("signs", len(drawn), exact))


def permute_labels(
    first: Numbers, second: Numbers, *, strata: tuple[Clusters, Clusters] | None = None, how: Permute = Permute()
) -> Significance:
    """Whether two groups have the same mean: under chance their members might change places, within their strata."""
    groups = read_sample(first, "values of the first group"), read_sample(second, "values of the second group")
    values = np.concatenate(groups)
    label = np.repeat([True, False], [len(group) for group in groups])
    names = ["all"] * len(values) if strata is None else [*map(str, strata[0]), *map(str, strata[1])]
    codes = read_clusters(names, len(values), fewest=1)
    n_ways = math.prod(math.comb(int(n), int(k)) for n, k in zip(*_counts(codes, label), strict=True))
    if n_ways == 1:
        raise RequestError("Every stratum holds prompts of one group only, so none can change places. Merge strata.")
    exact = n_ways <= how.draws + 1
    labels = _all_labels(codes, label) if exact else _draw_labels(codes, label, how)
    seen = float(values[label].mean() - values[~label].mean())
    drawn = labels @ values / label.sum() - (1.0 - labels) @ values / (~label).sum()
    p = _p_value(drawn, seen, how.side, exact=exact)
    return Significance(statistic=seen, p=p, n=len(values), how=_words("labels", len(drawn), exact))


def permute_pairs(first: Numbers, second: Numbers, *, how: Permute = Permute()) -> Significance:
    """Whether two numbers of the same prompts correlate (Pearson): under chance either might belong to any prompt."""
    table = read_table([first, second], "values")
    if (np.ptp(table, 0) == 0).any():
        raise RequestError("One of the two numbers is the same for all prompts, so there is no correlation with it.")
    a, b = (table - table.mean(0)).T / np.sqrt(((table - table.mean(0)) ** 2).sum(0))[:, None]

    exact = math.factorial(len(a)) <= how.draws + 1
    if exact:
        order = np.asarray(list(permutations(range(len(a)))))
    else:
        order = np.random.default_rng(how.seed).permuted(np.tile(np.arange(len(a)), (how.draws, 1)), axis=1)
    seen, drawn = float(a @ b), a[order] @ b
    p = _p_value(drawn, seen, how.side, exact=exact)
    return Significance(statistic=seen, p=p, n=len(a), how=_words("pairings", len(drawn), exact))


def compare_with_null(seen: float, null: Numbers, *, side: Side = "greater") -> Significance:
    """How a number compares with those of random controls, itself counted as one of them."""
    drawn = read_sample(null, "values of random controls", fewest=FEWEST)
    p = _p_value(drawn, seen, side, exact=False)
    return Significance(statistic=seen, p=p, n=len(drawn), how=f"against {len(drawn)} random controls")


def _p_value(drawn: Float64[np.ndarray, " draw"], seen: float, side: Side, *, exact: bool) -> float:
    slack = SLACK * max(abs(seen), float(np.abs(drawn).max()))
    above, below = int((drawn >= seen - slack).sum()), int((drawn <= seen + slack).sum())
    count = {"greater": above, "less": below, "two-sided": min(above, below)}[side]
    share = count / len(drawn) if exact else (1 + count) / (1 + len(drawn))
    return min(1.0, 2 * share if side == "two-sided" else share)


def _words(what: str, n: int, exact: bool) -> str:
    return f"all {n} arrangements of {what}" if exact else f"{n} random arrangements of {what}"


def _counts(codes: Codes, label: Bool[np.ndarray, " sample"]) -> tuple[np.ndarray, np.ndarray]:
    """How many prompts each stratum has, and how many of them are of the first group."""
    return np.bincount(codes), np.bincount(codes, weights=label)


def _all_labels(codes: Codes, label: Bool[np.ndarray, " sample"]) -> Float64[np.ndarray, "draw sample"]:
    ways: list[list[tuple[int, ...]]] = []
    for stratum in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == stratum)
        ways.append(list(combinations([int(member) for member in members], int(label[members].sum()))))
    chosen = [[member for part in way for member in part] for way in product(*ways)]
    labels = np.zeros((len(chosen), len(codes)))
    np.put_along_axis(labels, np.asarray(chosen), 1.0, axis=1)
    return labels


def _draw_labels(codes: Codes, label: Bool[np.ndarray, " sample"], how: Permute) -> Float64[np.ndarray, "draw sample"]:
    generator = np.random.default_rng(how.seed)
    labels = np.tile(label.astype(np.float64), (how.draws, 1))
    for stratum in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == stratum)
        labels[:, members] = generator.permuted(labels[:, members], axis=1)
    return labels
