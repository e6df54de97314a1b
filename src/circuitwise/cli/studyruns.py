"""Runs of studies as commands show them: all of a folder, how far one is, what came of it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from circuitwise.cli.screen import AsJson, Quiet, Screen, listing
from circuitwise.errors import RequestError
from circuitwise.storage import Json
from circuitwise.study.layout import MANIFEST
from circuitwise.study.overview import COLUMNS, markdown_table, overview
from circuitwise.study.run import Run, StageState
from circuitwise.study.study import RUNS

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.", show_default=False)]
Markdown = Annotated[bool, typer.Option("--markdown", help="Show the table of all numbers as Markdown.")]
PROVED = ("lost without it", "kept by it alone", "evidence")
SHOWN = (
    "behaviour",
    "right answer likelier",
    "baseline",
    "lead (nats a token)",
    "lost without it",
    "kept by it alone",
    "evidence",
)
"""Columns of the table that fit on a screen."""
N_SENTENCES = 3
"""Findings of a behaviour that are shown to people."""
N_FAILURES = 5
"""Failed prompts of a stage that are shown."""


def list_runs(
    folder: Annotated[Path, typer.Argument(help="The folder to look in.")] = Path(RUNS),
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder."""
    if not folder.is_dir():
        raise RequestError(f"There is no folder {folder}. Name one that holds runs, or run a study first.")
    found = [Run(path.parent) for path in sorted(folder.rglob(MANIFEST))]
    value: Json = [_line(run) for run in found]

    def draw(console: Console) -> None:
        table = listing("run", "model", "behaviours", "begun", "state")
        for run in found:
            told = run.manifest
            state = "finished" if told.finished else "not finished"
            table.add_row(escape(str(run.folder)), escape(told.model), ", ".join(told.behaviours), told.started, state)
        console.print(table)

    Screen(quiet=quiet, json=as_json).show(value, draw)


def show_status(run: Folder, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Show how far a run is: every stage, how long it took, and which prompts failed."""
    found = Run.load(run)
    Screen(quiet=quiet, json=as_json).show(_states(found), lambda console: draw_status(console, found))


def show_run(run: Folder, markdown: Markdown = False, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Show what came of a run: baselines, circuits, and what is shown about them."""
    found = Run.load(run)
    draw = draw_markdown if markdown else draw_run
    Screen(quiet=quiet, json=as_json).show(run_value(found), lambda console: draw(console, found))


def run_value(run: Run) -> dict[str, Json]:
    """What came of a run, in numbers."""
    return {**_line(run), "results": {name: _result(run, name) for name in run.behaviours}}


def draw_run(console: Console, run: Run) -> None:
    """The same for people: a table, then the findings in words."""
    draw_table(console, run)
    for name in run.behaviours:
        if (proof := run.proof(name)) is not None:
            sentences = dict.fromkeys([proof.headline, *(each.text for each in proof.sentences)])
            for sentence in list(sentences)[: 1 + N_SENTENCES]:
                console.print(f"{name}: {sentence}", markup=False, soft_wrap=True)
    failed = sum(len(state.failures) for states in run.manifest.behaviours.values() for state in states.values())
    if failed:
        console.print(f"{failed} prompts failed: `circuitwise study status {run.folder}` names them.", markup=False)
    _draw_problems(console, run)
    if run.manifest.misfit:
        console.print("The dictionaries do not reconstruct this model: nothing found with them is a finding.")
    console.print(f"All of it lies in {run.folder}.", markup=False, soft_wrap=True)


def draw_markdown(console: Console, run: Run) -> None:
    """A row for every behaviour with all its numbers, to be pasted into a document."""
    rows = (overview(run, name) for name in run.behaviours)
    console.print(markdown_table(rows), end="", markup=False, soft_wrap=True)


def draw_table(console: Console, run: Run) -> None:
    """A row for every behaviour."""
    table = listing(*SHOWN)
    for name in run.behaviours:
        cells = dict(zip(COLUMNS, overview(run, name).cells(), strict=True))
        chosen = (cells[column].split(";")[0] for column in SHOWN)
        table.add_row(*(escape(cell) for cell in chosen))
    console.print(table)


def result_of(run: Run, behaviour: str) -> str:
    """A behaviour's verdict in a sentence, or why there is none."""
    if (proof := run.proof(behaviour)) is not None:
        return proof.headline
    problems = [state.problem for state in run.manifest.behaviours[behaviour].values() if state.problem]
    return problems[0] if problems else "The circuit was not put to the proof."


def draw_status(console: Console, run: Run) -> None:
    """How far every stage is."""
    table = listing("behaviour", "stage", "state", "prompts", "failed", "seconds")
    for name, states in run.manifest.behaviours.items():
        for stage, state in states.items():
            cells = (str(state.done), str(len(state.failures) or ""), f"{state.seconds:.1f}")
            table.add_row(escape(name), stage, _word(state), *cells)
    console.print(table)
    for name, states in run.manifest.behaviours.items():
        for stage, state in states.items():
            for each in state.failures[:N_FAILURES]:
                console.print(f"{name}, {stage}, {each.prompt!r}: {each.sentence}", markup=False, soft_wrap=True)
            if len(state.failures) > N_FAILURES:
                rest = len(state.failures) - N_FAILURES
                console.print(f"{name}, {stage}: {rest} more, in {run.folder / MANIFEST}.", markup=False)
    _draw_problems(console, run)


def _draw_problems(console: Console, run: Run) -> None:
    for name, states in run.manifest.behaviours.items():
        for stage, state in states.items():
            if state.problem:
                console.print(f"{name}, {stage}: {state.problem}", markup=False, soft_wrap=True)


def _word(state: StageState) -> str:
    if state.problem:
        return "no result"
    return "finished" if state.finished else "not finished"


def _line(run: Run) -> dict[str, Json]:
    told = run.manifest
    return {
        "run": str(run.folder),
        "name": told.name,
        "model": told.model,
        "transcoders": told.transcoders,
        "misfit": told.misfit,
        "started": told.started,
        "finished": told.finished,
        "behaviours": list(told.behaviours),
    }


def _states(run: Run) -> dict[str, Json]:
    stages: Json = {
        name: {
            stage: {
                "state": _word(state),
                "done": state.done,
                "seconds": state.seconds,
                "problem": state.problem,
                "failed": [{"prompt": each.prompt, "sentence": each.sentence} for each in state.failures],
            }
            for stage, state in states.items()
        }
        for name, states in run.manifest.behaviours.items()
    }
    return {**_line(run), "stages": stages}


def _result(run: Run, name: str) -> Json:
    baselines = {split: run.baseline(name, split) for split in ("train", "test")}
    circuit, proof = run.circuit(name), run.proof(name)
    return {
        "baseline": {split: None if found is None else found.metrics() for split, found in baselines.items()},
        "graphs": {"n": len(run.graphs(name)), "mean_replacement": overview(run, name).replacement},
        "circuit": None if circuit is None else [str(member) for member in circuit.members],
        "evidence": None if proof is None else proof.as_json(),
    }
