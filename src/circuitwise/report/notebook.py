"""``%load_ext circuitwise.report``: from then on notebooks show studies, runs, graphs and circuits by themselves.

IPython asks its formatters what a value looks like. They are told of our types here, so that no type needs to know how
it is drawn.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, get_args, runtime_checkable

from circuitwise.report.inline import Showable, show

HTML = "text/html"
"""The formatter that is told."""


@runtime_checkable
class Formatter(Protocol):
    """As much of one of IPython's formatters as is needed."""

    def for_type(self, typ: type, func: Callable[[Showable], str]) -> object:
        """Take note of how values of a type look."""
        ...

    def pop(self, typ: type, default: None) -> object:
        """Forget it."""
        ...


@runtime_checkable
class DisplayFormatter(Protocol):
    """All formatters of a shell."""

    @property
    def formatters(self) -> Mapping[str, Formatter]:
        """By the kind of what they make."""
        ...


@runtime_checkable
class Shell(Protocol):
    """As much of IPython as is needed."""

    @property
    def display_formatter(self) -> DisplayFormatter:
        """What decides how values look."""
        ...


def load_ipython_extension(ipython: Shell) -> None:
    """Have a shell show our values as ``show`` does."""
    formatter = ipython.display_formatter.formatters[HTML]
    for each in get_args(Showable):
        formatter.for_type(each, _html)


def unload_ipython_extension(ipython: Shell) -> None:
    """Have it show them as text again."""
    formatter = ipython.display_formatter.formatters[HTML]
    for each in get_args(Showable):
        formatter.pop(each, None)


def _html(value: Showable) -> str:
    return show(value).html
