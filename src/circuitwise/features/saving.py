"""Surveys in folders: parquet tables, one a layer, that read back exactly as they were written.

    text.parquet      a row a sequence: its token ids. Its header says what the survey belongs to, what was kept, and
                      the checksum of every other table; it is written last, so a folder without it is no survey
    tokens.parquet    a row a token: id and text
    L0.parquet, …     a row a feature: counts, histogram, contexts, tokens, label

A context is stored as its place in the text, so the text stands in the folder once. Its activations are stored in
single precision, unrounded.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import ArtifactError
from circuitwise.features.examples import Contexts, Examples
from circuitwise.features.labels import Label
from circuitwise.features.survey import LayerSurvey, Origin, Survey, transcoders_checksum
from circuitwise.features.tally import BINS
from circuitwise.storage import Json, Provenance, Table, read_table, write_table
from circuitwise.vocabulary import integers

if TYPE_CHECKING:
    import pandas

TEXT, TOKENS, LAYER = "feature survey", "feature survey tokens", "feature survey layer"
"""The kinds of the tables."""
VERSION = 1
"""The version of their columns."""
_COLUMNS = {
    "n_firings": "int64",
    "mean": "float32",
    "histogram_start": "int64",
    "histogram": "object",
    "strongest_sequence": "object",
    "strongest_pos": "object",
    "strongest_window": "object",
    "sampled_sequence": "object",
    "sampled_pos": "object",
    "sampled_window": "object",
    "promoted": "object",
    "suppressed": "object",
    "label": "object",
    "label_share": "float64",
    "label_source": "object",
}
"""Of a layer's table, with the type that pandas gives each."""


def save_survey(survey: Survey, folder: Path | str, provenance: Provenance | None = None) -> None:
    """Write the survey into a folder, which is made if need be."""
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise ArtifactError(f"{place} is a file, but a survey is a folder. Name a folder.")
    place.mkdir(parents=True, exist_ok=True)
    (place / "text.parquet").unlink(missing_ok=True)
    tables: dict[str, Json] = {}
    for layer, found in survey.layers.items():
        name = f"L{layer}.parquet"
        tables[name] = write_table(place / name, kind=LAYER, version=VERSION, table=_layer_table(found))
    tables["tokens.parquet"] = write_table(
        place / "tokens.parquet", kind=TOKENS, version=VERSION, table=_token_table(survey.texts)
    )
    header: dict[str, Json] = {"origin": asdict(survey.origin), "how": asdict(survey.how), "tables": tables}
    text = _frame({"ids": list(survey.sequences.int().numpy())})
    write_table(place / "text.parquet", kind=TEXT, version=VERSION, table=text, header=header, provenance=provenance)


def load_survey(folder: Path | str, *, layers: Collection[int] | None = None) -> Survey:
    """The survey in a folder, all of its layers or some; layers that it does not have are left out."""
    place = Path(folder)
    if not (place / "text.parquet").is_file():
        raise ArtifactError(f"{place} holds no survey: there is no text.parquet. Make one with “circuitwise survey”.")
    text = read_table(place / "text.parquet", kind=TEXT, version=VERSION)
    origin, how, tables = _read_header(text, place)
    sequences = _sequences(text, place)
    tokens = _checked(place / "tokens.parquet", TOKENS, tables).table
    numbers = sorted(int(name[1:].removesuffix(".parquet")) for name in tables if name != "tokens.parquet")
    width = min(how.length, sequences.shape[1])
    return Survey(
        origin=origin,
        how=how,
        sequences=sequences,
        texts=dict(zip(map(int, tokens["token"]), map(str, tokens["text"]), strict=True)),
        layers={
            number: _read_layer(_checked(place / f"L{number}.parquet", LAYER, tables).table, place, number, how, width)
            for number in numbers
            if layers is None or number in layers
        },
    )


def check_belongs(survey: Survey, transcoders: Transcoders) -> None:
    """Refuse a survey that was made with other dictionaries."""
    if survey.origin.transcoders_sha256 != transcoders_checksum(transcoders):
        raise ArtifactError(
            f"The survey was made with the dictionaries “{survey.origin.transcoders}”, and “{transcoders.name}” are "
            "others: their checksums differ. Name the survey of these, or make one with “circuitwise survey”."
        )


def _checked(path: Path, kind: str, tables: Mapping[str, Json]) -> Table:
    """A table, if it is the one that the survey was written with."""
    found = read_table(path, kind=kind, version=VERSION)
    if found.checksum != tables.get(path.name):
        raise ArtifactError(f"{path} belongs to another survey than text.parquet beside it. Get the folder anew.")
    return found


def _read_header(text: Table, place: Path) -> tuple[Origin, Examples, dict[str, Json]]:
    match text.header:
        case {"origin": dict(origin), "how": dict(how), "tables": dict(tables)}:
            fits = set(origin) == set(Origin.__slots__) and set(how) == set(Examples.__slots__)
            whole = all(isinstance(value, int) for value in how.values())
            named = all(isinstance(value, int if key == "n_excluded" else str) for key, value in origin.items())
            if fits and whole and named:
                return _made(Origin, origin), _made(Examples, how), dict(tables)
        case _:
            pass
    raise ArtifactError(f"The header of {place / 'text.parquet'} is not that of a survey. Get the file anew.")


def _made(kind: type[Any], values: Mapping[str, Json]) -> Any:
    return kind(**values)


def _frame(columns: Mapping[str, object]) -> "pandas.DataFrame":
    import pandas  # 60 MB: only where tables are written

    return pandas.DataFrame(columns)


def _token_table(texts: Mapping[int, str]) -> "pandas.DataFrame":
    # a token may be half a letter of UTF-16 in some tokenizers: it is stored as its escape
    written = [text.encode("utf-8", "backslashreplace").decode("utf-8") for text in texts.values()]
    return _frame({"token": list(texts), "text": written})


def _layer_table(found: LayerSurvey) -> "pandas.DataFrame":
    filled = found.histogram > 0
    start = filled.int().argmax(1)
    stop = BINS - filled.flip(1).int().argmax(1)
    stop = torch.where(filled.any(1), stop, start)
    rows = range(found.n_features)
    histogram = found.histogram.int().numpy()
    spans = list(zip(integers(start), integers(stop), strict=True))
    return _frame(
        {
            "n_firings": found.n_firings.numpy(),
            "mean": found.mean.numpy(),
            "histogram_start": start.numpy(),
            "histogram": [histogram[row, slice(*spans[row])] for row in rows],
            **_context_columns("strongest", found.strongest),
            **_context_columns("sampled", found.sampled),
            "promoted": list(found.promoted.int().numpy()),
            "suppressed": list(found.suppressed.int().numpy()),
            "label": [label.text for label in found.labels],
            "label_share": [label.share for label in found.labels],
            "label_source": [label.source for label in found.labels],
        }
    )


def _context_columns(name: str, contexts: Contexts) -> dict[str, object]:
    counts = [int(count) for count in (contexts.sequence >= 0).sum(1)]
    sequence, pos, window = contexts.sequence.numpy(), contexts.pos.numpy(), contexts.window.numpy()
    rows = list(enumerate(counts))
    return {
        f"{name}_sequence": [sequence[row, :count] for row, count in rows],
        f"{name}_pos": [pos[row, :count] for row, count in rows],
        f"{name}_window": [window[row, :count].reshape(-1) for row, count in rows],
    }


def _sequences(text: Table, place: Path) -> Tensor:
    rows = _lists(text.table, "ids", place / "text.parquet")
    if list(text.table.columns) != ["ids"] or not rows or len({len(row) for row in rows}) > 1:
        raise ArtifactError(f"{place / 'text.parquet'} holds no sequences of one length. Get the file anew.")
    return torch.stack(rows)


def _lists(table: "pandas.DataFrame", column: str, path: Path) -> list[Tensor]:
    """The lists of a column as tensors."""
    try:
        return [torch.from_numpy(value.copy()) for value in table[column]]
    except (AttributeError, TypeError, KeyError) as error:
        raise ArtifactError(f"The column “{column}” of {path} holds no lists of numbers. Get the file anew.") from error


def _read_layer(table: "pandas.DataFrame", place: Path, number: int, how: Examples, width: int) -> LayerSurvey:
    path = place / f"L{number}.parquet"
    types = {str(name): str(kind) for name, kind in table.dtypes.items()}
    types = {name: "object" if kind == "str" else kind for name, kind in types.items()}
    if types != _COLUMNS:
        wrong = sorted(set(types.items()) ^ set(_COLUMNS.items()))[0][0]
        raise ArtifactError(f"{path} is no table of a survey: the column “{wrong}” is missing or of another type.")
    try:
        return LayerSurvey(
            n_firings=torch.from_numpy(table["n_firings"].to_numpy().copy()),
            mean=torch.from_numpy(table["mean"].to_numpy().copy()),
            histogram=_histogram(table, path),
            strongest=_contexts(table, "strongest", how.strongest, width, path),
            sampled=_contexts(table, "sampled", how.sampled, width, path),
            promoted=torch.stack(_lists(table, "promoted", path)),
            suppressed=torch.stack(_lists(table, "suppressed", path)),
            labels=tuple(
                Label(text=str(text), share=float(share), source=str(source))
                for text, share, source in zip(table["label"], table["label_share"], table["label_source"], strict=True)
            ),
        )
    except (RuntimeError, ValueError, IndexError) as error:
        raise ArtifactError(f"{path} is damaged: its lists do not have the lengths of a survey ({error}).") from error


def _histogram(table: "pandas.DataFrame", path: Path) -> Tensor:
    full = torch.zeros(len(table), BINS, dtype=torch.int32)
    for row, (start, counts) in enumerate(zip(table["histogram_start"], _lists(table, "histogram", path), strict=True)):
        full[row, int(start) : int(start) + len(counts)] = counts
    return full


def _contexts(table: "pandas.DataFrame", name: str, n: int, width: int, path: Path) -> Contexts:
    shape = (len(table), n)
    found = Contexts(
        sequence=torch.full(shape, -1, dtype=torch.int32),
        pos=torch.full(shape, -1, dtype=torch.int32),
        window=torch.zeros(*shape, width),
    )
    columns = (_lists(table, f"{name}_{part}", path) for part in ("sequence", "pos", "window"))
    for row, (sequence, pos, window) in enumerate(zip(*columns, strict=True)):
        found.sequence[row, : len(sequence)] = sequence
        found.pos[row, : len(sequence)] = pos
        found.window[row, : len(sequence)] = window.view(len(sequence), width)
    return found
