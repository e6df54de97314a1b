"""The numbers of a run as plain tables: each as CSV and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any, cast

from circuitwise.circuit.aggregatetables import aggregate_tables
from circuitwise.evidence import Interval
from circuitwise.report.chapter import Chapter
from circuitwise.storage import write_json
from circuitwise.study.tablefiles import write_rows

Cell = str | int | float | bool | None
Row = Mapping[str, Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows with the same columns."""

    name: str
    """Its file's name, without ending."""
    columns: tuple[str, ...]
    """In their order."""
    rows: Sequence[Row]
    """What stands in them; None where there is nothing."""


def write_table_files(table: Table, folder: Path) -> None:
    """Write a table twice: for spreadsheets, and for programs."""
    write_rows(folder / f"{table.name}.csv", table.columns, table.rows)
    write_json(folder / f"{table.name}.json", [dict(row) for row in table.rows])


def summary_table(chapters: Sequence[Chapter]) -> Table:
    """A row for every behaviour: what came of it."""
    return _table("summary", [_summary(chapter) for chapter in chapters])


def tables_of(chapter: Chapter) -> list[Table]:
    """Everything that is known of a behaviour; tables without rows are left out."""
    return [table for table in _tables(chapter) if table.rows]


def _tables(chapter: Chapter) -> Iterator[Table]:
    name, interventions, proof = chapter.behaviour, chapter.interventions, chapter.proof
    for baseline in chapter.baselines:
        yield _table(f"baseline_{name}_{baseline.split}", map(flatten, baseline.rows))
    yield _table(f"prompts_{name}", map(flatten, chapter.prompts))
    if chapter.circuit is not None:
        nodes, edges = aggregate_tables(chapter.circuit.aggregate, chapter.circuit.supernodes)
        records = cast("list[Any]", nodes.reset_index().to_dict("records"))
        yield _table(f"nodes_{name}", records)
        yield _table(f"edges_{name}", cast("list[Any]", edges.to_dict("records")))
        groups = chapter.circuit.supernodes
        yield _table(f"supernodes_{name}", ({**flatten(each), "members": _joined(each.members)} for each in groups))
    if interventions is not None:
        yield _table(f"effects_{name}", map(flatten, interventions.effects))
        yield _table(f"capability_{name}", map(flatten, interventions.capability))
        yield _table(
            f"curves_{name}",
            (
                {
                    "intervention_type": curve.intervention_type,
                    "aim": curve.aim,
                    "strength": curve.strengths[place],
                    **_interval("difference", curve.difference[place]),
                    **_interval("control", curve.control[place] if curve.control else None),
                }
                for curve in interventions.curves
                for place in range(len(curve.strengths))
            ),
        )
        yield _table(
            f"predictions_{name}",
            (
                {"comparison": scatter.name, "label": label, "predicted": predicted, "measured": measured}
                for scatter in interventions.scatters
                for label, predicted, measured in zip(scatter.labels, scatter.predicted, scatter.measured, strict=True)
            ),
        )
    if chapter.importances is not None:
        yield _table(f"importance_{name}", map(flatten, chapter.importances.candidates))
    if proof is not None:
        yield _table(f"claims_{name}", map(flatten, proof.claims))
        yield _table(f"sentences_{name}", map(flatten, proof.sentences))
    failures = [{"stage": stage, "prompt": prompt, "reason": why} for stage, prompt, why in chapter.failures]
    yield _table(f"failures_{name}", failures)


def flatten(value: object) -> dict[str, Cell]:
    """A dataclass as a row: an interval gives its estimate and bounds, what a part holds is named after it."""
    assert is_dataclass(value)
    row: dict[str, Cell] = {}
    for each in fields(value):
        found: object = getattr(value, each.name)
        if isinstance(found, Interval) or (found is None and "Interval" in str(each.type)):
            row |= _interval(each.name, found)
        elif found is None or isinstance(found, str | bool | int):
            row[each.name] = found
        elif isinstance(found, float):
            row[each.name] = _finite(found)
        elif is_dataclass(found) and not isinstance(found, type) and "Null" in str(each.type):
            row |= {f"{each.name}_{name}": cell for name, cell in flatten(found).items()}
        elif not isinstance(found, tuple):
            row[each.name] = str(found)
    return row


def _summary(chapter: Chapter) -> dict[str, Cell]:
    tested, proof = chapter.tested, chapter.proof
    row: dict[str, Cell] = {
        "behaviour": chapter.behaviour,
        "verdict": chapter.verdict,
        "baseline": None if tested is None else tested.verdict,
        "n_test": None if tested is None else len(tested.rows),
    }
    for name in ("sign_accuracy", "accuracy", "exact_match", "difference"):
        row |= _interval(name, None if tested is None else getattr(tested, name))
    row["n_features"] = None if chapter.circuit is None else len(chapter.circuit.members)
    claims = {} if proof is None else {claim.name: claim for claim in proof.claims}
    for name in ("necessity", "sufficiency"):
        claim = claims.get(name)
        row |= _interval(name, None if claim is None else claim.value)
        row[f"{name}_p"] = None if claim is None else claim.p
    ablation = next((each for each in chapter.effects("ablation_zero") if each.kind == "circuit"), None)
    row |= _interval("ablation_effect", None if ablation is None else ablation.effect)
    row["n_failed"] = sum(1 for _ in chapter.failures)
    return row


def _table(name: str, rows: "Iterator[Row] | Sequence[Row] | map[dict[str, Cell]]") -> Table:
    """A table with the columns of all its rows, in the order in which they appear."""
    kept = list(rows)
    columns = tuple(dict.fromkeys(column for row in kept for column in row))
    return Table(name=name, columns=columns, rows=[{column: row.get(column) for column in columns} for row in kept])


def _interval(name: str, value: Interval | None) -> dict[str, Cell]:
    if value is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: value.estimate, f"{name}_low": _finite(value.low), f"{name}_high": _finite(value.high)}


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _joined(members: Sequence[object]) -> str:
    return " ".join(map(str, members))
