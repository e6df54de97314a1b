"""``circuitwise study``: a plan carried out from prompts to evidence, and what became of it."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from typer.core import TyperGroup

from circuitwise.cli.opening import AllowMisfit
from circuitwise.cli.request import RequestCommand
from circuitwise.cli.screen import AsJson, Quiet, Screen, errors, listing, size
from circuitwise.cli.studyruns import draw_run, list_runs, run_value, show_run, show_status
from circuitwise.dictionaries.shipped import shipped_survey
from circuitwise.errors import RequestError
from circuitwise.features.saving import load_survey
from circuitwise.report import write_report
from circuitwise.storage import Json
from circuitwise.study.clock import Progress, Tell
from circuitwise.study.forecast import Forecast, forecast
from circuitwise.study.opening import Opened
from circuitwise.study.plan import STAGES, Chosen, Plan, Stage
from circuitwise.study.planfile import is_suite_file, parse_layers, read_plan
from circuitwise.study.run import Run
from circuitwise.study.study import RUNS, Study
from circuitwise.suites import BEHAVIOURS

SECONDS_BETWEEN_LINES = 30.0
"""How often progress is written as a line where there is no terminal."""
REPORT = "report"
"""The last stage: what was found, as a page, in words and in tables."""
RUN = "run"
"""The command that a plan stands for by itself."""
EXAMPLES = """\b
Examples:
  circuitwise study capitals
  circuitwise study capitals grammar --n-prompts 20 -o runs/two
  circuitwise study plan.toml
  circuitwise study status runs/plan
  circuitwise study show runs/plan
"""
RUN_EXAMPLES = """\b
Examples:
  circuitwise study run plan.toml
  circuitwise study run capitals --stage baseline
  circuitwise study run my-prompts.jsonl --model Qwen/Qwen3-0.6B --transcoders qwen3-0.6b --layers 10-20
  circuitwise study run plan.toml --dry-run
"""


class StudyGroup(TyperGroup):
    """``study PLAN`` is short for ``study run PLAN``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: D102
        known = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, [RUN, *args] if args and args[0] not in known else args)


study = typer.Typer(name="study", cls=StudyGroup, epilog=EXAMPLES, rich_markup_mode=None, no_args_is_help=True)


@study.callback()
def describe() -> None:
    """From prompts to a circuit and what is shown about it: `study PLAN` is short for `study run PLAN`."""


class StudyRequest(NamedTuple):
    """Carry out a plan, or go on where it was interrupted.

    PLAN is a TOML file, or one or several suites: built-in names and files of prompts. The stages are baseline,
    features, graphs, circuit, interventions, evidence, and the report; --stage runs some of them, with what they need.
    What was computed before is not computed again: after Ctrl-C, or worse, give the same command once more.
    """

    plan: Annotated[
        list[str], typer.Argument(help=f"A TOML file, or suites: {', '.join(BEHAVIOURS)} or files.", show_default=False)
    ]
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="RUN", help=f"The run's folder. [{RUNS}/NAME]", show_default=False),
    ] = None
    model: Annotated[
        str | None, typer.Option("--model", help="A short name, a hub name, a folder or a GGUF file. [the plan's]")
    ] = None
    transcoders: Annotated[
        str | None, typer.Option("--transcoders", help="A dictionary set, or the word random. [the plan's]")
    ] = None
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", help=f"Run only this: {', '.join(STAGES)}, {REPORT}. May be repeated."),
    ] = None
    n_prompts: Annotated[
        int | None, typer.Option("--n-prompts", help="As many prompts of each split, drawn. [the plan's, or all]")
    ] = None
    layers: Annotated[
        str | None,
        typer.Option("--layers", help="Layers whose dictionaries take part: 10-25.", show_default=False),
    ] = None
    allow_misfit: AllowMisfit = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would need, open no weights, and stop.")] = (
        False
    )
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Read the plan, carry it out, show what came of it."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        plan, only = self._plan(), _stages(self.stage)
        if self.dry_run:
            with screen.working("Computing what the study needs"):
                found = forecast(plan if only is None else replace(plan, stages=tuple(only)))
            screen.show(_forecast_value(plan, found), lambda console: _draw_forecast(console, plan, found))
            return
        opened = Opened(plan)
        with screen.working(f"Loading {plan.model}"):
            _ = opened.model
        folder = Path(RUNS) / plan.name if self.output is None else self.output
        try:
            with _showing(screen) as tell:
                finished = Study(plan).run(folder, only=only, progress=tell, opened=opened)
        except KeyboardInterrupt:
            screen.note(f"What is finished lies in {folder}. Give the same command again to go on.")
            raise
        page = None
        if _wants_report(self.stage):
            with screen.working("Writing the report"):
                page = _report(finished)
        screen.show(
            {**run_value(finished), "report": None if page is None else str(page)},
            lambda console: _draw_finished(console, finished, page),
        )

    def _plan(self) -> Plan:
        """The plan of the file, or of the suites, with what the options say."""
        plan = _named_plan(self.plan)
        return replace(
            plan,
            model=plan.model if self.model is None else self.model,
            transcoders=plan.transcoders if self.transcoders is None else self.transcoders,
            n_prompts=plan.n_prompts if self.n_prompts is None else self.n_prompts,
            layers=plan.layers if self.layers is None else parse_layers(self.layers),
            allow_misfit=plan.allow_misfit or self.allow_misfit,
        )


study.command(RUN, cls=RequestCommand, epilog=RUN_EXAMPLES)(StudyRequest)
study.command("list")(list_runs)
study.command("status")(show_status)
study.command("show")(show_run)


def _report(run: Run) -> Path:
    """The page of the run's report, with labels where a survey of its dictionaries came along."""
    folder = shipped_survey(run.manifest.transcoders)
    if folder is not None:
        try:
            return write_report(run, survey=load_survey(folder))
        except RequestError:  # a survey of another version of these dictionaries
            pass
    return write_report(run)


def _draw_finished(console: Console, run: Run, page: Path | None) -> None:
    draw_run(console, run)
    if page is not None:
        console.print(f"The report: {page}", markup=False, soft_wrap=True)


def _named_plan(words: list[str]) -> Plan:
    """The plan that a TOML file holds, or one for suites."""
    if len(words) == 1 and Path(words[0]).suffix == ".toml" and not is_suite_file(Path(words[0])):
        return read_plan(words[0])
    for word in words:
        if word not in BEHAVIOURS and not Path(word).is_file():
            raise RequestError(
                f"There is neither a file “{word}” nor a built-in suite of that name. Name a plan, a file of prompts, "
                f"or {', '.join(BEHAVIOURS)}."
            )
    return Plan(name="-".join(Path(word).stem for word in words), suites=tuple(Chosen(suite=word) for word in words))


def _stages(words: list[str] | None) -> list[Stage] | None:
    for word in words or []:
        if word not in (*STAGES, REPORT):
            raise RequestError(f"There is no stage “{word}”. Choose {', '.join(STAGES)} or {REPORT}.")
    return None if words is None else [stage for stage in STAGES if stage in words]


def _wants_report(words: list[str] | None) -> bool:
    return words is None or REPORT in words


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
    return "" if seconds is None else f"the whole study takes {_span(seconds)} more"


def _span(seconds: float) -> str:
    """A time as people read it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _forecast_value(plan: Plan, found: Forecast) -> dict[str, Json]:
    return {
        "name": plan.name,
        "model": plan.model,
        "transcoders": plan.transcoders,
        "suites": {name: {"train": sizes[0], "test": sizes[1]} for name, sizes in found.prompts.items()},
        "tokens": found.tokens,
        "bytes": found.memory.traced,
        "bytes_on_device": found.memory.on_device,
        "seconds": {str(stage): seconds for stage, seconds in found.seconds.items()},
        "total_seconds": found.total,
    }


def _draw_forecast(console: Console, plan: Plan, found: Forecast) -> None:
    console.print(f"The study “{plan.name}” of {plan.model}, before it is run", markup=False, soft_wrap=True)
    table = listing("stage", "about")
    for stage, seconds in found.seconds.items():
        table.add_row(stage, _span(seconds))
    table.add_row("all together", _span(found.total))
    console.print(table)
    for name, (n_train, n_test) in found.prompts.items():
        console.print(f"{name}: {n_train} prompts to find a circuit on, {n_test} to test it on.", markup=False)
    device = f", and {size(found.memory.on_device)} on {found.memory.device}" if found.memory.on_device else ""
    console.print(
        f"Memory: {size(found.memory.traced)} at the most{device}, with prompts of {found.tokens} tokens. It does not "
        "grow with the number of prompts. Times are right within a factor of three.",
        soft_wrap=True,
    )
