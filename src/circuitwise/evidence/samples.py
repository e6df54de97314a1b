"""Measured numbers, checked before any statistic sees them.

A sample is a row of finite numbers, one a prompt. Clusters say which prompts belong together (the same template, the
same lemma): what is drawn again or permuted is then the cluster and never a prompt alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float64, Int64
from torch import Tensor

from circuitwise.errors import RequestError

Numbers = Sequence[float] | np.ndarray | Tensor
"""One number a prompt: a list, an array or a tensor."""
Clusters = Sequence[str] | Sequence[int] | np.ndarray
"""The name of each prompt's template, lemma or pair."""
Values = Float64[np.ndarray, " sample"]
Table = Float64[np.ndarray, "sample column"]
Codes = Int64[np.ndarray, " sample"]

FEWEST = 3
"""Fewer prompts (or clusters) than this say nothing about how much a number varies."""
AT_ONCE = 2**18
"""How many numbers of drawn arrangements are held at once, so that more prompts take no more memory."""


def blocks(n_draws: int, width: int) -> Iterator[range]:
    """Draws of so many numbers each, as many at once as may be held."""
    step = max(1, AT_ONCE // width)
    return (range(start, min(start + step, n_draws)) for start in range(0, n_draws, step))


def read_sample(values: Numbers, name: str, *, fewest: int = FEWEST) -> Values:
    """The numbers as an array, refused where they are too few or not finite."""
    plain = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    sample = np.asarray(plain, dtype=np.float64)
    if sample.ndim != 1:
        raise RequestError(f"The {name} come in the shape {sample.shape}; one number a prompt is expected.")
    if len(sample) < fewest:
        raise RequestError(f"There are {len(sample)} {name}, but this statistic needs {fewest} at least. Add prompts.")
    _check_finite(sample, name)
    return sample


def read_table(columns: Sequence[Numbers], name: str) -> Table:
    """Several numbers a prompt side by side, refused where they do not line up or are not finite."""
    samples = [read_sample(column, name) for column in columns]
    lengths = sorted({len(sample) for sample in samples})
    if len(lengths) != 1:
        raise RequestError(
            f"The {name} have {' and '.join(map(str, lengths)) or 'no'} values; one of each a prompt is expected."
        )
    return np.stack(samples, 1)


def read_matrix(values: np.ndarray | Tensor, name: str) -> np.ndarray:
    """Several numbers a prompt as an array of two axes, refused where they are not finite."""
    matrix = np.asarray(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)
    if matrix.ndim != 2 or not matrix.size:
        raise RequestError(f"The {name} come in the shape {matrix.shape}; two axes with values are expected.")
    _check_finite(matrix, name)
    return matrix


def read_clusters(clusters: Clusters | None, n: int, *, fewest: int = FEWEST) -> Codes:
    """The number of each prompt's cluster, from 0; without clusters every prompt is one of its own."""
    if clusters is None:
        return np.arange(n, dtype=np.int64)
    if len(clusters) != n:
        raise RequestError(f"There are {len(clusters)} cluster names for {n} prompts; one for each is expected.")
    numbers: dict[str | int, int] = {}
    codes = np.asarray([numbers.setdefault(name, len(numbers)) for name in clusters], dtype=np.int64)
    if len(numbers) < fewest:
        raise RequestError(
            f"The {n} prompts fall into {len(numbers)} clusters, but {fewest} at least are needed to tell how much "
            "clusters differ. Add templates, or leave clusters out and say that prompts of one template count singly."
        )
    return codes


def check_enough(n: int, clusters: Clusters | None) -> None:
    """Refuse prompts that no interval could be had of, before they are run."""
    if n < FEWEST:
        raise RequestError(f"There are {n} prompts, too few for an interval. Give {FEWEST} at least.")
    read_clusters(clusters, n)


def _check_finite(values: np.ndarray, name: str) -> None:
    strange = np.argwhere(~np.isfinite(values))
    if len(strange):
        raise RequestError(
            f"{len(strange)} of the {values.size} {name} are not finite; the first is number {int(strange[0][0])}. "
            "Find out why it could not be measured; leave it out only if you count it as failed."
        )
