"""What ``circuitwise check`` checks.

Every check is a function that returns what it found: whether that is as it should be, a sentence with the figures, and
what later checks go on with. A check that finds something amiss, or cannot be run for want of an earlier one, fails;
the others are run all the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Generic, TypeVar

import torch
from torch import cuda

import circuitwise
from circuitwise.attribution.attribute import Budget, attribute
from circuitwise.circuit.scores import scores
from circuitwise.cli.machine import describe_machine
from circuitwise.cli.opening import NO_FINDING, draw_for, is_drawn
from circuitwise.cli.screen import Screen, size
from circuitwise.cli.summary import score_text
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.edits import At, Edit, Freeze, Patch, Scale
from circuitwise.errors import CircuitwiseError, RequestError
from circuitwise.evidence.prediction import predict_effects
from circuitwise.graph.graph import Graph, Kind
from circuitwise.graph.saving import graph_header, graph_tensors, load_graph, save_graph
from circuitwise.intervention.intervene import intervene
from circuitwise.memory import peak_resident
from circuitwise.model.fingerprint import fingerprint
from circuitwise.model.forward import run
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.model.tokens import pad, text_ids, token_text, tokenize
from circuitwise.replacement import Replacement
from circuitwise.suites import check_suite, make_suite
from circuitwise.vocabulary import Feature, Site

SPARE = ("circuitwise", "accelerate")
"""Packages that need not be installed: a copy of the source will do, and an extra."""
ROWS = 64
"""Features of a graph: edges are exact whatever their number, so few will do."""
N_EDGES = 8
"""Edges that are put to the proof."""
INCOMPLETE = 1e-4
"""By how much of the nodes' mean value edges may miss the value that they add up to."""
DISAGREEING = 1e-3
"""By how much of the largest effect an intervention may differ from its edge."""
DETERMINATE = 0.5
"""A next token is determinate if it is likelier than all others together."""
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[Value]):
    """What one check found."""

    passed: bool
    """Whether it is as it should be."""
    sentence: str
    """The same in words and figures."""
    value: Value
    """What later checks go on with."""
    remark: str | None = None
    """What one should know besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check that was made, or could not be."""

    name: str
    """What was checked."""
    prompt: str | None
    """On which prompt, where it was on one."""
    gate: str
    """What it counts towards."""
    passed: bool
    """Whether all is as it should be."""
    sentence: str
    """What was found, or why nothing was."""
    remark: str | None
    """What one should know besides."""
    seconds: float
    """How long it took."""

    @property
    def title(self) -> str:
        """Its name, with the prompt."""
        return self.name if self.prompt is None else f"{self.name} “{self.prompt}”"


class Checks:
    """The checks that were made so far."""

    def __init__(self, screen: Screen) -> None:
        """None yet."""
        self.screen = screen
        self.results: list[CheckResult] = []
        self.prompt: str | None = None

    def make(self, gate: str, name: str, work: Callable[[], Found[Value]]) -> Value | None:
        """Make one more and return what it leaves to later ones; what a user could mend is a check that failed."""
        start, passed, remark, value = perf_counter(), False, None, None
        with self.screen.working(f"Checking: {name}"):
            try:
                found = work()
            except CircuitwiseError as error:
                sentence = str(error)
            else:
                passed, sentence, remark, value = found.passed, found.sentence, found.remark, found.value
        self.results.append(
            CheckResult(
                name=name,
                prompt=self.prompt,
                gate=gate,
                passed=passed,
                sentence=sentence,
                remark=remark,
                seconds=round(perf_counter() - start, 3),
            )
        )
        return value


def check_versions() -> Found[None]:
    """Every package is there, and every public name of circuitwise."""
    machine = describe_machine()
    lacking = [name for name, version in machine.packages.items() if version == "not installed" and name not in SPARE]
    lacking += [name for name in circuitwise.__all__ if name not in vars(circuitwise)]
    installed = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    sentence = f"Python {machine.python}, {installed}; all {len(circuitwise.__all__)} public names are there."
    return Found(
        passed=not lacking, sentence=f"There is no {', no '.join(lacking)}." if lacking else sentence, value=None
    )


def check_model(name: str) -> Found[Model]:
    """The model can be opened, which compares its linear view with a real pass."""
    model = load_model(name, dtype="float32")
    sentence = (
        f"{model.name} has {model.n_layers} layers and d_model {model.d_model}, on {model.device}; what is known of "
        f"its family agrees with a pass. SHA-256 of its weights: {fingerprint(model)}."
    )
    return Found(passed=True, sentence=sentence, value=model)


def check_dictionaries(model: Model | None, name: str) -> Found[Replacement]:
    """The dictionaries rebuild what they stand for, unless they were drawn."""
    model, drawn = _needed(model, "model"), is_drawn(name)
    found = draw_for(model) if drawn else load_transcoders(name, device=model.device)
    replacement = Replacement(model, found, allow_misfit=True)
    fit = replacement.fit
    sentence = (
        f"{found.name}: on {fit.n_tokens} tokens the median fraction of variance unexplained is {fit.median_fvu:.3f}, "
        f"where 1 is what a constant reaches; {fit.firing:.1f} features fire at a position and layer."
    )
    return Found(passed=fit.holds or drawn, sentence=sentence, value=replacement, remark=NO_FINDING if drawn else None)


def check_trace(replacement: Replacement | None, prompt: str) -> Found[Graph]:
    """The prompt has a graph with features in it; says so if it leaves open what comes next."""
    replacement = _needed(replacement, "model with dictionaries")
    graph = attribute(replacement, prompt, budget=Budget(rows=ROWS))
    model, n_features = replacement.model, len(graph.nodes.where(Kind.FEATURE))
    if not n_features:
        raise RequestError("No feature that fires leads to what comes next: the graph has errors and tokens alone.")
    logits = run(model, pad([tokenize(model, prompt)]), logits="last").logits
    likelihood, token = torch.softmax(logits.flatten().float(), -1).max(-1)
    text, probability = token_text(model, int(token)), float(likelihood)
    open_end = f"This prompt has no determinate next token: the likeliest, {text!r}, has probability {probability:.2f}."
    sentence = (
        f"{graph.n_pos} tokens, {n_features} features, {len(graph.edges):,} edges; {text!r} follows with probability "
        f"{probability:.2f}."
    )
    return Found(passed=True, sentence=sentence, value=graph, remark=None if probability > DETERMINATE else open_end)


def check_scores(graph: Graph | None) -> Found[None]:
    """The scores are shares: numbers between 0 and 1."""
    found = scores(_needed(graph, "graph"))
    sentence = (
        f"Replacement {score_text(found.replacement)} (folded {score_text(found.replacement_folded)}), "
        f"completeness {score_text(found.completeness)} (folded {score_text(found.completeness_folded)})."
    )
    shares = (found.replacement, found.replacement_folded, found.completeness, found.completeness_folded)
    return Found(passed=all(0 <= share <= 1 for share in shares), sentence=sentence, value=None)


def check_complete(graph: Graph | None) -> Found[None]:
    """The edges into every node that is explained add up to its value."""
    graph = _needed(graph, "graph")
    nodes = graph.nodes
    explained = torch.where((nodes.kind == Kind.FEATURE) | (nodes.kind == Kind.TARGET))[0]
    total = torch.zeros(len(nodes), dtype=torch.float64)
    for edges in (graph.edges, graph.folded.edges):
        total.index_add_(0, edges.target.long(), edges.weight.double())
    value = nodes.value[explained].double()
    missing = float((total[explained] - value).abs().max() / value.abs().mean())
    sentence = (
        f"The edges into {len(explained)} features and targets, from the bias too, add up to their values within "
        f"{missing:.1e} of the mean value ({INCOMPLETE:.0e} allowed)."
    )
    return Found(passed=missing < INCOMPLETE, sentence=sentence, value=None)


def check_saving(graph: Graph | None) -> Found[None]:
    """The graph is the same after it was written and read back."""
    graph = _needed(graph, "graph")
    with TemporaryDirectory() as folder:
        checksum = save_graph(graph, Path(folder) / "check.graph")
        again = load_graph(Path(folder) / "check.graph")
    before, after = graph_tensors(graph), graph_tensors(again)
    same = before.keys() == after.keys() and all(torch.equal(each, after[name]) for name, each in before.items())
    same = same and graph_header(graph) == graph_header(again)
    sentence = f"Written (SHA-256 {checksum}) and read back, the graph is {'the same' if same else 'another one'}."
    return Found(passed=same, sentence=sentence, value=None)


def check_intervention(replacement: Replacement | None, graph: Graph | None) -> Found[None]:
    """With everything frozen, ablating features does what their edges say."""
    replacement, graph = _needed(replacement, "model with dictionaries"), _needed(graph, "graph")
    (found,) = predict_effects(replacement, graph, n=N_EDGES, regimes=[Freeze.EVERYTHING])
    pairs = zip(found.predicted, found.measured, strict=True)
    difference = max(abs(said - done) for said, done in pairs) / max(map(abs, found.predicted))
    sentence = (
        f"With all else frozen, ablating a feature moved what it leads to as its edge says, on {found.n} edges within "
        f"{difference:.1e} of the largest effect ({DISAGREEING:.0e} allowed); {found.edges[0]}: predicted "
        f"{found.predicted[0]:.4f}, measured {found.measured[0]:.4f}."
    )
    return Found(passed=difference < DISAGREEING, sentence=sentence, value=None)


def check_no_op(replacement: Replacement | None, graph: Graph | None) -> Found[None]:
    """Edits that change nothing leave every logit as it was, bit for bit."""
    replacement, graph = _needed(replacement, "model with dictionaries"), _needed(graph, "graph")
    node, ids, site = graph.nodes[0], list(graph.token_ids), Site(0, "mlp_out")
    edits: list[Edit] = [Patch(site, ids), Scale(Feature(node.layer, node.index), 1.0, At(node.pos))]
    outcomes = [intervene(replacement, ids, edits, freeze=freeze) for freeze in Freeze]
    moved = max(float((each.logits_after - each.logits_before).abs().max()) for each in outcomes)
    sentence = (
        f"{site} from the same prompt and {edits[1]}, whatever was frozen: the {len(outcomes[0].logits_after):,} "
        f"logits moved by at most {moved:g} (0 allowed)."
    )
    return Found(passed=moved == 0, sentence=sentence, value=None)


def check_behaviour(model: Model | None, behaviour: str) -> Found[None]:
    """A built-in suite can be made for the model's tokenizer, and has no faults."""
    encode = partial(text_ids, _needed(model, "model"))
    suite = make_suite(behaviour, encode)
    problems = check_suite(suite, encode)
    counts = f"{len(suite.train)} prompts to find a circuit on and {len(suite.test)} to test it on"
    told = f"{len(problems)} faults, the first: {problems[0]}" if problems else "none with a fault."
    return Found(passed=not problems, sentence=f"{counts}, {told}", value=None)


def check_memory(model: Model | None, available: int) -> Found[None]:
    """All of it fitted into main memory."""
    peak = peak_resident()
    on_device = 0 if model is None or model.device.type != "cuda" else cuda.max_memory_allocated(model.device)
    sentence = f"At the most {size(peak)} of {size(available)} of main memory"
    sentence += f", and {size(on_device)} of the accelerator's." if on_device else "."
    return Found(passed=peak <= available, sentence=sentence, value=None)


def _needed(value: Value | None, what: str) -> Value:
    """What an earlier check left; where it left nothing, this one cannot be made."""
    if value is None:
        raise RequestError(f"This could not be checked: there is no {what}, because an earlier check failed.")
    return value
