"""The figures of a behaviour: whether the model shows it, where its circuit acts, and what was shown about that."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from circuitwise.evidence import Claim
from circuitwise.graph import Kind
from circuitwise.report.chapter import Chapter
from circuitwise.report.ink import AGAINST, CONTROL, FOR, INK, SOFT, Picture, drawing, finish, new_figure, new_stack
from circuitwise.report.interventionfigures import intervention_pictures
from circuitwise.report.network import role_order
from circuitwise.study.circuits import BehaviourCircuit
from circuitwise.vocabulary import numbers

LEAST_BINS, MOST_BINS = 8, 24
"""Bars of a histogram: two for each root of the number of prompts, within these bounds."""
FREQUENCIES = 10
"""Rows of the heat-map of how often features fire."""


def pictures(chapter: Chapter) -> list[Picture]:
    """All figures that there is something for."""
    with drawing():
        return [*_of_the_circuit(chapter), *intervention_pictures(chapter)]


def _of_the_circuit(chapter: Chapter) -> Iterator[Picture]:
    if chapter.baselines:
        yield _baseline(chapter)
    if chapter.circuit is not None and chapter.circuit.members:
        yield _effect_map(chapter)
    if chapter.use is not None and len(chapter.use.layers) > 1:
        yield _firing_map(chapter)
    if chapter.proof is not None and any(claim.null for claim in chapter.proof.claims):
        yield _against_random(chapter, [claim for claim in chapter.proof.claims if claim.null])


def _baseline(chapter: Chapter) -> Picture:
    """How far the right answer leads, prompt by prompt."""
    figure, (axes,) = new_figure(6.2, 2.7)
    values = {each.split: [row.difference_per_token for row in each.rows] for each in chapter.baselines}
    every = [value for some in values.values() for value in some]
    n_bins = round(2 * math.sqrt(max(map(len, values.values()))))
    edges = [float(edge) for edge in np.histogram_bin_edges(every, min(MOST_BINS, max(LEAST_BINS, n_bins)))]
    if "test" in values:
        axes.hist(values["test"], edges, color=FOR, rwidth=0.86, label=f"test, {len(values['test'])} prompts")
    if "train" in values:
        label = f"train, {len(values['train'])} prompts"
        axes.hist(values["train"], edges, histtype="step", edgecolor=CONTROL, linewidth=1.4, label=label)
    axes.axvline(0, color=SOFT, linewidth=0.8)
    margin = chapter.baselines[0].thresholds.margin
    axes.axvline(margin, color=AGAINST, linewidth=1.4, dashes=(4, 3), label=f"asked for: more than {margin:g}")
    axes.set_xlabel("lead of the right answer, nats a token")
    axes.set_ylabel("prompts")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return finish(figure, f"baseline_{chapter.behaviour}", "How far the right answer leads, prompt by prompt")


def _effect_map(chapter: Chapter) -> Picture:
    """Where the circuit's features act: the sum of their mean effects."""
    assert chapter.circuit is not None
    found = chapter.circuit.aggregate
    cells: dict[tuple[int, int], float] = {}
    roles = sorted({node.role for node in found.nodes if node.kind == Kind.FEATURE}, key=role_order)
    for node, effect in zip(found.nodes, numbers(found.effect.mean), strict=True):
        if node.feature is not None:
            key = node.layer, roles.index(node.role)
            cells[key] = cells.get(key, 0.0) + effect
    figure, (axes, below) = new_stack(6.2, [max(0.8, 0.4 + 0.24 * len(roles)), 1.9])
    largest = max(map(abs, cells.values()), default=0.0) or 1.0
    _cells(axes, {key: value / largest for key, value in cells.items()})
    _frame(axes, found.n_layers, [role or "anywhere" for role in roles])
    axes.set_ylabel("position\nfrom the end" if found.positions == "from end" else "role")
    axes.set_xlabel("")
    axes.set_title(f"Sum of mean effects; full colour is {largest:.2g} nats", color=SOFT)
    _effect_bars(below, chapter.circuit)
    return finish(figure, f"heatmap_effect_{chapter.behaviour}", "Where the circuit's features act")


def _effect_bars(axes: Axes, circuit: BehaviourCircuit) -> None:
    """What the features of each layer do, for the right answer and against it."""
    found = circuit.aggregate
    pairs = [
        (node.layer, effect)
        for node, effect in zip(found.nodes, numbers(found.effect.mean), strict=True)
        if node.feature is not None
    ]
    for colour, sign, label in ((FOR, 1, "for the right answer"), (AGAINST, -1, "against it")):
        sums = [
            sum(effect for layer, effect in pairs if layer == each and effect * sign > 0)
            for each in range(found.n_layers)
        ]
        axes.bar(range(found.n_layers), sums, 0.92, color=colour, label=label)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.grid(axis="y")
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("layer")
    axes.set_ylabel("nats")
    axes.legend(loc="best", ncols=2)


def _firing_map(chapter: Chapter) -> Picture:
    """How many features of a layer fire in how many of the prompts."""
    assert chapter.use is not None
    counts: dict[tuple[int, int], int] = {}
    for layer, use in chapter.use.layers.items():
        some = np.asarray(use.frequency)
        bins, _ = np.histogram(some[some > 0], np.linspace(0, 1, FREQUENCIES + 1))
        counts |= {(layer, row): int(count) for row, count in enumerate(bins) if count}
    largest = max(counts.values(), default=1)
    figure, (axes,) = new_figure(6.2, 2.7)
    _cells(axes, {key: math.log1p(count) / math.log1p(largest) for key, count in counts.items()})
    _frame(axes, max(chapter.use.layers) + 1, [f"{100 * row // FREQUENCIES} %" for row in range(1, FREQUENCIES + 1)])
    axes.set_ylabel("of prompts, at most")
    axes.set_title(f"Features that fire on training prompts; full colour is {largest:,}, logarithmic", color=SOFT)
    return finish(figure, f"heatmap_firing_{chapter.behaviour}", "How many features fire in how many prompts")


def _against_random(chapter: Chapter, claims: Sequence[Claim]) -> Picture:
    """The circuit beside random circuits of the same layers and roles."""
    figure, (axes,) = new_figure(6.2, 0.9 + 0.55 * len(claims))
    for row, claim in enumerate(claims):
        null, value = claim.null, claim.value
        assert null is not None
        axes.plot([null.low, null.high], [row, row], color=CONTROL, linewidth=9, alpha=0.35, solid_capstyle="butt")
        axes.plot([null.mean], [row], "|", color=CONTROL, markersize=11, markeredgewidth=2)
        ends = [bound if math.isfinite(bound) else value.estimate for bound in (value.low, value.high)]
        axes.plot(ends, [row, row], color=FOR, linewidth=2)
        axes.plot([value.estimate], [row], "o", color=FOR, markersize=7)
    axes.axvline(0, color=SOFT, linewidth=0.8)
    axes.set_yticks(range(len(claims)), [claim.name for claim in claims], color=INK, fontsize=9.5)
    axes.set_ylim(len(claims) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    n = max(claim.null.n for claim in claims if claim.null is not None)
    axes.set_xlabel(f"share of the logit difference; grey: {n} random circuits, 95 % of them and their mean")
    return finish(figure, f"evidence_{chapter.behaviour}", "The circuit beside random circuits")


def _cells(axes: Axes, shades: dict[tuple[int, int], float]) -> None:
    """A heat-map: squares shaded by a number from -1 to 1."""
    squares = [Rectangle((x - 0.46, y - 0.44), 0.92, 0.88) for x, y in shades]
    colours = [to_rgba(FOR if shade > 0 else AGAINST, round(abs(shade), 3)) for shade in shades.values()]
    axes.add_collection(PatchCollection(squares, facecolors=colours, edgecolors="none"))


def _frame(axes: Axes, n_layers: int, names: Sequence[str]) -> None:
    axes.set_xlim(-0.6, n_layers - 0.4)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_yticks(range(len(names)), names)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("layer")
    axes.grid(visible=False)
