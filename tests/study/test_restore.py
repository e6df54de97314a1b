"""What was written of a study's values reads back as them."""

from dataclasses import dataclass
from math import inf, isnan, nan

import pytest

from circuitwise.errors import ArtifactError
from circuitwise.evidence import Interval
from circuitwise.graph import Kind
from circuitwise.study.restore import restore
from circuitwise.study.written import written_fields
from circuitwise.vocabulary import Feature


@dataclass(frozen=True)
class Inner:
    kind: Kind
    feature: Feature
    note: str | None = None


@dataclass(frozen=True)
class Outer:
    several: tuple[Inner, ...]
    pair: tuple[int, str]
    by_layer: dict[int, tuple[float, ...]]
    interval: Interval
    number: float
    flag: bool = False


def test_values_read_back() -> None:
    interval = Interval(estimate=1.0, low=-inf, high=inf, level=0.95, n=3, n_clusters=1)
    inner = Inner(Kind.FEATURE, Feature(2, 7))
    value = Outer((inner, inner), (1, "x"), {3: (1.0, 2.5)}, interval, 4.0, True)
    assert restore(Outer, written_fields(value)) == value
    strange = restore(Outer, written_fields(Outer((), (1, "x"), {}, interval, nan)))
    assert isnan(strange.number)


def test_what_lacks_a_field_is_refused() -> None:
    with pytest.raises(ArtifactError, match="without index"):
        restore(Feature, {"layer": 2})
    with pytest.raises(ArtifactError, match="should be a Feature"):
        restore(Feature, [2])
