"""``circuitwise test``: is a circuit what it is said to be? Predicted against measured, and against random circuits."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from circuitwise.cli.contrasts import Contrasts, read_contrasts
from circuitwise.cli.graphfiles import file_kind, graph_of, open_subject
from circuitwise.cli.opening import (
    AllowMisfit,
    Device,
    Dtype,
    GraphModel,
    GraphTranscoders,
    Token,
    check_same_model,
    open_model,
    open_replacement,
)
from circuitwise.cli.screen import AsJson, Quiet, Screen, listing
from circuitwise.edits import Freeze
from circuitwise.errors import RequestError
from circuitwise.evidence.claims import Evidence
from circuitwise.evidence.edgecircuits import EdgeTrial, examine_edges
from circuitwise.evidence.featurecircuits import FeatureAt, FeatureTrial, examine_features
from circuitwise.evidence.prediction import Agreement, predict_effects
from circuitwise.graph.graph import FOREIGN, Graph, Kind
from circuitwise.patching.running import Corrupted, MeanOf
from circuitwise.patching.saving import KIND as EDGES
from circuitwise.patching.saving import FoundEdges, load_edges
from circuitwise.replacement import Replacement
from circuitwise.storage import Json, peek_artifact
from circuitwise.targets import Difference
from circuitwise.vocabulary import Feature, integers

EXAMPLES = """\b
Examples:
  circuitwise test france.circuit
  circuitwise test france.circuit --pairs other-capitals.jsonl --ablation mean
  circuitwise test capitals.edges --pairs other-capitals.jsonl --json
"""

Ablation = Literal["mean", "zero", "corrupted"]


class Examine(NamedTuple):
    """Test a circuit: what its edges predict, and what it does alone, left out, and against random circuits.

    Without --pairs, the strongest edges of a graph are checked on its own prompt: each source is ablated, and what
    happens is compared with what the edge says, with everything frozen, with attention frozen, and with nothing frozen.

    With --pairs, the circuit runs on other prompts (one JSON object a line: clean, corrupted, correct, incorrect, and
    cluster where lines share a template): alone (sufficiency), left out (necessity), without each member (minimality),
    beside random circuits of the same size and layers. Every claim gets a number with an interval, a p and a verdict.
    Prompts that the circuit was found on are refused: they would prove nothing.
    """

    circuit: Annotated[
        Path, typer.Argument(help="A graph or circuit of features, or a circuit of edges.", show_default=False)
    ]
    pairs: Annotated[
        Path | None, typer.Option("--pairs", metavar="FILE", help="Prompts that the circuit was not found on.")
    ] = None
    ablation: Annotated[
        Ablation | None, typer.Option("--ablation", help="What is ablated to. [features: mean; edges: corrupted]")
    ] = None
    freeze: Annotated[Freeze, typer.Option("--freeze", help="What is held constant while features are ablated.")] = (
        Freeze.NOTHING
    )
    controls: Annotated[int, typer.Option("--controls", min=100, help="Random circuits.")] = 100
    seed: Annotated[int, typer.Option("--seed", help="Governs the random circuits.")] = 0
    predict: Annotated[int, typer.Option("--predict", min=0, help="How many edges of a graph are checked.")] = 50
    difference: Annotated[
        tuple[str, str] | None,
        typer.Option("--difference", metavar="TOKEN TOKEN", help="The answers of a graph that explains a difference."),
    ] = None
    model: GraphModel = None
    transcoders: GraphTranscoders = None
    dtype: Dtype = None
    device: Device = None
    allow_misfit: AllowMisfit = False
    token: Token = None
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Open, run, judge."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        contrasts = None if self.pairs is None else read_contrasts(self.pairs)
        if file_kind(self.circuit) == "artifact" and peek_artifact(self.circuit).kind == EDGES:
            self._test_edges(screen, load_edges(self.circuit), contrasts)
        else:
            self._test_features(screen, graph_of(open_subject(self.circuit)), contrasts)

    def _test_edges(self, screen: Screen, found: FoundEdges, contrasts: Contrasts | None) -> None:
        if contrasts is None:
            raise RequestError("A circuit of edges is tested on prompts. Give them with --pairs FILE.")
        _check_unseen(contrasts, found.prompts)
        name = self.model or found.model
        model = open_model(screen, name, dtype=self.dtype, device=self.device, token=self.token)
        ablation = MeanOf(contrasts.clean) if self.ablation == "mean" else Corrupted()
        if self.ablation == "zero":
            raise RequestError("Edges carry another run when they are cut: choose corrupted or mean, not zero.")
        with screen.counting("Running circuits") as progress:
            evidence = examine_edges(
                model,
                found.circuit,
                contrasts.pairs,
                contrasts.differences,
                clusters=contrasts.clusters,
                how=EdgeTrial(ablation=ablation, controls=self.controls, seed=self.seed),
                progress=progress,
            )
        screen.show(_as_json(evidence, ()), lambda console: _draw(console, evidence, ()))

    def _test_features(self, screen: Screen, graph: Graph, contrasts: Contrasts | None) -> None:
        if contrasts is not None:
            _check_unseen(contrasts, (graph.prompt,))
        name = self.model or graph.model
        model = open_model(screen, name, dtype=self.dtype, device=self.device, token=self.token)
        check_same_model(model, graph)
        transcoders, allow = self.transcoders or graph.transcoders, self.allow_misfit or graph.misfit
        replacement = open_replacement(screen, model, transcoders, token=self.token, allow_misfit=allow)
        agreements: tuple[Agreement, ...] = ()
        if self.predict:
            difference = None if self.difference is None else Difference(*self.difference)
            with screen.working("Ablating sources of edges"):
                agreements = predict_effects(replacement, graph, n=self.predict, difference=difference)
        evidence = None if contrasts is None else self._examine(screen, replacement, graph, contrasts)
        screen.show(_as_json(evidence, agreements), lambda console: _draw(console, evidence, agreements))
        if contrasts is None:
            screen.note("No verdict without other prompts: give some with --pairs FILE.")

    def _examine(self, screen: Screen, replacement: Replacement, graph: Graph, contrasts: Contrasts) -> Evidence:
        if self.ablation == "corrupted":
            raise RequestError("Features are ablated to their mean or to zero; corrupted is for circuits of edges.")
        with screen.counting("Running circuits") as progress:
            return examine_features(
                replacement,
                members_of(graph),
                contrasts.clean,
                contrasts.differences,
                clusters=contrasts.clusters,
                how=FeatureTrial(
                    ablation=self.ablation or "mean", freeze=self.freeze, controls=self.controls, seed=self.seed
                ),
                progress=progress,
            )


def members_of(graph: Graph) -> list[FeatureAt]:
    """A circuit's features with their positions, counted from the end so that other prompts have them too."""
    nodes = [graph.nodes[number] for number in integers(graph.nodes.where(Kind.FEATURE))]
    if any(node.index == FOREIGN for node in nodes):
        raise RequestError("This graph has features of another tool that no dictionary here holds: it cannot be run.")
    return [(Feature(node.layer, node.index), node.pos - graph.n_pos) for node in nodes]


def _check_unseen(contrasts: Contrasts, seen: tuple[str, ...]) -> None:
    both = [prompt for prompt in contrasts.clean if prompt in seen]
    if both:
        raise RequestError(
            f"The circuit was found on {both[0]!r}, so a test on it proves nothing. Give other prompts in --pairs."
        )


def _as_json(evidence: Evidence | None, agreements: tuple[Agreement, ...]) -> Json:
    return {
        "predictions": [
            {
                "freeze": one.freeze.value,
                "n": one.n,
                "slope": one.slope,
                "r_squared": one.r_squared,
                "sign_agreement": one.sign_agreement,
            }
            for one in agreements
        ],
        "subject": None if evidence is None else evidence.subject,
        "n_prompts": 0 if evidence is None else evidence.n_prompts,
        "settings": None if evidence is None else evidence.settings,
        "claims": []
        if evidence is None
        else [
            {
                "claim": claim.name,
                "measure": claim.measure,
                "value": claim.value.estimate,
                "low": claim.value.low,
                "high": claim.value.high,
                "random_mean": None if claim.null is None else claim.null.mean,
                "p": claim.p,
                "q": claim.q,
                "verdict": claim.verdict,
                "reason": claim.reason,
            }
            for claim in evidence.claims
        ],
    }


def _draw(console: Console, evidence: Evidence | None, agreements: tuple[Agreement, ...]) -> None:
    if agreements:
        console.print(Text("Predicted against measured", "bold"))
        table = listing("frozen", "edges", "slope", "R²", "same sign")
        for one in agreements:
            row = (
                one.freeze.value,
                str(one.n),
                f"{one.slope:.3f}",
                f"{one.r_squared:.3f}",
                f"{one.sign_agreement:.2f}",
            )
            table.add_row(*row)
        console.print(table)
        console.print()
    if evidence is None:
        return
    console.print(Text.assemble(("Verdict", "bold"), f" on {evidence.subject}, {evidence.n_prompts} prompts"))
    head, *rows = evidence.rows()
    table = listing(*head)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for claim in evidence.claims:
        console.print(f"{claim.name}: {claim.reason}", markup=False, soft_wrap=True)
    console.print(f"({evidence.settings})", markup=False, soft_wrap=True)
