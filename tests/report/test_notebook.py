"""Notebooks show our values by themselves once the extension is loaded, and as text again once it is not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from circuitwise.circuit.prune import prune
from circuitwise.report.inline import Showable, show
from circuitwise.report.notebook import HTML, load_ipython_extension, unload_ipython_extension
from circuitwise.study.run import Run
from circuitwise.study.study import Study

CELLS = """%load_ext circuitwise.report
from pathlib import Path
from circuitwise.study.run import Run
run = Run(Path({folder!r}))
run
run.graph("agreement", 0)
run.circuit("agreement")"""


class Plain:
    """A shell with one formatter, as IPython has them."""

    def __init__(self) -> None:
        self.known: dict[type, Callable[[Any], str]] = {}
        self.formatters = {HTML: self}
        self.display_formatter = self

    def for_type(self, typ: type, func: Callable[[Any], str]) -> None:
        self.known[typ] = func

    def pop(self, typ: type, default: None) -> object:
        return self.known.pop(typ, default)


@pytest.fixture
def shell() -> Iterator[Any]:
    """A real one, in this process."""
    found: Any = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    yield found.instance()
    found.clear_instance()


def test_every_type_that_can_be_shown_is_made_known_and_forgotten_again(run: Run):
    shell = Plain()
    load_ipython_extension(shell)
    assert shell.known.keys() == set(get_args(Showable))
    assert shell.known[Run](run) == show(run).html
    unload_ipython_extension(shell)
    assert shell.known == {}


def test_ipython_shows_values_once_it_is_told_to(run: Run, shell: Any):
    circuit = run.circuit("agreement")
    assert circuit is not None
    graph = run.graph("agreement", 0)
    values: list[Showable] = [run, Study(run.plan), graph, prune(graph), circuit, circuit.aggregate]
    assert {type(value) for value in values} == set(get_args(Showable))
    drawn = shell.display_formatter.format
    assert [HTML in drawn(value)[0] for value in values] == [False] * 6
    shell.run_line_magic("load_ext", "circuitwise.report")
    assert [drawn(value)[0].get(HTML) for value in values] == [show(value).html for value in values]
    shell.run_line_magic("unload_ext", "circuitwise.report")
    assert HTML not in drawn(run)[0]


def test_a_notebook_shows_the_last_line_of_its_cells(run: Run, tmp_path: Path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [nbformat.v4.new_code_cell(line) for line in CELLS.format(folder=str(run.folder)).splitlines()]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells for output in cell.outputs]
    shown = [output["data"].get(HTML, "") for output in outputs if output["output_type"] == "execute_result"]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert len(shown) == 3 and all(html.startswith('<iframe sandbox="allow-scripts"') for html in shown)
