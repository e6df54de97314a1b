"""Plans in TOML files: every key is a field of ``Plan``, every table one of its parts.

    model = "smollm2"
    suites = ["capitals", "my-prompts.jsonl"]        # or [[suite]] tables, with thresholds of their own
    [graphs]
    n_prompts = 10

What is unknown, of a wrong type or makes no sense is refused in a sentence with the file and the line.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from circuitwise.errors import PromptError, RequestError
from circuitwise.prompts import Record, read_toml
from circuitwise.study.plan import Chosen, Plan
from circuitwise.suites import BEHAVIOURS, Thresholds, read_suite

SUITE, SUITES, LAYERS = "suite", "suites", "layers"
ALL = "all"
"""Stands for no limit."""
NAME, NO_NAME = re.compile(r"\w[\w.-]*"), re.compile(r"[^\w.-]+")
LARGEST = 2**63
"""Whole numbers are below: what seeds of every kind can be."""
Part = TypeVar("Part")


def read_plan(path: Path | str) -> Plan:
    """The plan in a file, if every suite that it names can be read."""
    top, tables = read_toml(Path(path))
    plan = _plan(top, tables, Path(path))
    if not NAME.fullmatch(plan.name):
        raise PromptError(
            f"{top.place('name')} calls the study {plan.name!r}. Use letters, digits, “_”, “.” and “-”, a letter or "
            "digit first."
        )
    named = [top.place(SUITES)] * len(top.texts(SUITES)) + [each.place(SUITE) for each in tables.get(SUITE, [])]
    names: set[str] = set()
    for chosen, place in zip(plan.suites, named, strict=True):
        name = _suite_name(plan, chosen, place)
        if name in names:
            raise PromptError(f"{place} names a second suite “{name}”. Rename it, or leave it out.")
        names.add(name)
    return plan


def is_suite_file(path: Path) -> bool:
    """Whether a TOML file holds prompts rather than a plan."""
    top, tables = read_toml(path)
    return "files" in top.values or not {"items", "templates"}.isdisjoint(tables)


def reread_plan(path: Path) -> Plan:
    """The plan in a run's folder, whose suites may be elsewhere by now."""
    return _plan(*read_toml(path), path)


def plan_text(plan: Plan) -> str:
    """The plan as a TOML file that reads back as it."""
    parts = {name: getattr(plan, name) for name in _parts()}
    lines = _lines_of(plan)
    for name, part in parts.items():
        lines += ["", f"[{name}]", *_lines_of(part)]
    for chosen in plan.suites:
        lines += ["", f"[[{SUITE}]]", *_lines_of(chosen)]
    return "\n".join(lines) + "\n"


def parse_layers(text: str) -> tuple[int, ...]:
    """The layers that ``0,3,6`` or ``10-25`` names."""
    layers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if found is None or int(found[1]) > int(found[2] or found[1]):
            raise RequestError(f"“{text}” names no layers. Write them as 0,3,6 or 10-25.")
        layers.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return tuple(sorted(layers))


def _suite_name(plan: Plan, chosen: Chosen, place: str) -> str:
    """What a suite is called, if it can be read."""
    path = plan.root / chosen.suite
    if chosen.suite in BEHAVIOURS:
        return chosen.suite
    if not path.is_file():
        raise PromptError(
            f"{place} names the suite “{chosen.suite}”, but there is no file {path}. Name a TOML or JSONL file, or a "
            f"built-in suite: {', '.join(BEHAVIOURS)}."
        )
    return read_suite(path).name


def _plan(top: Record, tables: Mapping[str, list[Record]], path: Path) -> Plan:
    parts = _parts()
    for name, records in tables.items():
        if name != SUITE and name not in parts:
            known = ", ".join([f"[[{SUITE}]]", *(f"[{each}]" for each in parts)])
            raise PromptError(
                f"{records[0].place()} has the table [{name}], which means nothing here. Known are {known}."
            )
        if name in parts and len(records) > 1:
            raise PromptError(f"{records[1].place()} has a second table [{name}]. Put both into one.")
    given: dict[str, object] = {name: _filled(tables[name][0], kind) for name, kind in parts.items() if name in tables}
    chosen = [Chosen(suite=name) for name in top.texts(SUITES)]
    given[SUITES] = tuple(chosen + [_filled(record, Chosen) for record in tables.get(SUITE, [])])
    given["root"] = path.parent
    plain = {"name": NO_NAME.sub("-", path.stem), **top.values}
    plain.pop(SUITES, None)
    if isinstance(layers := plain.get(LAYERS), str):
        del plain[LAYERS]
        try:
            given[LAYERS] = parse_layers(layers)
        except RequestError as error:
            raise PromptError(f"{top.place(LAYERS)} cannot be: {error}") from error
    return _filled(replace(top, values=plain), Plan, given)


def _parts() -> dict[str, type[Any]]:
    """The fields of a plan that are tables."""
    return {name: kind for name, kind in get_type_hints(Plan).items() if isinstance(kind, type) and is_dataclass(kind)}


def _filled(record: Record, kind: type[Part], given: Mapping[str, object] | None = None) -> Part:
    """The value that a record describes, besides what is given already: tables of their own."""
    known, hints = given or {}, get_type_hints(kind)
    record.allow(_keys(kind))
    for each in fields(cast("Any", kind)):
        if each.name not in known and each.default is MISSING:
            record.text(each.name)  # says that it is missing
    values = {name: _value(record, name, hints[name]) for name in record.values}
    try:
        return _made(kind, {**values, **known})
    except (PromptError, RequestError) as error:
        key = next((name for name in values if _is_sound(kind, {**values, **known}, name)), "")
        raise PromptError(f"{record.place(key)} cannot be: {error}") from error


def _made(kind: type[Part], values: Mapping[str, object]) -> Part:
    """The value, if it makes sense."""
    made = kind(**values)
    if isinstance(made, Chosen):
        _check_chosen(made)
    return made


def _is_sound(kind: type[Any], values: Mapping[str, object], without: str) -> bool:
    """Whether one key alone is at fault: without it all is well."""
    if any(each.name == without and each.default is MISSING for each in fields(cast("Any", kind))):
        return False
    try:
        _made(kind, {name: value for name, value in values.items() if name != without})
    except (PromptError, RequestError):
        return False
    return True


def _check_chosen(chosen: Chosen) -> None:
    chosen.thresholds(Thresholds())
    for n in (chosen.n_train, chosen.n_test):
        if n is not None and (n < 1 or (chosen.suite in BEHAVIOURS and n % 2)):
            some = "2, 4, 6, ..., since they come in pairs" if chosen.suite in BEHAVIOURS else "one at least"
            raise RequestError(f"{n} prompts cannot be taken of the suite “{chosen.suite}”. Ask for {some}.")


def _keys(kind: type[Any]) -> list[str]:
    """What can be written in a table: all but parts, paths and seeds, which stand elsewhere."""
    hints = get_type_hints(kind)
    return [
        each.name for each in fields(kind) if not is_dataclass(hints[each.name]) and each.name not in ("root", "seed")
    ]


def _value(record: Record, key: str, hint: Any) -> object:
    """A value of the type that a field has."""
    value, words = record.values[key], _words(hint)
    found = _fitted(value, hint)
    if found is MISSING:
        raise PromptError(f"{record.place(key)} has “{key}” = {json.dumps(value)}, but {words} is expected.")
    return found


def _fitted(value: Any, hint: Any) -> object:
    """The value as the type has it, or MISSING where it is of another one."""
    match get_origin(hint), get_args(hint):
        case (kind, (inner, none)) if kind is UnionType and none is type(None):
            return None if value == ALL else _fitted(value, inner)
        case (kind, choices) if kind is Literal:
            return value if value in choices else MISSING
        case (kind, (inner, _)) if kind is tuple:
            several = cast("list[object]", value) if isinstance(value, list) else [MISSING]
            each = [_fitted(one, inner) for one in several]
            return MISSING if MISSING in each or not each else tuple(each)
        case _ if hint is int and isinstance(value, int) and not 0 <= value < LARGEST:
            return MISSING
        case _ if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        case _:
            return value if type(value) is hint else MISSING


def _words(hint: Any) -> str:
    match get_origin(hint), get_args(hint):
        case (kind, (inner, none)) if kind is UnionType and none is type(None):
            return _words(inner) + (f" or “{ALL}”" if inner is int else "")
        case (kind, choices) if kind is Literal:
            return "one of " + ", ".join(f"“{choice}”" for choice in choices)
        case (kind, (inner, _)) if kind is tuple:
            return f"a list of one or several, each {_words(inner)},"
        case _:
            return {int: "a whole number from 0 to 2^63", float: "a number", bool: "true or false"}.get(hint, "a text")


def _lines_of(part: object) -> list[str]:
    """One line for every value that says something."""
    keys: set[str] = set(_keys(cast("type[Any]", type(part)))) - {SUITES}
    lines: list[str] = []
    for each in fields(cast("Any", part)):
        value = getattr(part, each.name)
        if each.name in keys and (value is not None or each.default is not None):
            lines.append(f"{each.name} = {json.dumps(ALL if value is None else value, ensure_ascii=False)}")
    return lines
