"""Values of a study read back from what ``written`` wrote: the other direction."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from math import inf, nan
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from circuitwise.errors import ArtifactError
from circuitwise.evidence.intervals import Interval

Value = TypeVar("Value")


def restore(kind: type[Value], written: object) -> Value:
    """The value of this dataclass; bounds that are null do not exist, other numbers that are null are no numbers."""
    if not isinstance(written, Mapping):
        raise ArtifactError(f"What should be a {kind.__name__} is none. The run is damaged: run the stage again.")
    named = cast("Mapping[str, object]", written)
    if kind is Interval:
        named = {**named, "low": _or(named.get("low"), -inf), "high": _or(named.get("high"), inf)}
    hints = get_type_hints(kind)
    missing = [each.name for each in fields(cast("Any", kind)) if each.name not in named and each.default is MISSING]
    if missing:
        raise ArtifactError(
            f"A {kind.__name__} without {', '.join(missing)} is none. The run is damaged or was made by another "
            "version of circuitwise: run the stage again."
        )
    return kind(**{name: _restored(hints[name], value) for name, value in named.items() if name in hints})


def _restored(hint: Any, value: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    match value:
        case _ if origin in (UnionType, Union):
            some = [each for each in inner if each is not type(None)]
            return value if value is None or len(some) > 1 else _restored(some[0], value)
        case None:
            return nan if hint is float else None
        case Mapping() if isinstance(hint, type) and is_dataclass(hint):
            return restore(hint, cast("object", value))
        case Mapping() if inner:
            pairs = cast("Mapping[str, Any]", value).items()
            return {_restored_key(inner[0], key): _restored(inner[1], each) for key, each in pairs}
        case list() if origin is tuple:
            return tuple(_several(inner, cast("list[Any]", value)))
        case int() if hint is float and not isinstance(value, bool):
            return float(value)
        case _:
            return hint(value) if isinstance(hint, type) and issubclass(hint, int) else value


def _several(inner: Sequence[Any], values: list[Any]) -> list[Any]:
    hints = [inner[0]] * len(values) if len(inner) == 2 and inner[1] is Ellipsis else inner
    return [_restored(hint, value) for hint, value in zip(hints, values, strict=True)]


def _restored_key(hint: Any, key: str) -> Any:
    return int(key) if hint is int else key


def _or(value: object, otherwise: float) -> object:
    return otherwise if value is None else value
