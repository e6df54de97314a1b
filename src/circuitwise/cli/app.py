"""The ``circuitwise`` command: what it knows, and how it ends.

What a user can mend ends with code 2 and one sentence, an interruption with code 130; everything else is a bug and
keeps its traceback.
"""

import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from circuitwise.cli.check import EXAMPLES as CHECK_EXAMPLES
from circuitwise.cli.check import check
from circuitwise.cli.compare import EXAMPLES as COMPARE_EXAMPLES
from circuitwise.cli.compare import compare
from circuitwise.cli.demo import EXAMPLES as DEMO_EXAMPLES
from circuitwise.cli.demo import demo
from circuitwise.cli.doctor import EXAMPLES as DOCTOR_EXAMPLES
from circuitwise.cli.doctor import doctor
from circuitwise.cli.edges import EXAMPLES as EDGES_EXAMPLES
from circuitwise.cli.edges import Edges
from circuitwise.cli.examine import EXAMPLES as TEST_EXAMPLES
from circuitwise.cli.examine import Examine
from circuitwise.cli.export import EXAMPLES as EXPORT_EXAMPLES
from circuitwise.cli.export import Export
from circuitwise.cli.feature import EXAMPLES as FEATURE_EXAMPLES
from circuitwise.cli.feature import FeatureRequest
from circuitwise.cli.intervene import EXAMPLES as INTERVENE_EXAMPLES
from circuitwise.cli.intervene import Intervene
from circuitwise.cli.models import EXAMPLES as MODELS_EXAMPLES
from circuitwise.cli.models import models
from circuitwise.cli.patch import EXAMPLES as PATCH_EXAMPLES
from circuitwise.cli.patch import Patch
from circuitwise.cli.prune import EXAMPLES as PRUNE_EXAMPLES
from circuitwise.cli.prune import prune
from circuitwise.cli.quality import EXAMPLES as QUALITY_EXAMPLES
from circuitwise.cli.quality import MeasureQuality
from circuitwise.cli.quantise import EXAMPLES as QUANTISE_EXAMPLES
from circuitwise.cli.quantise import quantise
from circuitwise.cli.request import RequestCommand
from circuitwise.cli.score import EXAMPLES as SCORE_EXAMPLES
from circuitwise.cli.score import score
from circuitwise.cli.screen import errors, output
from circuitwise.cli.show import EXAMPLES as SHOW_EXAMPLES
from circuitwise.cli.show import Show
from circuitwise.cli.study import study
from circuitwise.cli.suite import suite
from circuitwise.cli.survey import EXAMPLES as SURVEY_EXAMPLES
from circuitwise.cli.survey import SurveyRequest
from circuitwise.cli.trace import EXAMPLES as TRACE_EXAMPLES
from circuitwise.cli.trace import Trace
from circuitwise.cli.train import EXAMPLES as TRAIN_EXAMPLES
from circuitwise.cli.train import Train
from circuitwise.cli.validate import EXAMPLES as VALIDATE_EXAMPLES
from circuitwise.cli.validate import validate
from circuitwise.errors import CircuitwiseError
from circuitwise.storage.jsontext import readable_json

MENDABLE = 2
"""The exit code of an error that the user can mend."""
BROKEN_PIPE = 1
"""The exit code when the reader of the output has gone; nothing is said about it."""
INTERRUPTED = 130
"""The exit code after Ctrl-C."""

# The class of all wrong usage; typer exports only this child of it.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

FIRST_STEPS = """\b
First steps:
  circuitwise doctor    check this machine: packages, memory, hub, cache
  circuitwise demo      load the built-in SmolLM2-135M Q4_1 and watch it predict
  circuitwise models    which models and dictionary sets can be opened
  circuitwise trace "The capital of France is" -o france.graph
"""

app = typer.Typer(
    name="circuitwise",
    epilog=FIRST_STEPS,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(asked: bool) -> bool:
    if asked:
        try:
            typer.echo(f"circuitwise {version('circuitwise')}")
        except PackageNotFoundError:
            typer.echo("circuitwise (not installed, run from its source)")
        raise typer.Exit
    return asked


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
]


@app.callback()
def circuitwise(show_version: Version = False) -> None:
    """Find the circuit behind a behaviour of a language model, and prove it by intervention.

    The flow: prompts -> model -> features -> graph -> circuit -> intervention -> evidence -> report. Each stage is a
    function of the Python library as well.

    Every command explains itself: circuitwise COMMAND --help. Every command takes --json (one JSON value on the output
    stream) and --quiet (no progress). An error that you can mend is one sentence and exit code 2.
    """
    del show_version  # its callback has ended the program already


app.command(epilog=DOCTOR_EXAMPLES)(doctor)
app.command(epilog=CHECK_EXAMPLES)(check)
app.command(epilog=MODELS_EXAMPLES)(models)
app.command(epilog=DEMO_EXAMPLES)(demo)
app.command(cls=RequestCommand, epilog=TRACE_EXAMPLES)(Trace)
app.command(cls=RequestCommand, epilog=TRAIN_EXAMPLES)(Train)
app.command("quality", cls=RequestCommand, epilog=QUALITY_EXAMPLES)(MeasureQuality)
app.command(epilog=QUANTISE_EXAMPLES)(quantise)
app.command("survey", cls=RequestCommand, epilog=SURVEY_EXAMPLES)(SurveyRequest)
app.command("feature", cls=RequestCommand, epilog=FEATURE_EXAMPLES)(FeatureRequest)
app.command(epilog=PRUNE_EXAMPLES)(prune)
app.command(epilog=SCORE_EXAMPLES)(score)
app.command(cls=RequestCommand, epilog=SHOW_EXAMPLES)(Show)
app.command(cls=RequestCommand, epilog=INTERVENE_EXAMPLES)(Intervene)
app.command(cls=RequestCommand, epilog=PATCH_EXAMPLES)(Patch)
app.command(cls=RequestCommand, epilog=EDGES_EXAMPLES)(Edges)
app.command("test", cls=RequestCommand, epilog=TEST_EXAMPLES)(Examine)
app.command(cls=RequestCommand, epilog=EXPORT_EXAMPLES)(Export)
app.command(epilog=VALIDATE_EXAMPLES)(validate)
app.command(epilog=COMPARE_EXAMPLES)(compare)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _allow_every_letter()
    as_json = "--json" in words
    try:
        code = typer.main.get_command(app).main(
            args=words or ["--help"], prog_name="circuitwise", standalone_mode=False
        )
        sys.stdout.flush()
    except CircuitwiseError as error:
        return _fail(str(error), type(error).__name__, MENDABLE, as_json)
    except _UsageError as error:
        return _fail(_usage_sentence(error), "UsageError", MENDABLE, as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    if code == INTERRUPTED:  # typer turns Ctrl-C into this code by itself
        return _fail("Interrupted: nothing more was done.", "Interrupted", INTERRUPTED, as_json)
    return int(code or 0)


def _fail(sentence: str, kind: str, code: int, as_json: bool) -> int:
    if as_json:
        text = readable_json({"error": sentence, "kind": kind}, what="The error")
        output().print(text, end="", markup=False, soft_wrap=True)
    else:
        errors().print(sentence, markup=False, soft_wrap=True)
    return code


def _usage_sentence(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = "circuitwise" if context is None else context.command_path
    reason = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
    return f"{reason}{'' if reason.endswith('?') else '.'} See `{command} --help`."


def _allow_every_letter() -> None:
    """Show what the terminal's encoding cannot write as an escape, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
app.add_typer(suite, name="suite")
app.add_typer(study, name="study")
