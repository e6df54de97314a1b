"""The figures of what was done to a circuit: effects beside controls, steering, predicted against measured."""

from collections.abc import Iterator, Sequence
from math import isfinite

from matplotlib.axes import Axes

from circuitwise.evidence import Interval
from circuitwise.report.chapter import Chapter
from circuitwise.report.ink import (
    AGAINST,
    CONTROL,
    FOR,
    INK,
    POINTS,
    SOFT,
    Picture,
    finish,
    new_figure,
)
from circuitwise.study.curves import Curve, Scatter
from circuitwise.study.effects import Effect
from circuitwise.study.interventions import Interventions
from circuitwise.study.sentences import percent

DONE = {
    "ablation_zero": "set to zero",
    "ablation_inhibit": "inhibited",
    "patching": "from the contrast prompt",
    "patching_layer": "layer from the contrast prompt",
    "patching_everything": "everything from the contrast prompt",
    "steering_amplify": "amplified",
    "steering_insert": "inserted",
}
"""What was done, in words."""
MOST_POINTS = 400
"""Of more points none says what it is."""
MOST_MARKS = 1500
"""More points are drawn as an image."""
LONGEST = 34
"""Letters of a name beside a figure."""


def intervention_pictures(chapter: Chapter) -> Iterator[Picture]:
    """All that there is something for."""
    found = chapter.interventions
    if found is None:
        return
    if rows := chapter.effects("ablation_zero", "ablation_inhibit", "patching", "patching_everything"):
        yield _effects(chapter, [each for each in rows if each.kind != "feature" or each.strength is None])
    if layers := chapter.effects("patching_layer"):
        yield _layers(chapter, layers)
    for number, scatter in enumerate(found.scatters, 1):
        yield _prediction(chapter, scatter, number)
    if any(curve.aim == "circuit" for curve in found.curves):
        yield _steering(chapter, found)


def done_to(effect: Effect) -> str:
    """An effect's aim and what was done to it, in short."""
    if effect.kind == "everything":
        return DONE[effect.intervention_type]
    return f"{_short(effect.aim)}, {DONE[effect.intervention_type]}"


def _short(name: str) -> str:
    """As much of a name as has room beside a figure; of several names, whole ones."""
    if len(name) <= LONGEST:
        return name
    whole, comma, _ = name[: LONGEST - 1].rpartition(", ")
    return f"{whole}{comma}…" if whole else name[: LONGEST - 1] + "…"


def _effects(chapter: Chapter, rows: Sequence[Effect]) -> Picture:
    """What each intervention does to the logit difference, beside its controls."""
    wanted = [each for each in rows if each.kind != "feature" or each.intervention_type == "ablation_zero"]
    order = {"everything": 0, "circuit": 1, "supernode": 2, "feature": 3}
    wanted.sort(key=lambda each: order.get(each.kind, 4))
    figure, (axes,) = new_figure(8.4, 0.9 + 0.27 * len(wanted))
    for place, effect in enumerate(wanted):
        row = float(place)
        if effect.control is not None:
            _mark(axes, effect.control, row + 0.2, CONTROL, 4.0)
        _mark(axes, effect.effect, row, FOR if effect.effect.estimate >= 0 else AGAINST, 6.0)
    axes.axvline(0, color=SOFT, linewidth=0.8)
    axes.set_yticks(range(len(wanted)), [done_to(each) for each in wanted], color=INK)
    axes.set_ylim(len(wanted) - 0.4, -0.7)
    axes.set_xlabel("effect on the logit difference, baseline less intervened, nats; grey: controls")
    return finish(figure, f"effects_{chapter.behaviour}", "What interventions do to the logit difference")


def _layers(chapter: Chapter, rows: Sequence[Effect]) -> Picture:
    """What one whole layer's features do when they are taken from the contrast prompt."""
    figure, (axes,) = new_figure(6.2, 2.4)
    for place, effect in enumerate(rows):
        low, high = _ends(effect.effect)
        colour = FOR if effect.effect.estimate >= 0 else AGAINST
        axes.plot([place, place], [low, high], color=colour, linewidth=1.6)
        axes.plot([place], [effect.effect.estimate], "o", color=colour, markersize=4.5)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    step = max(1, len(rows) // 15)
    names = [each.aim.removeprefix("layer ").removeprefix("L") for each in rows]
    axes.set_xticks(range(0, len(rows), step), names[::step])
    axes.grid(axis="y")
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("layer whose features are taken from the contrast prompt")
    axes.set_ylabel("effect on the logit difference, nats")
    return finish(figure, f"layers_{chapter.behaviour}", "A layer's features taken from the contrast prompt")


def _prediction(chapter: Chapter, scatter: Scatter, number: int) -> Picture:
    """Predicted against measured effects."""
    figure, (axes,) = new_figure(4.6, 3.6)
    values = (*scatter.predicted, *scatter.measured, 0.0)
    span = [min(values), max(values)]
    axes.axhline(0, color=SOFT, linewidth=0.6)
    axes.axvline(0, color=SOFT, linewidth=0.6)
    axes.plot(span, span, color=CONTROL, linewidth=1, dashes=(4, 3))
    few = len(scatter.labels) <= 60
    marks = axes.scatter(
        scatter.predicted,
        scatter.measured,
        s=38 if few else 16,
        color=FOR,
        alpha=0.85 if few else 0.5,
        linewidths=0,
        rasterized=len(scatter.labels) > MOST_MARKS,
    )
    marks.set_gid(POINTS)
    axes.grid(axis="both")
    axes.set_xlabel("predicted effect, nats; dashed: measured as predicted")
    axes.set_ylabel("measured effect, nats")
    axes.set_title(
        f"{len(scatter.labels)} points: slope {scatter.slope:.2f}, R² {scatter.r_squared:.2f}, "
        f"same sign {percent(scatter.sign_agreement)}".replace("-", "\N{MINUS SIGN}")
    )
    pairs = zip(scatter.labels, scatter.predicted, scatter.measured, strict=True)
    told = [f"{label}: predicted {x:.3g}, measured {y:.3g}" for label, x, y in pairs]
    title = f"Predicted against measured: {scatter.name}"
    name = f"prediction_{number}_{chapter.behaviour}"
    return finish(figure, name, title, told if len(told) <= MOST_POINTS else ())


def _steering(chapter: Chapter, found: Interventions) -> Picture:
    """The logit difference over the strength of steering, and what neutral text loses."""
    curves = [curve for curve in found.curves if curve.aim == "circuit"]
    figure, panels = new_figure(8.4, 2.9, len(curves) + bool(found.capability))
    for axes, curve in zip(panels, curves, strict=False):
        _curve(axes, curve)
    panels[0].set_ylabel("logit difference, nats")
    if found.capability:
        axes, strengths = panels[-1], [each.strength for each in found.capability]
        _band(axes, strengths, [each.change for each in found.capability], FOR, "circuit")
        controls = [each.control for each in found.capability if each.control is not None]
        if len(controls) == len(strengths):
            _band(axes, strengths, controls, CONTROL, "controls")
        axes.set_title("What neutral text loses")
        axes.set_ylabel("rise of the loss, nats a token")
    for axes in panels:
        axes.grid(axis="both")
        axes.set_xlabel("strength, in mean activations")
        axes.axhline(0, color=SOFT, linewidth=0.8)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return finish(figure, f"steering_{chapter.behaviour}", "The logit difference over the strength of steering")


def _curve(axes: Axes, curve: Curve) -> None:
    if curve.control:
        _band(axes, curve.strengths, curve.control, CONTROL, "controls")
    _band(axes, curve.strengths, curve.difference, FOR, "circuit")
    axes.set_title(f"Circuit {DONE[curve.intervention_type]}")


def _band(axes: Axes, at: Sequence[float], values: Sequence[Interval], colour: str, label: str) -> None:
    """Means joined by a line, with the band of their intervals."""
    ends = [_ends(each) for each in values]
    axes.fill_between(at, [low for low, _ in ends], [high for _, high in ends], color=colour, alpha=0.18, linewidth=0)
    axes.plot(at, [each.estimate for each in values], "o-", color=colour, markersize=4, label=label)


def _mark(axes: Axes, value: Interval, row: float, colour: str, size: float) -> None:
    axes.plot(_ends(value), [row, row], color=colour, linewidth=size / 3.5)
    axes.plot([value.estimate], [row], "o", color=colour, markersize=size)


def _ends(value: Interval) -> tuple[float, float]:
    """The bounds; where there are none, the estimate itself."""
    low, high = (bound if isfinite(bound) else value.estimate for bound in (value.low, value.high))
    return low, high
