"""Studies, runs, graphs and circuits as notebooks show them: a small page of its own in the cell."""

from dataclasses import dataclass
from html import escape

from circuitwise.circuit.aggregation import Aggregate
from circuitwise.circuit.prune import Circuit
from circuitwise.graph import Graph
from circuitwise.report.chapter import read_chapter
from circuitwise.report.network import Network, circuit_network, prompt_network, pruned_network
from circuitwise.report.page import ANSWER, Part, render
from circuitwise.storage import Json
from circuitwise.study.circuits import BehaviourCircuit, circuit_of
from circuitwise.study.planfile import plan_text
from circuitwise.study.run import Run
from circuitwise.study.study import Study

EXPLORER = 900
"""The height of a cell with a graph, in pixels."""
SUMMARY, PER_BEHAVIOUR = 150, 330
"""The height of a cell with a run: so much, and so much for each behaviour."""
PLANNED = 420
"""The height of a cell with a plan."""
Showable = Run | Study | Graph | Circuit | Aggregate | BehaviourCircuit
"""What can be shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a notebook shows."""

    page: str
    """A whole page."""
    height: int
    """How high its cell is, in pixels."""

    @property
    def html(self) -> str:
        """The cell."""
        inside = escape(self.page, quote=True)
        style = f"width: 100%; height: {self.height}px; border: 0"
        return f'<iframe sandbox="allow-scripts" srcdoc="{inside}" style="{style}"></iframe>'

    def _repr_html_(self) -> str:
        return self.html


def show(value: Showable) -> Shown:
    """A study, its run, the graph of a prompt or the circuit of many, to be the last line of a notebook's cell."""
    match value:
        case Run():
            parts = [
                Part(chapter=read_chapter(value, name), network=None, prompts=(), pictures={})
                for name in value.behaviours
            ]
            return Shown(render("inline.html", value.manifest, parts), SUMMARY + PER_BEHAVIOUR * len(parts))
        case Study():
            return Shown(render("inline.html", None, (), plan_text(value.plan)), PLANNED)
        case Graph():
            return _explorer(value.prompt, prompt_network(value), answer=_answer(value))
        case Circuit():
            return _explorer(value.graph.prompt, pruned_network(value), answer=_answer(value.graph))
        case Aggregate():
            return show(circuit_of(value, "many prompts"))
        case BehaviourCircuit():
            groups: Json = [
                {"label": each.label, "n": len(each.members), "sign": each.sign} for each in value.supernodes
            ]
            return _explorer(value.behaviour, circuit_network(value), groups)


def _answer(graph: Graph) -> str:
    """What a graph explains, in short."""
    return ", ".join(target.text for target in graph.targets)


def _explorer(name: str, network: Network, groups: Json = (), answer: str = ANSWER) -> Shown:
    explored: Json = {
        "name": name,
        "answer": answer,
        "circuit": network.as_json(),
        "groups": groups,
        "prompts": [],
    }
    return Shown(render("inline.html", None, (), explored=explored), EXPLORER)
