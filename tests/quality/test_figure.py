"""The figure shows what the rows say, and is written whole."""

from dataclasses import replace
from pathlib import Path

import pytest

from circuitwise.errors import ArtifactError, RequestError
from circuitwise.quality.figure import check_ending, quality_figure, write_quality_figure
from tests.quality.test_quality import NONE, drawn_up, row

QUALITY = drawn_up(row(0, 0.1), row(1, 0.3), row(3, 0.2, NONE))


def test_the_panels_hold_the_numbers() -> None:
    variance, _, recovered, errors, dead = quality_figure(QUALITY).axes
    line = variance.get_lines()[0]
    assert list(line.get_xdata()) == [0, 1, 3] and list(line.get_ydata()) == [0.1, 0.3, 0.2]
    assert list(recovered.containers[0].lines[0].get_xdata()) == [0, 1]
    assert [bar.get_height() for bar in errors.patches] == [12.5] * 3
    assert [bar.get_height() for bar in dead.patches] == [0, 25, 75]


def test_without_graphs_it_shows_the_divergence() -> None:
    bare = replace(QUALITY, graphs=None, layers=tuple(replace(one, error_share=None) for one in QUALITY.layers))
    panel = quality_figure(bare).axes[3]
    assert "KL" in panel.get_title() and [bar.get_height() for bar in panel.patches] == [0.05] * 3


def test_it_is_written_as_the_ending_says(tmp_path: Path) -> None:
    starts = {"a.png": b"\x89PNG", "b.svg": b"<?xml", "c.pdf": b"%PDF"}
    for name, start in starts.items():
        write_quality_figure(QUALITY, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(starts)


def test_other_endings_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"cannot be written as quality\.doc"):
        check_ending(Path("quality.doc"))
    with pytest.raises(ArtifactError, match="is not a folder"):
        write_quality_figure(QUALITY, tmp_path / "nowhere" / "a.png")
