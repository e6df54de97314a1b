"""``circuitwise show``: what led to a target, as paths and as a tree."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from circuitwise.circuit.paths import strongest_paths
from circuitwise.circuit.prune import Circuit
from circuitwise.cli.graphfiles import GraphPath, Subject, graph_of, open_subject
from circuitwise.cli.labelled import SurveyFolder, open_labels, shipped_labels
from circuitwise.cli.screen import AsJson, Quiet, Screen
from circuitwise.cli.summary import MISFIT, draw_paths, named, path_value
from circuitwise.cli.tracing import parse_place
from circuitwise.errors import RequestError
from circuitwise.graph.graph import Graph, Kind
from circuitwise.storage import Json
from circuitwise.vocabulary import integers, numbers

EXAMPLES = """\b
Examples:
  circuitwise show france.graph
  circuitwise show france.circuit --node L12F345@4 --depth 2
  circuitwise show france.graph --node " Paris" --inputs 8 --paths 20
  circuitwise show france.graph --survey my-survey
"""

NodeName = Annotated[
    str | None,
    typer.Option(
        "--node", help="The tree's root: a feature such as L12F345@4, or a target's text. [the target that counts most]"
    ),
]
Paths = Annotated[int, typer.Option("--paths", min=0, help="How many of the strongest paths; 0 for none.")]
Depth = Annotated[int, typer.Option("--depth", min=1, help="How many steps the tree goes back.")]
Inputs = Annotated[int, typer.Option("--inputs", min=1, help="How many inputs the tree shows of each node.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A node of the tree with its strongest inputs."""

    node: int
    """Its number."""
    weight: float | None
    """What it contributes to the node above; None for the root."""
    share: float | None
    """The part of all inputs to the node above that this is; None for the root."""
    inputs: tuple["Branch", ...]
    """Its own strongest inputs."""
    n_more: int
    """How many inputs of it are not shown."""


class Show(NamedTuple):
    """Show the strongest paths to the targets, and a tree of what feeds a node.

    A path is as strong as the product of its edges' shares times its target's weight: the strengths of all paths from
    tokens and errors add up to what is explained. In the tree stand the contribution, the part of all inputs that it
    is, and the node with its token and label.
    """

    graph: GraphPath
    node: NodeName = None
    paths: Paths = 10
    depth: Depth = 3
    inputs: Inputs = 4
    survey: SurveyFolder = None
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Open, follow, show."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        with screen.working(f"Opening {self.graph}"):
            subject = open_subject(self.graph)
            if self.survey is None:
                subject = shipped_labels(subject, self.graph)
            else:
                subject, _ = open_labels(subject, self.graph, self.survey)
            tree = _grow(subject, _root(graph_of(subject), self.node), self.depth, self.inputs)
        screen.show(_as_json(subject, tree, self.paths), lambda console: _draw(console, subject, tree, self.paths))


def _root(graph: Graph, name: str | None) -> int:
    targets = dict(zip(integers(graph.nodes.where(Kind.TARGET)), graph.targets, strict=True))
    if not targets and name is None:
        raise RequestError("The graph has no target. Name a feature with --node, for example L12F345@4.")
    if name is None:
        return max(targets, key=lambda number: targets[number].weight)
    for text in (name, name.strip()):
        for number, label in targets.items():
            if text in (label.text, label.text.strip()):
                return number
    if "@" not in name:
        known = ", ".join(repr(label.text) for label in targets.values())
        raise RequestError(
            f"“{name}” is neither a feature at a position, such as L12F345@4, nor one of the targets: {known}."
        )
    feature, pos = parse_place(name)
    return graph.find(feature, pos % graph.n_pos if -graph.n_pos <= pos < 0 else pos)


def _grow(
    subject: Subject, node: int, depth: int, n_inputs: int, weight: float | None = None, share: float | None = None
) -> Branch:
    found = _inputs(subject, node)
    shown = found[:n_inputs] if depth else []
    return Branch(
        node=node,
        weight=weight,
        share=share,
        inputs=tuple(_grow(subject, source, depth - 1, n_inputs, each, part) for source, each, part in shown),
        n_more=len(found) - len(shown) if depth else 0,
    )


def _inputs(subject: Subject, node: int) -> list[tuple[int, float, float]]:
    """The inputs of a node, strongest first: source, weight, share; the bias has no share."""
    graph = graph_of(subject)
    here = torch.where(graph.edges.target == node)[0]
    source, weight = graph.edges.source[here], graph.edges.weight[here].double()
    if isinstance(subject, Circuit):
        share = subject.share[here]
    else:
        size = weight.abs() * (graph.nodes.kind[source.long()] != Kind.BIAS)
        share = size / size.sum().clamp(min=torch.finfo(size.dtype).tiny)
    order = weight.abs().argsort(descending=True, stable=True)
    columns = (integers(source[order]), numbers(weight[order]), numbers(share[order]))
    return [(number, each, part) for number, each, part in zip(*columns, strict=True) if each]


def _as_json(subject: Subject, tree: Branch, n_paths: int) -> Json:
    graph = graph_of(subject)
    ways = strongest_paths(subject, n_paths) if n_paths else []
    return {
        "prompt": graph.prompt,
        "misfit": graph.misfit,
        "paths": [path_value(graph, way) for way in ways],
        "tree": _branch_value(graph, tree),
    }


def _branch_value(graph: Graph, branch: Branch) -> Json:
    return {
        "node": named(graph, branch.node),
        "kind": graph.nodes[branch.node].kind.name.lower(),
        "weight": branch.weight,
        "share": branch.share,
        "inputs": [_branch_value(graph, each) for each in branch.inputs],
        "more": branch.n_more,
    }


def _draw(console: Console, subject: Subject, tree: Branch, n_paths: int) -> None:
    graph = graph_of(subject)
    console.print(Text(f"“{graph.prompt}”", "bold"))
    if graph.misfit:
        console.print(MISFIT)
    if n_paths:
        console.print()
        draw_paths(console, subject, n_paths)
    console.print(Text("\nStrongest inputs (contribution, share of all inputs)", "bold"))
    drawn = Tree(Text(named(graph, tree.node)))
    _draw_branches(graph, drawn, tree)
    console.print(drawn)


def _draw_branches(graph: Graph, drawn: Tree, branch: Branch) -> None:
    for each in branch.inputs:
        share = f"{each.share:6.1%}" if each.share else " " * 6
        _draw_branches(graph, drawn.add(Text(f"{each.weight or 0.0:+9.4f} {share}  {named(graph, each.node)}")), each)
    if branch.n_more:
        drawn.add(Text(f"and {branch.n_more:,} more", "dim"))
