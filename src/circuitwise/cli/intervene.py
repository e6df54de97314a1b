"""``circuitwise intervene``: change features, heads or sites on a graph's prompt, and see what the model says then."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from circuitwise.cli.controls import Controls, run_controls
from circuitwise.cli.editing import PLACES, edits_of, strongest_edits
from circuitwise.cli.graphfiles import graph_of, open_subject
from circuitwise.cli.opening import (
    NO_FINDING,
    AllowMisfit,
    Device,
    Dtype,
    GraphModel,
    GraphTranscoders,
    Token,
    check_same_model,
    is_drawn,
    open_model,
    open_replacement,
)
from circuitwise.cli.screen import AsJson, Quiet, Screen, listing
from circuitwise.edits import Edit, Freeze
from circuitwise.errors import RequestError
from circuitwise.graph.graph import Graph
from circuitwise.intervention.continuing import Generation
from circuitwise.intervention.intervene import intervene
from circuitwise.intervention.outcome import Candidate, Outcome
from circuitwise.replacement import Replacement
from circuitwise.storage import Json
from circuitwise.targets import Difference
from circuitwise.vocabulary import Feature, numbers

EXAMPLES = """\b
Examples:
  circuitwise intervene france.graph --strongest 1
  circuitwise intervene france.graph --ablate L12F345@last --difference " Paris" " Rome"
  circuitwise intervene france.graph --scale L12F345@last=-1 --freeze attention --generate 20
  circuitwise intervene france.graph --patch L12.mlp_out@last --from "The capital of Italy is"
"""


class Intervene(NamedTuple):
    """Change what a graph's features do, run the model, and compare.

    The graph gives the prompt, the model and the dictionaries; the model is run anew. Ablating a feature takes away
    what it writes and leaves everything else, the dictionaries' errors included. Beside the effect stand controls:
    features of the same layer that fire about as strongly at the same position, changed in the same way.

    A place is L12F345 (a feature), L5H3 (a head) or L12.mlp_out (a whole site); behind it stands where: @4, @2,5,
    @last, @3.. (from there on, generated tokens too); without it, everywhere.
    """

    graph: Annotated[Path, typer.Argument(help="The file of a graph or circuit.", show_default=False)]
    strongest: Annotated[
        int, typer.Option("--strongest", min=0, help="Ablate the graph's most influential features, so many.")
    ] = 0
    ablate: Annotated[
        list[str] | None, typer.Option("--ablate", metavar="PLACE@WHERE", help=f"Set to zero: {PLACES}; repeatable.")
    ] = None
    scale: Annotated[
        list[str] | None, typer.Option("--scale", metavar="PLACE@WHERE=FACTOR", help="Multiply; -1 inhibits.")
    ] = None
    put: Annotated[list[str] | None, typer.Option("--set", metavar="PLACE@WHERE=VALUE", help="Set to a number.")] = None
    steer: Annotated[
        list[str] | None, typer.Option("--steer", metavar="FEATURE@WHERE=AMOUNT", help="Add to a feature's activation.")
    ] = None
    patch: Annotated[
        list[str] | None, typer.Option("--patch", metavar="PLACE@WHERE", help="Take the value from another prompt.")
    ] = None
    source: Annotated[str | None, typer.Option("--from", metavar="PROMPT", help="That other prompt.")] = None
    freeze: Annotated[
        Freeze, typer.Option("--freeze", help="What is held constant: nothing, attention patterns, or everything.")
    ] = Freeze.NOTHING
    difference: Annotated[
        tuple[str, str] | None,
        typer.Option("--difference", metavar="TOKEN TOKEN", help="Two answers whose logits are compared."),
    ] = None
    watch: Annotated[
        list[str] | None, typer.Option("--watch", metavar="L12F345", help="Show a feature before and after.")
    ] = None
    generate: Annotated[int, typer.Option("--generate", min=0, help="Show so many tokens of what follows.")] = 0
    controls: Annotated[int, typer.Option("--controls", min=0, help="How many matched controls; 0 for none.")] = 8
    model: GraphModel = None
    transcoders: GraphTranscoders = None
    dtype: Dtype = None
    device: Device = None
    allow_misfit: AllowMisfit = False
    token: Token = None
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Open, change, run, compare."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        with screen.working(f"Opening {self.graph}"):
            graph = graph_of(open_subject(self.graph))
        edits = _edits(self, graph)
        watch = [Feature.parse(text) for text in self.watch or []]
        difference = None if self.difference is None else Difference(*self.difference)
        replacement = _open(self, screen, graph)
        generation = Generation(n_tokens=self.generate) if self.generate else None
        with screen.working("Running the model with and without the edits"):
            outcome = intervene(
                replacement,
                graph.token_ids,
                edits,
                freeze=self.freeze,
                difference=difference,
                watch=watch,
                generation=generation,
            )
        with screen.counting("Controls") as progress:
            controls = run_controls(replacement, outcome, graph.token_ids, n=self.controls, progress=progress)
        value = _as_json(graph, outcome, controls, drawn=_drawn(self, graph))
        screen.show(value, lambda console: _draw(console, self, outcome, controls))
        if _drawn(self, graph):
            screen.note(NO_FINDING)


def _edits(asked: Intervene, graph: Graph) -> list[Edit]:
    """What was asked for, in the order of the options."""
    if (asked.source is None) != (not asked.patch):
        raise RequestError("--patch and --from belong together: the place, and the prompt that its value comes from.")
    edits = [
        *strongest_edits(graph, asked.strongest),
        *edits_of(
            ablate=asked.ablate or (),
            scale=asked.scale or (),
            put=asked.put or (),
            steer=asked.steer or (),
            patch=asked.patch or (),
            source=asked.source or "",
        ),
    ]
    if not edits:
        raise RequestError(
            "Nothing is to be changed. --strongest 1 ablates the feature that matters most; --ablate, --scale, --set, "
            "--steer and --patch name a place, such as L12F345@last."
        )
    return edits


def _open(asked: Intervene, screen: Screen, graph: Graph) -> Replacement:
    name = asked.model or graph.model
    model = open_model(screen, name, dtype=asked.dtype, device=asked.device, token=asked.token)
    check_same_model(model, graph)
    allow = asked.allow_misfit or graph.misfit
    transcoders = asked.transcoders or graph.transcoders
    return open_replacement(screen, model, transcoders, token=asked.token, allow_misfit=allow)


def _drawn(asked: Intervene, graph: Graph) -> bool:
    return is_drawn(asked.transcoders or graph.transcoders)


def _as_json(graph: Graph, outcome: Outcome, controls: Controls | None, *, drawn: bool) -> Json:
    return {
        **outcome.row(),
        "model": graph.model,
        "transcoders": graph.transcoders,
        "misfit": graph.misfit,
        "random": drawn,
        "tokens_before": [_candidate(one) for one in outcome.top_before],
        "tokens_after": [_candidate(one) for one in outcome.top_after],
        "watched": {
            str(one.feature): {"before": list(numbers(one.before)), "after": list(numbers(one.after))}
            for one in outcome.watched
        },
        "controls": None if controls is None else controls.value(),
    }


def _candidate(one: Candidate) -> Json:
    return {"token": one.text, "probability": one.probability}


def _draw(console: Console, asked: Intervene, outcome: Outcome, controls: Controls | None) -> None:
    console.print(Text.assemble(("Intervention", "bold"), f" on “{outcome.prompt}”"))
    for edit in outcome.edits:
        console.print(f"  {edit}", markup=False)
    console.print(f"frozen: {outcome.freeze.value}", end="\n\n")
    _draw_numbers(console, asked, outcome)
    if controls is not None:
        console.print(controls.sentence(outcome), markup=False, soft_wrap=True)
    _draw_tokens(console, outcome)
    for one in outcome.watched:
        line = ", ".join(
            f"@{pos} {before:.3g} → {after:.3g}"
            for pos, (before, after) in enumerate(zip(numbers(one.before), numbers(one.after), strict=True))
            if before or after
        )
        console.print(f"{one.feature}: {line or 'fires nowhere'}", markup=False, soft_wrap=True)
    if outcome.text_before is not None and outcome.text_after is not None:
        console.print(Text.assemble(("\nbefore ", "dim"), f"…{outcome.text_before}"), soft_wrap=True)
        console.print(Text.assemble(("after  ", "dim"), f"…{outcome.text_after}"), soft_wrap=True)


def _draw_numbers(console: Console, asked: Intervene, outcome: Outcome) -> None:
    table = listing("", "before", "after", "effect")
    before, after, effect = outcome.difference_before, outcome.difference_after, outcome.effect
    if before is not None and after is not None and effect is not None:
        table.add_row("logit difference", f"{before:.3f}", f"{after:.3f}", f"{effect:+.3f}")
    counted = outcome.top_before[0].text if asked.difference is None else asked.difference[0]
    table.add_row(
        Text(f"probability of {counted!r}"),
        f"{outcome.probability_before:.4f}",
        f"{outcome.probability_after:.4f}",
        f"{outcome.probability_effect:+.4f}",
    )
    table.add_row("KL(before || after), nats", "", "", f"{outcome.divergence:.4f}")
    console.print(table)
    console.print()


def _draw_tokens(console: Console, outcome: Outcome) -> None:
    console.print()
    table = listing("likeliest before", "", "likeliest after", "")
    for before, after in zip(outcome.top_before, outcome.top_after, strict=True):
        table.add_row(
            Text(repr(before.text)), f"{before.probability:.3f}", Text(repr(after.text)), f"{after.probability:.3f}"
        )
    console.print(table)
