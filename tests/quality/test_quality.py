"""A quality reads back from JSON as it was, and its tables say what it says."""

import json
from dataclasses import replace

import pytest

from circuitwise.errors import ArtifactError
from circuitwise.quality.estimates import Estimate
from circuitwise.quality.quality import HEAD, GraphScores, LayerQuality, Measured, Quality, Spliced

SHARE = Estimate(value=0.9, low=0.85, high=0.95)
NONE = Estimate(value=None, low=None, high=None)
ALONE = Spliced(
    spliced=3.1,
    zeroed=4.0,
    averaged=3.8,
    recovered=SHARE,
    recovered_over_mean=replace(SHARE, value=0.8),
    divergence=0.05,
)


def row(layer: int, fvu: float, recovered: Estimate = SHARE) -> LayerQuality:
    return LayerQuality(
        layer=layer,
        site=f"L{layer}.mlp_out",
        n_features=2048,
        fvu=fvu,
        fvu_all=2 * fvu,
        firing=40.0 + layer,
        n_dead=512 * layer,
        alone=replace(ALONE, recovered=recovered),
        error_share=0.125,
    )


def drawn_up(*layers: LayerQuality) -> Quality:
    return Quality(
        transcoders="my set",
        checksum="ab",
        kind="transcoder",
        model="a model",
        made_for=None,
        misfit=False,
        n_trained=9_000_000,
        measured=Measured(
            text="text.txt", n_tokens=1000, n_outliers=2, n_spliced=500, context=128, n_excluded=1,
            precision="float32", dtype="float32", seed=0,
        ),
        cross_entropy=3.0,
        layers=layers,
        together=ALONE,
        graphs=GraphScores(
            prompts=("a", "b"), rows=100, n_scored=2, replacement=SHARE, completeness=SHARE,
            replacement_folded=SHARE, completeness_folded=SHARE,
        ),
    )  # fmt: skip


def test_json_reads_back_as_it_was() -> None:
    for found in (
        drawn_up(row(0, 0.1), row(1, 0.2, NONE)),
        replace(drawn_up(row(0, 0.1)), graphs=None, no_graphs="so"),
    ):
        assert Quality.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_foreign_json_is_refused() -> None:
    value = drawn_up(row(0, 0.1)).to_json()
    with pytest.raises(ArtifactError, match="The quality cannot be understood: cross_entropy"):
        Quality.from_json(value | {"cross_entropy": "low"})
    with pytest.raises(ArtifactError, match="cannot be understood: more"):
        Quality.from_json(value | {"more": 1})


def test_the_table_ends_in_the_mean_and_in_all_layers_at_once() -> None:
    head, *lines = drawn_up(row(0, 0.1), row(1, 0.3, replace(SHARE, value=0.7))).rows()
    assert head == HEAD and {len(line) for line in lines} == {len(HEAD)}
    expected = "1|2,048|0.300|41.0|25.0%|3.100|4.000|3.800|0.700 [0.85, 0.95]|0.800|0.050|12.5%"
    assert lines[1] == tuple(expected.split("|"))
    assert lines[2] == ("mean", "", "0.200", "40.5", "12.5%", "", "", "", "0.800", "", "", "")
    assert lines[3][:2] == ("all at once", "") and lines[3][8] == "0.900 [0.85, 0.95]"


def test_shares_without_bounds_do_not_count_in_the_mean() -> None:
    wild = Estimate(value=-40.0, low=None, high=None)
    assert drawn_up(row(0, 0.1), row(1, 0.1, wild), row(2, 0.1, NONE)).mean_recovered == 0.9
    assert drawn_up(row(0, 0.1, wild)).mean_recovered == -40
    assert drawn_up(row(0, 0.1, NONE)).mean_recovered is None
    assert drawn_up(row(0, 0.1, NONE)).rows()[2][8] == "none (0 of 1)"
    assert drawn_up(row(0, 0.1), row(1, 0.1, wild)).rows()[3][8] == "0.900 (1 of 2)"


def test_the_table_for_pandas_has_a_row_a_layer() -> None:
    table = drawn_up(row(0, 0.1), row(3, 0.3)).to_pandas()
    assert list(table.index) == [0, 3] and table.loc[3, "fvu"] == 0.3 and table.loc[3, "dead"] == 0.75
    assert table.loc[0, "alone_recovered_low"] == 0.85 and table.loc[0, "alone_divergence"] == 0.05
