"""What fires on the prompts of a behaviour: how often, how strongly, and the strongest of every position.

A feature's frequency is the share of prompts in which it fires at least once at the positions that are looked at.
A sample is one of these positions of one prompt. Prompts are read one at a time and added up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from circuitwise.evidence.encoding import fired
from circuitwise.model.tokens import n_excluded, tokenize
from circuitwise.prompts import Item, Split
from circuitwise.replacement import Replacement
from circuitwise.study.baseline import read_item
from circuitwise.study.plan import USUAL_FEATURES, FeatureChoice, Where

LAST = 5
"""As many positions are looked at unless it is all."""
Firings = Mapping[str, Tensor]
"""What fires on one prompt: ``layer``, ``feature``, ``pos`` and ``value`` side by side, ``samples`` its positions."""
Ids = tuple[int, ...]
Array = NDArray[Any]
INDICES, VALUES, FULL = "top_k_indices", "top_k_values", "full_activations"
"""What is written of every sample."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerUse:
    """What the features of one layer do on the prompts of a split."""

    layer: int
    """Which."""
    frequency: Float32[np.ndarray, " feature"]
    """The share of prompts in which each feature fires."""
    mean: Float32[np.ndarray, " feature"]
    """Its mean activation where it fires; 0 where it never does."""
    maximum: Float32[np.ndarray, " feature"]
    """Its largest activation."""
    top_indices: Int64[np.ndarray, "sample top"]
    """The strongest features of each sample (a position of a prompt), strongest first; -1 where fewer fire."""
    top_values: Float32[np.ndarray, "sample top"]
    """How strongly they fire."""
    n_firing: float
    """How many features fire at a position, on average."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureUse:
    """What fires on the prompts of a split."""

    behaviour: str
    """The suite's name."""
    split: Split
    """Which prompts."""
    positions: Where
    """Where features were read."""
    n_prompts: int
    """Prompts that were read."""
    samples: tuple[tuple[int, int], ...]
    """Every sample: the number of its prompt and its position there."""
    layers: Mapping[int, LayerUse]
    """By layer."""


def count_features(replacement: Replacement, items: Sequence[Item], how: FeatureChoice = USUAL_FEATURES) -> FeatureUse:
    """What fires on prompts of one suite and one split."""
    ids = [read_item(replacement.model, item).scored_prompt for item in items]
    places = [sampled_positions(replacement, each, how.positions) for each in ids]
    tallies, rows = open_tallies(replacement, how), defaultdict[tuple[int, str], list[Array]](list)
    prompts = (fire(replacement, *each) for each in zip(ids, places, strict=True))
    add_up(tallies, prompts, lambda layer, name, some: rows[layer, name].append(some))
    tops = [tuple(np.concatenate(rows[tally.layer, name]) for name in (INDICES, VALUES)) for tally in tallies]
    return FeatureUse(
        behaviour=items[0].behaviour,
        split=items[0].split,
        positions=how.positions,
        n_prompts=len(items),
        samples=tuple((number, pos) for number, some in enumerate(places) for pos in some),
        layers={tally.layer: tally.settle(len(items), *top) for tally, top in zip(tallies, tops, strict=True)},
    )


def sampled_positions(replacement: Replacement, ids: Ids, where: Where) -> list[int]:
    """The positions of a prompt that are looked at: special first ones never are."""
    first = n_excluded(replacement.model, tokenize(replacement.model, ids))
    return list(range(first if where == "all" else max(first, len(ids) - LAST), len(ids)))


def fire(replacement: Replacement, ids: Ids, positions: Sequence[int]) -> Firings:
    """What fires on one prompt at some of its positions, which follow each other."""
    (found,) = fired(replacement, [tokenize(replacement.model, ids)])
    kept = found.pos >= positions[0]
    return {
        "layer": found.layer[kept].short(),
        "feature": found.feature[kept].int(),
        "pos": found.pos[kept].int(),
        "value": found.value[kept],
        "samples": torch.tensor(positions, dtype=torch.int32, device="cpu"),
    }


class LayerTally:
    """What the features of one layer did so far."""

    def __init__(self, layer: int, n_features: int, how: FeatureChoice) -> None:
        """Nothing yet."""
        self.layer, self.n_features, self.how, self.n_samples = layer, n_features, how, 0
        self.n_prompts, self.n_firings = np.zeros((2, n_features), np.int64)
        self.total, self.maximum = np.zeros(n_features), np.zeros(n_features, np.float32)

    @property
    def rows(self) -> dict[str, tuple[int, type]]:
        """What there is of every sample: how many numbers, and of which type."""
        n_top = min(self.how.top_k, self.n_features)
        full = {FULL: (self.n_features, np.float32)} if self.how.full else {}
        return {INDICES: (n_top, np.int64), VALUES: (n_top, np.float32), **full}

    def add(self, feature: Array, row: Array, value: Array, n_samples: int) -> dict[str, Array]:
        """Take in one prompt, given what fires in which of its samples; the samples' rows."""
        self.n_prompts[np.unique(feature)] += 1
        np.add.at(self.n_firings, feature, 1)
        np.add.at(self.total, feature, value.astype(np.float64))
        np.maximum.at(self.maximum, feature, value)
        self.n_samples += n_samples
        made: dict[str, Array] = {name: np.zeros((n_samples, width), kind) for name, (width, kind) in self.rows.items()}
        order = np.lexsort((feature, -value, row))
        rank = np.arange(len(order)) - np.searchsorted(row[order], row[order])
        order, rank = order[rank < made[INDICES].shape[1]], rank[rank < made[INDICES].shape[1]]
        made[INDICES][:] = -1
        made[INDICES][row[order], rank] = feature[order]
        made[VALUES][row[order], rank] = value[order]
        if FULL in made:
            made[FULL][row, feature] = value
        return made

    def settle(self, n_prompts: int, top_indices: Array, top_values: Array) -> LayerUse:
        """What that comes to, with the rows of all samples."""
        return LayerUse(
            layer=self.layer,
            frequency=(self.n_prompts / n_prompts).astype(np.float32),
            mean=(self.total / np.maximum(self.n_firings, 1)).astype(np.float32),
            maximum=self.maximum,
            top_indices=top_indices,
            top_values=top_values,
            n_firing=float(self.n_firings.sum() / self.n_samples),
        )


def open_tallies(replacement: Replacement, how: FeatureChoice) -> list[LayerTally]:
    """One for every dictionary."""
    return [LayerTally(each.layer, each.n_features, how) for each in replacement.transcoders]


def add_up(tallies: Sequence[LayerTally], prompts: Iterable[Firings], put: Callable[[int, str, Array], object]) -> None:
    """Take in prompt by prompt; ``put`` is given layer, name and rows of every prompt's samples."""
    for found in prompts:
        start, n_samples = int(found["samples"][0]), len(found["samples"])
        for tally in tallies:
            here = found["layer"] == tally.layer
            feature, pos, value = (found[name][here].numpy() for name in ("feature", "pos", "value"))
            for name, rows in tally.add(feature, pos - start, value, n_samples).items():
                put(tally.layer, name, rows)
