"""``circuitwise edges``: which edges between heads and MLPs carry a difference, and the circuit of the strongest."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
import typer
from rich.console import Console
from rich.text import Text

from circuitwise.cli.contrasts import Answers, Clean, Contrasts, Corrupted, PairsFile, contrasts_of
from circuitwise.cli.graphwriting import Force, check_free
from circuitwise.cli.opening import BUILTIN, Device, Dtype, ModelName, Token, open_model
from circuitwise.cli.screen import AsJson, Quiet, Screen, listing
from circuitwise.errors import RequestError
from circuitwise.model.fingerprint import fingerprint
from circuitwise.model.model import Model
from circuitwise.patching.circuits import EdgeCircuit, greedy, top
from circuitwise.patching.edges import edges
from circuitwise.patching.rules import EAP, EAPIG, Estimate, RelP
from circuitwise.patching.running import EdgeRuns, run_edges
from circuitwise.patching.saving import FoundEdges, save_edges
from circuitwise.patching.scores import EdgeScores
from circuitwise.storage import Json, Provenance, Source

EXAMPLES = """\b
Examples:
  circuitwise edges "The capital of France is" "The capital of Italy is" --difference " Paris" " Rome" --keep 300
  circuitwise edges --pairs capitals.jsonl --keep 500 -o capitals.edges
  circuitwise edges --pairs capitals.jsonl --by relp --grow anywhere
"""

By = Literal["eap", "eap-ig", "relp"]
Grow = Literal["logits", "anywhere"]


class Edges(NamedTuple):
    """Score every edge between embedding, heads, MLPs and logits, and keep the circuit of the strongest.

    An edge's score is how much the logit difference is expected to fall when this edge alone carries the corrupted
    prompt: an estimate from gradients, one forward and backward pass a step. What the kept circuit really does is run
    afterwards: the model with every other edge carrying the corrupted prompt.

    Keep the circuit with -o and test it on other prompts: circuitwise test FILE --pairs OTHERS.
    """

    clean: Clean = None
    corrupted: Corrupted = None
    difference: Answers = None
    pairs: PairsFile = None
    by: Annotated[By, typer.Option("--by", help="How edges are scored: eap, eap-ig or relp.")] = "eap-ig"
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of eap-ig.")] = EAPIG().steps
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many edges the circuit takes, at most.")] = 200
    grow: Annotated[Grow, typer.Option("--grow", help="From the logits back, or by the strongest edges anywhere.")] = (
        "logits"
    )
    strongest: Annotated[int, typer.Option("--strongest", min=1, help="How many edges are listed.")] = 12
    model: ModelName = BUILTIN
    dtype: Dtype = None
    device: Device = None
    token: Token = None
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the circuit as an artifact.")
    ] = None
    force: Force = False
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Load, score, keep, run, write."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        contrasts = contrasts_of(self.clean, self.corrupted, self.difference, self.pairs)
        if self.output is not None:
            check_free(self.output, "artifact", force=self.force)
        model = open_model(screen, self.model, dtype=self.dtype, device=self.device, token=self.token)
        with screen.counting("Scoring edges") as progress:
            scores = edges(model, contrasts.pairs, metric=contrasts.differences, how=_estimate(self), progress=progress)
        circuit = _circuit(self, scores)
        with screen.counting("Running the circuit") as progress:
            runs = run_edges(model, contrasts.pairs, [circuit], metric=contrasts.differences, progress=progress)
        if self.output is not None:
            _write(self.output, model, contrasts, circuit, scores)
        value = _as_json(self, contrasts, scores, circuit, runs)
        screen.show(value, lambda console: _draw(console, self, scores, circuit, runs))
        if self.output is None:
            screen.note("Nothing was written: name a file with -o to keep the circuit.")


def _estimate(asked: Edges) -> Estimate:
    match asked.by:
        case "eap":
            return EAP()
        case "eap-ig":
            return EAPIG(steps=asked.steps)
        case "relp":
            return RelP()


def _circuit(asked: Edges, scores: EdgeScores) -> EdgeCircuit:
    if asked.keep > scores.wiring.n_edges:
        raise RequestError(f"{asked.keep} edges cannot be kept: the model has {scores.wiring.n_edges:,}.")
    return greedy(scores, asked.keep) if asked.grow == "logits" else top(scores, asked.keep)


def _write(path: Path, model: Model, contrasts: Contrasts, circuit: EdgeCircuit, scores: EdgeScores) -> None:
    source, target = torch.where(circuit.kept)
    found = FoundEdges(
        circuit=circuit, model=model.name, prompts=contrasts.clean, scores=scores.values[source, target].float()
    )
    made = Source(name=model.name, revision=model.revision, sha256=fingerprint(model))
    save_edges(found, path, Provenance.now(model=made, device=model.device, dtype=model.dtype))


def faithfulness_of(runs: EdgeRuns) -> float:
    """The circuit's share of what lies between the ablated and the whole model: a ratio of means."""
    gap = float((runs.clean - runs.ablated).mean())
    return float((runs.values[0] - runs.ablated).mean()) / gap if gap else float("nan")


def _as_json(asked: Edges, contrasts: Contrasts, scores: EdgeScores, circuit: EdgeCircuit, runs: EdgeRuns) -> Json:
    share = faithfulness_of(runs)
    return {
        "n_pairs": len(contrasts.clean),
        "by": asked.by,
        "n_edges": scores.wiring.n_edges,
        "n_kept": len(circuit),
        "difference_clean": float(runs.clean.mean()),
        "difference_ablated": float(runs.ablated.mean()),
        "difference_circuit": float(runs.values[0].mean()),
        "faithfulness": None if share != share else share,
        "strongest": [
            {"source": source, "input": target, "score": score}
            for source, target, score in scores.strongest(asked.strongest)
        ],
        "edges": [list(ends) for ends in circuit.edges()],
        "written": None if asked.output is None else str(asked.output),
    }


def _draw(console: Console, asked: Edges, scores: EdgeScores, circuit: EdgeCircuit, runs: EdgeRuns) -> None:
    console.print(Text(f"Strongest of {scores.wiring.n_edges:,} edges by {asked.by}", "bold"))
    table = listing("source", "input", "score")
    for source, target, score in scores.strongest(asked.strongest):
        table.add_row(source, target, f"{score:+.4f}")
    console.print(table)
    console.print()
    clean, ablated, alone = (float(each.mean()) for each in (runs.clean, runs.ablated, runs.values[0]))
    console.print(
        Text.assemble((f"Circuit of {len(circuit):,} edges", "bold"), f", {len(circuit.sources())} parts that write")
    )
    console.print(
        f"logit difference: whole model {clean:+.3f}, every edge cut {ablated:+.3f}, the circuit alone {alone:+.3f}: "
        f"faithfulness {faithfulness_of(runs):.3f} on the prompts that it was found on",
        soft_wrap=True,
    )
    if asked.output is not None:
        console.print(f"Written to {asked.output}.", markup=False, soft_wrap=True)
