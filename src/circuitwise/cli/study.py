"""``circuitwise study``: a plan carried out from prompts to evidence, and what became of it."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from typer.core import TyperGroup

from circuitwise.cli.forecast import draw_forecast, forecast_value
from circuitwise.cli.opening import AllowMisfit
from circuitwise.cli.request import RequestCommand
from circuitwise.cli.screen import AsJson, Quiet, Screen
from circuitwise.cli.studying import carry_out
from circuitwise.cli.studyruns import draw_run, list_runs, run_value, show_run, show_status
from circuitwise.errors import RequestError
from circuitwise.study.forecast import forecast
from circuitwise.study.plan import STAGES, Chosen, Plan, Stage
from circuitwise.study.planfile import is_suite_file, parse_layers, read_plan
from circuitwise.study.run import Run
from circuitwise.study.study import RUNS
from circuitwise.suites import BEHAVIOURS

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
            screen.show(forecast_value(plan, found), lambda console: draw_forecast(console, plan, found))
            return
        folder = Path(RUNS) / plan.name if self.output is None else self.output
        finished, page = carry_out(screen, plan, folder, only=only, report=_wants_report(self.stage))
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
