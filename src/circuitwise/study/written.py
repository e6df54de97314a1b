"""Values of a study as JSON: fields by name, what is not finite as null."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import cast

from circuitwise.storage.jsontext import Json


def written_fields(value: object) -> dict[str, Json]:
    """A dataclass by the names of its fields, and so whatever it holds."""
    assert is_dataclass(value)
    return {each.name: _written(getattr(value, each.name)) for each in fields(value)}


def _written(value: object) -> Json:
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _written(each) for key, each in cast("Mapping[object, object]", value).items()}
        case tuple() | list():
            return [_written(each) for each in cast("Sequence[object]", value)]
        case _ if is_dataclass(value):
            return written_fields(value)
        case _:
            return str(value)
