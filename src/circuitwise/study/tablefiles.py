"""Tables and arrays that are written row by row: CSV and numpy files that are whole or not there."""

import csv
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from circuitwise.errors import ArtifactError
from circuitwise.storage import atomic_path


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table, all or nothing; None is an empty cell, and numbers read back exactly."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path} cannot be read ({error}). Run the stage again.") from error


@contextmanager
def array_file(path: Path, shape: tuple[int, ...], kind: type) -> Generator[BinaryIO]:
    """A numpy file of that shape, to which the block writes the bytes of the rows in order."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield file
