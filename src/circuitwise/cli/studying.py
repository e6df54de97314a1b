"""A study carried out by a command: progress with the time left, resumed after Ctrl-C, a report at the end."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from circuitwise.cli.cached import builtin_state
from circuitwise.cli.forecast import span
from circuitwise.cli.screen import Screen, errors
from circuitwise.dictionaries.shipped import shipped_survey
from circuitwise.errors import RequestError
from circuitwise.features.saving import load_survey
from circuitwise.model.builtin import SHORT_NAMES
from circuitwise.report import write_report
from circuitwise.study.clock import Progress, Tell
from circuitwise.study.opening import Opened
from circuitwise.study.plan import Plan, Stage
from circuitwise.study.run import Run
from circuitwise.study.study import Study

SECONDS_BETWEEN_LINES = 30.0
"""How often progress is written as a line where there is no terminal."""


def carry_out(
    screen: Screen, plan: Plan, folder: Path, *, only: Sequence[Stage] | None = None, report: bool = True
) -> tuple[Run, Path | None]:
    """A finished run, and the page of its report if one is wanted."""
    opened = Opened(plan)
    with screen.working(loading(plan.model)):
        _ = opened.model
    try:
        with _showing(screen) as tell:
            finished = Study(plan).run(folder, only=only, progress=tell, opened=opened)
    except KeyboardInterrupt:
        screen.note(f"What is finished lies in {folder}. Give the same command again to go on.")
        raise
    if not report:
        return finished, None
    with screen.working("Writing the report"):
        return finished, _report(finished)


def loading(name: str) -> str:
    """What is said while a model is opened."""
    if name not in SHORT_NAMES:
        return f"Loading {name}"
    once = "" if builtin_state(name) == "ready" else ", unpacked into the cache the first time"
    return f"Loading {SHORT_NAMES[name].title}{once}"


def _report(run: Run) -> Path:
    """The page of the run's report, with labels where a survey of its dictionaries came along."""
    folder = shipped_survey(run.manifest.transcoders)
    if folder is not None:
        try:
            return write_report(run, survey=load_survey(folder))
        except RequestError:  # a survey of another version of these dictionaries
            pass
    return write_report(run)


class _Shown:
    """Progress as a bar on a terminal, as a line now and then elsewhere."""

    def __init__(self, screen: Screen, bar: Bar) -> None:
        self.screen, self.bar = screen, bar
        self.task = bar.add_task("Studying", total=None, left="")
        self.written = monotonic()

    def __call__(self, progress: Progress) -> None:
        what, left = f"{progress.behaviour}: {progress.stage}", _left(progress.seconds_left)
        self.bar.update(self.task, description=what, completed=progress.done, total=progress.wanted, left=left)
        if not self.bar.console.is_terminal and monotonic() - self.written >= SECONDS_BETWEEN_LINES:
            self.screen.note(f"{what}, {progress.done} of {progress.wanted} prompts; {left}")
            self.written = monotonic()


@contextmanager
def _showing(screen: Screen) -> Generator[Tell]:
    console = errors()
    hidden = screen.quiet or screen.json or not console.is_terminal
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TextColumn("{task.fields[left]}"), console=console, transient=True, disable=hidden) as bar:
        yield _Shown(screen, bar)


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"the whole study takes {span(seconds)} more"
