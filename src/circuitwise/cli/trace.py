"""``circuitwise trace``: the attribution graph of one prompt."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from circuitwise.attribution.attribute import Budget, attribute
from circuitwise.circuit.paths import strongest_paths
from circuitwise.cli.graphwriting import Force, Output, check_free, format_of, write_subject
from circuitwise.cli.opening import (
    BUILTIN,
    NO_FINDING,
    AllowMisfit,
    Device,
    Dtype,
    ModelName,
    SetName,
    Token,
    chosen_set,
    is_drawn,
    open_model,
    open_replacement,
)
from circuitwise.cli.screen import AsJson, Quiet, Screen
from circuitwise.cli.summary import draw_paths, draw_summary, path_value, summary_value
from circuitwise.cli.tracing import check_prompt, provenance_of, targets_of, walk_dtype
from circuitwise.errors import PromptError, RequestError
from circuitwise.graph.graph import Graph, Kind
from circuitwise.model.tokens import Promptlike
from circuitwise.replacement import Replacement
from circuitwise.storage import Json
from circuitwise.targets import Target

N_PATHS = 5
"""How many paths are shown."""
EXAMPLES = """\b
Examples:
  circuitwise trace "The capital of France is" -o france.graph
  circuitwise trace "The keys to the cabinet" --difference " are" " is" -o keys.graph
  circuitwise trace "The opposite of small is" --model google/gemma-2-2b --transcoders gemma --target " big"
  circuitwise trace "What is 2+2?" --chat --transcoders my-set --rows 1024 -o sum.json
"""


class Trace(NamedTuple):
    """Compute the attribution graph of a prompt.

    The graph says what led to the next token: the exact contribution of every feature, error, token and bias to the
    targets and to each other. Without --target, --difference or --feature, the likeliest next tokens are explained.

    The built-in model comes with trained dictionaries; for another one, name a set by --transcoders. The word random
    draws some instead: good for trying things out, and nothing found with them is a finding.

    Keep the graph with -o; prune, score, show, export and compare take it from there.
    """

    prompt: Annotated[str | None, typer.Argument(help="The text that the model continues.", show_default=False)] = None
    prompt_file: Annotated[
        Path | None, typer.Option("--prompt-file", help="Read the text from a file, less a line end at its end.")
    ] = None
    chat: Annotated[bool, typer.Option("--chat", help="Put the text as a user to a chat model.")] = False
    model: ModelName = BUILTIN
    transcoders: SetName = None
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target", metavar="TOKEN", help="A token to explain, leading space included; may be given several times."
        ),
    ] = None
    difference: Annotated[
        tuple[str, str] | None,
        typer.Option("--difference", metavar="TOKEN TOKEN", help="Explain the first token's logit less the second's."),
    ] = None
    feature: Annotated[
        list[str] | None,
        typer.Option("--feature", metavar="L12F345@4", help="A feature at a position to explain."),
    ] = None
    pos: Annotated[
        int, typer.Option("--pos", help="Where tokens are predicted; negative ones count from the end.")
    ] = -1
    rows: Annotated[int, typer.Option("--rows", help="Features that become nodes, at most.")] = Budget().rows
    round: Annotated[int, typer.Option("--round", help="Rows between two rankings of what matters.")] = Budget().round
    batch: Annotated[int, typer.Option("--batch", help="Rows that are walked together, at most.")] = Budget().batch
    walk: Annotated[str, typer.Option("--walk", help="Precision of the rows: float32, float64 or bfloat16.")] = (
        "float32"
    )
    dtype: Dtype = None
    device: Device = None
    allow_misfit: AllowMisfit = False
    token: Token = None
    output: Output = None
    force: Force = False
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Load, compute, write, show."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        prompt = _prompt(self)
        drawn = is_drawn(self.dictionaries)
        targets = targets_of(self.target, self.difference, self.feature)
        budget = Budget(rows=self.rows, round=self.round, batch=self.batch, dtype=walk_dtype(self.walk))
        if self.output is not None:
            check_free(self.output, format_of(self.output), force=self.force)
        replacement = _load(self, screen, prompt, targets)
        started = perf_counter()
        with screen.counting("Tracing, row by row") as progress:
            graph = attribute(replacement, prompt, targets=targets, pos=self.pos, budget=budget, progress=progress)
        seconds = perf_counter() - started
        graph = replace(graph, misfit=graph.misfit or drawn)
        if self.output is not None:
            with screen.working(f"Writing {self.output}"):
                provenance = provenance_of(replacement, budget, misfit=graph.misfit)
                write_subject(graph, self.output, format_of(self.output), provenance=provenance)
        screen.show(_as_json(self, graph, seconds), lambda console: _draw(console, self, graph, seconds))
        if self.output is None:
            screen.note("Nothing was written: name a file with -o to keep the graph.")

    @property
    def dictionaries(self) -> str:
        """The name of the set."""
        return chosen_set(self.transcoders, self.model)


def _prompt(asked: Trace) -> Promptlike:
    """The text, from the command line or a file, as it is or as a message."""
    if (asked.prompt is None) == (asked.prompt_file is None):
        raise RequestError("Give the prompt on the command line or by --prompt-file, one of the two.")
    text = asked.prompt if asked.prompt is not None else ""
    if asked.prompt_file is not None:
        try:
            text = asked.prompt_file.read_text("utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise PromptError(f"{asked.prompt_file} cannot be read ({reason}). Name a text file.") from error
    if not text.strip():
        raise PromptError("The prompt is empty. Give the text that the model shall continue.")
    return [{"role": "user", "content": text}] if asked.chat else text


def _load(asked: Trace, screen: Screen, prompt: Promptlike, targets: list[Target]) -> Replacement:
    model = open_model(screen, asked.model, dtype=asked.dtype, device=asked.device, token=asked.token)
    check_prompt(model, prompt, targets, asked.pos)
    return open_replacement(screen, model, asked.dictionaries, token=asked.token, allow_misfit=asked.allow_misfit)


def _as_json(asked: Trace, graph: Graph, seconds: float) -> Json:
    return {
        **summary_value(graph),
        "random": is_drawn(asked.dictionaries),
        "paths": [path_value(graph, way) for way in strongest_paths(graph, N_PATHS)],
        "seconds": seconds,
        "written": None if asked.output is None else str(asked.output),
    }


def _draw(console: Console, asked: Trace, graph: Graph, seconds: float) -> None:
    draw_summary(console, graph)
    draw_paths(console, graph, N_PATHS)
    console.print()
    if is_drawn(asked.dictionaries):
        console.print(NO_FINDING)
    n_rows = len(graph.nodes.where(Kind.FEATURE))
    where = "" if asked.output is None else f" Written to {asked.output}."
    console.print(f"{n_rows:,} feature rows in {seconds:.1f} s.{where}", markup=False, soft_wrap=True)
