"""Tables and arrays that are written row by row read back as they were."""

from pathlib import Path

import numpy as np
import pytest

from circuitwise.errors import ArtifactError
from circuitwise.study.tablefiles import array_file, read_rows, write_rows


def test_a_table_reads_back_with_every_digit(tmp_path: Path) -> None:
    rows = [{"a": 'x, "y"\nz', "b": 0.1 + 0.2, "c": None}, {"a": "ü", "b": 1e-17, "c": 3}]
    write_rows(tmp_path / "t.csv", ["a", "b", "c"], iter(rows))
    first, second = read_rows(tmp_path / "t.csv")
    assert first["a"] == 'x, "y"\nz' and float(first["b"]) == 0.1 + 0.2 and first["c"] == ""
    assert second == {"a": "ü", "b": "1e-17", "c": "3"}
    with pytest.raises(ArtifactError, match="cannot be read"):
        list(read_rows(tmp_path / "gone.csv"))


def test_an_array_is_written_in_pieces(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    with array_file(tmp_path / "a.npy", array.shape, np.float32) as file:
        for rows in (array[:2], array[2:3], array[3:]):
            file.write(rows.tobytes())
    assert np.array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), array)
