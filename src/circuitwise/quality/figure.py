"""The quality of a set as a picture: four panels over the layers."""

from pathlib import Path
from typing import TYPE_CHECKING

from circuitwise.errors import RequestError
from circuitwise.quality.estimates import Estimate
from circuitwise.quality.quality import Quality
from circuitwise.storage import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")
"""What a figure can be written as."""
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"
"""Colours that can be told apart by everybody."""


def quality_figure(quality: Quality) -> "Figure":
    """Variance unexplained, firing and dead features, recovered cross-entropy, and errors of graphs, by layer."""
    from matplotlib.figure import Figure  # 30 MB: only where a figure is asked for
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 7), layout="constrained")
    panels: list[Axes] = list(figure.subplots(2, 2, sharex=True).flat)
    _draw_variance(panels[0], quality)
    _draw_features(panels[1], quality)
    _draw_recovered(panels[2], quality)
    _draw_losses(panels[3], quality)
    for panel in panels:
        panel.grid(axis="y", color="#e5e5e5")
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    for panel in panels[2:]:
        panel.set_xlabel("layer")
    measured = quality.measured
    figure.suptitle(f"{quality.transcoders} on {quality.model}, {measured.n_tokens:,} tokens of {measured.text}")
    return figure


def write_quality_figure(quality: Quality, path: Path) -> None:
    """Write the figure as PNG, SVG or PDF, whichever the path ends in."""
    check_ending(path)
    kind = path.suffix.lower().removeprefix(".")
    with atomic_path(path) as partial:
        quality_figure(quality).savefig(partial, format=kind, dpi=150)


def check_ending(path: Path) -> None:
    """Refuse a path that no figure can be written to."""
    if path.suffix.lower() not in ENDINGS:
        raise RequestError(
            f"A figure cannot be written as {path.name}. Choose a name that ends in {', '.join(ENDINGS)}."
        )


def _layers(quality: Quality) -> list[int]:
    return [row.layer for row in quality.layers]


def _draw_variance(panel: "Axes", quality: Quality) -> None:
    panel.plot(_layers(quality), [row.fvu for row in quality.layers], color=BLUE, marker="o", markersize=4)
    panel.axhline(quality.mean_fvu, color=GREY, linestyle="--", label=f"mean {quality.mean_fvu:.3f}")
    panel.set_ylim(bottom=0)
    panel.set_title("Fraction of variance unexplained")
    panel.legend(frameon=False)


def _draw_features(panel: "Axes", quality: Quality) -> None:
    panel.plot(_layers(quality), [row.firing for row in quality.layers], color=BLUE, marker="o", markersize=4)
    panel.set_ylim(bottom=0)
    panel.set_ylabel("firing on a token (L0)", color=BLUE)
    panel.set_title("Features")
    other = panel.twinx()
    other.bar(_layers(quality), [100 * row.dead for row in quality.layers], color=ORANGE, alpha=0.4, width=0.7)
    other.set_ylim(0, max(5.0, *(110 * row.dead for row in quality.layers)))
    other.set_ylabel("never fired, in %", color=ORANGE)
    other.spines["top"].set_visible(False)


def _draw_recovered(panel: "Axes", quality: Quality) -> None:
    alone = [row.alone for row in quality.layers]
    _draw_estimates(panel, _layers(quality), [one.recovered for one in alone], BLUE, "over zero")
    _draw_estimates(panel, _layers(quality), [one.recovered_over_mean for one in alone], ORANGE, "over the mean")
    panel.axhline(1, color=GREY, linewidth=0.8)
    panel.set_title("Cross-entropy recovered, one layer spliced in")
    panel.legend(frameon=False)


def _draw_estimates(panel: "Axes", layers: list[int], shares: list[Estimate], colour: str, label: str) -> None:
    """The shares that are known to within bounds, with these."""
    found = [
        (layer, share.value, max(0.0, share.value - share.low), max(0.0, share.high - share.value))
        for layer, share in zip(layers, shares, strict=True)
        if share.value is not None and share.low is not None and share.high is not None
    ]
    x, y, below, above = ([row[column] for row in found] for column in range(4))
    panel.errorbar(
        x, y, yerr=[below, above], color=colour, label=label, marker="o", markersize=4, capsize=2, elinewidth=0.8
    )


def _draw_losses(panel: "Axes", quality: Quality) -> None:
    """Errors of graphs; without graphs, the KL divergence."""
    shares = [row.error_share for row in quality.layers]
    if quality.graphs is None or None in shares:
        panel.bar(_layers(quality), [row.alone.divergence for row in quality.layers], color=BLUE)
        panel.set_title("KL divergence, one layer spliced in (nats)")
        return
    panel.bar(_layers(quality), [100 * share for share in shares if share is not None], color=BLUE)
    panel.set_ylabel("% of paths")
    panel.set_title(f"Errors in graphs (replacement score {quality.graphs.replacement.text})")
