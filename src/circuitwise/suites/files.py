"""Suites in files.

``write_suite`` makes three files: ``NAME_train.jsonl``, ``NAME_test.jsonl`` (an item a line) and ``NAME.toml``, which
names them and holds the thresholds. ``read_suite`` takes such a TOML file, a single JSONL file, or a TOML file with the
items in it; ``[[templates]]`` and ``slots`` then make one item of every template:

    name = "capitals"
    [thresholds]
    margin = 2.0
    share = 0.8
    [[templates]]
    text = "The capital of {country} is"
    [[items]]
    split = "train"
    group = "France"
    slots = {country = "France"}
    contrast_slots = {country = "Spain"}
    correct_answer = " Paris"
    incorrect_answer = " Madrid"
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from circuitwise.errors import PromptError
from circuitwise.prompts import SPLITS, Item, Record, read_json_lines, read_toml
from circuitwise.prompts.item import KEYS, item_of
from circuitwise.storage import write_text
from circuitwise.storage.jsontext import canonical_json
from circuitwise.suites.suite import Suite, Thresholds

_TOP = ("name", "description", "files")
_TABLES = ("thresholds", "templates", "items")
_NO_NAME = re.compile(r"[^\w-]+")


def write_suite(suite: Suite, folder: Path | str) -> Path:
    """Write the suite's files into a folder and return the TOML file, which ``read_suite`` takes."""
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PromptError(f"The folder {target} cannot be made ({error.strerror}). Name another.") from error
    path, *files = suite_files(suite.name, target)
    for split, file in zip(SPLITS, files, strict=True):
        lines = (json.dumps(item.as_json(), ensure_ascii=False) for item in suite.split(split))
        write_text(file, "".join(f"{line}\n" for line in lines))
    top = {"name": suite.name, "description": suite.description or suite.name, "files": [file.name for file in files]}
    thresholds = {"margin": suite.thresholds.margin, "share": suite.thresholds.share}
    write_text(path, f"{_toml(top)}\n[thresholds]\n{_toml(thresholds)}")
    return path


def suite_files(name: str, folder: Path) -> list[Path]:
    """Where the suite of that name is in a folder: the TOML file, then the prompts of each split."""
    return [folder / f"{name}.toml", *(folder / f"{name}_{split}.jsonl" for split in SPLITS)]


def _toml(values: Mapping[str, str | float | list[str]]) -> str:
    """Keys with texts, numbers and lists of texts, which TOML writes as JSON does."""
    return "".join(f"{key} = {canonical_json(value, what=key)}\n" for key, value in values.items())


def read_suite(path: Path | str) -> Suite:
    """The suite in a file; what is wrong with it is said with the file and the line."""
    file = Path(path)
    match file.suffix:
        case ".jsonl":
            return _of_records(file, read_json_lines(file, KEYS))
        case ".toml":
            return _of_toml(file)
        case _:
            raise PromptError(f"{file} is no suite: a .jsonl or .toml file is expected. Give it the name of its kind.")


def _of_records(path: Path, records: Sequence[Record]) -> Suite:
    if not records:
        raise PromptError(
            f"Line 1 of {path} is no item, nor is any other. Write one JSON object a line with {', '.join(KEYS[:5])}."
        )
    name = records[0].text("behaviour", _name_for(path))
    return Suite(name=name, items=tuple(item_of(record, name) for record in records))


def _of_toml(path: Path) -> Suite:
    top, tables = read_toml(path)
    _check_names(top, tables)
    name = top.text("name", _name_for(path))
    thresholds = _thresholds(tables["thresholds"]) if "thresholds" in tables else Thresholds()
    templates = [_template(record) for record in tables.get("templates", [])]
    records = [each for file in top.texts("files") for each in _read_named(top, path.parent / file)]
    records += [each for record in tables.get("items", []) for each in _filled(record, templates)]
    if not records:
        raise PromptError(
            f"{top.place('files')} begins a suite without items. Write [[items]] tables, or name JSONL files: "
            "files = [...]."
        )
    items: tuple[Item, ...] = tuple(item_of(record, name) for record in records)
    return Suite(name=name, items=items, thresholds=thresholds, description=top.text("description", name))


def _read_named(top: Record, file: Path) -> list[Record]:
    """The items of a file that a suite names."""
    if not file.is_file():
        raise PromptError(f"{top.place('files')} names {file.name}, but there is no file {file}. Name JSONL files.")
    return read_json_lines(file, KEYS)


def _name_for(path: Path) -> str:
    """What a suite is called where it does not say: its file's name, in letters, digits, - and _."""
    return _NO_NAME.sub("-", path.stem).strip("-")


def _check_names(top: Record, tables: Mapping[str, Sequence[Record]]) -> None:
    for name in _TABLES:
        if name in top.values:
            raise PromptError(f"{top.place(name)} has “{name}”, but no table with anything in it. Write [[{name}]].")
    top.allow(_TOP)
    for name, records in tables.items():
        if name not in _TABLES:
            known = ", ".join(_TABLES)
            raise PromptError(
                f"{records[0].place()} has the table “{name}”, which means nothing here. Known are {known}."
            )


def _thresholds(records: Sequence[Record]) -> Thresholds:
    record, *more = records
    if more:
        raise PromptError(f"{more[0].place()} has a second table “thresholds”. Put both into one.")
    record.allow(("margin", "share"))
    default = Thresholds()
    margin, share = record.number("margin", default.margin), record.number("share", default.share)
    try:
        return Thresholds(margin=margin, share=share)
    except PromptError as error:
        key = "share" if 0 <= margin < float("inf") else "margin"
        raise PromptError(f"{record.place(key)} makes no sense: {error}") from error


def _template(record: Record) -> str:
    record.allow(("text",))
    return record.text("text")


def _filled(record: Record, templates: Sequence[str]) -> Iterator[Record]:
    """The item as it stands, or one of each template with its slots filled."""
    if "slots" not in record.values:
        yield record
        return
    if not templates or "prompt" in record.values:
        raise PromptError(f"{record.place('slots')} has slots: they need [[templates]] to fill, and no prompt.")
    slots, contrast = record.named_texts("slots"), record.named_texts("contrast_slots")
    rest = {key: value for key, value in record.values.items() if key not in ("slots", "contrast_slots")}
    for template in templates:
        values = {"group": ", ".join(slots.values()), **rest, "prompt": _fill(record, "slots", template, slots)}
        values["template"] = template
        if contrast:
            values["contrast_prompt"] = _fill(record, "contrast_slots", template, contrast)
        yield replace(record, values=values)


def _fill(record: Record, key: str, template: str, slots: Mapping[str, str]) -> str:
    names = re.findall(r"\{(\w+)\}", template)
    if set(names) != set(slots):
        raise PromptError(
            f"{record.place(key)} fills {', '.join(slots) or 'nothing'}, but the template {template!r} has "
            f"{', '.join(names) or 'no slots'}. Name the same slots."
        )
    return re.sub(r"\{(\w+)\}", lambda found: slots[found[1]], template)
