"""How figures are drawn: one palette, no state of pyplot, the same bytes every time.

A figure becomes three things: a PNG, an SVG, and the same SVG for the page, its colours replaced by the page's own, so
that it follows light and dark.
"""

import io
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, SOFT, LINE, PAPER = "#1d2129", "#697079", "#dde0e4", "#fefefe"
"""Text, lesser text, hairlines, ground."""
FOR, AGAINST, CONTROL = "#2a66ab", "#c2512f", "#9098a3"
"""What speaks for the right answer, what speaks against it, and what controls do."""
_VARIABLES = {
    INK: "ink", SOFT: "soft", LINE: "line", PAPER: "card", FOR: "for", AGAINST: "against", CONTROL: "control",
}  # fmt: skip
_STYLE: Mapping[str, object] = {
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titlepad": 10,
    "figure.constrained_layout.use": True,
    "figure.facecolor": PAPER,
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "circuitwise",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": LINE,
    "xtick.labelcolor": SOFT,
    "xtick.labelsize": 8.5,
    "ytick.color": LINE,
    "ytick.labelcolor": SOFT,
    "ytick.labelsize": 8.5,
    "ytick.left": False,
}
POINTS = "points"
"""The name of marks that tell what they are when they are pointed at."""
_DOTS_PER_INCH = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A finished figure."""

    name: str
    """Its file's name, without ending."""
    title: str
    """What it shows, in a sentence."""
    png: bytes
    """As an image."""
    svg: str
    """As a drawing."""
    themed: str
    """The drawing for the page."""


@contextmanager
def drawing() -> Generator[None]:
    """Figures that are made and finished inside look alike, whatever the user has set."""
    with style.context(["default", dict(_STYLE)], after_reset=True):
        yield


def new_figure(width: float, height: float, n_columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure of so many inches, with its axes."""
    figure = Figure(figsize=(width, height))
    return figure, list(figure.subplots(1, n_columns, squeeze=False)[0])


def new_stack(width: float, heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """An empty figure with axes above each other, so many inches high, that share what is below them."""
    figure = Figure(figsize=(width, sum(heights)))
    ratios = {"height_ratios": list(heights)}
    return figure, [row[0] for row in figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw=ratios)]


def finish(figure: Figure, name: str, title: str, points: Sequence[str] = ()) -> Picture:
    """A figure as files; ``points`` say what the marks called so are, in their order."""
    png, svg = io.BytesIO(), io.BytesIO()
    FigureCanvasAgg(figure).print_figure(png, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    figure.set_layout_engine("none")  # everything has its place by now
    FigureCanvasSVG(figure).print_figure(svg, format="svg", metadata={"Date": None, "Creator": None})
    text = svg.getvalue().decode("utf-8")
    return Picture(name=name, title=title, png=png.getvalue(), svg=text, themed=_theme(text, name, title, points))


def _theme(svg: str, name: str, title: str, points: Sequence[str]) -> str:
    """The drawing as a part of the page: its colours, its letters, names that no other figure has."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;]*; ?", "", body)
    body = re.sub(r"#[0-9a-f]{6}", lambda found: _variable(found[0]), body)
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", body)
    head, rest = body.split(">", 1)
    size = re.search(r'width="([\d.]+)pt"', head)
    assert size is not None
    head = re.sub(r' (width|height)="[^"]*"', "", head, count=2)
    width = f"{float(size[1]) * 4 / 3:.0f}px"
    return f'{head} role="img" aria-label="{escape(title)}" style="max-width: {width}">{_told(rest, name, points)}'


def _variable(colour: str) -> str:
    return f"var(--{_VARIABLES[colour]})" if colour in _VARIABLES else colour


def _told(body: str, name: str, points: Sequence[str]) -> str:
    """The drawing with what each point is."""
    start = body.find(f'<g id="{name}-{POINTS}"')
    if start < 0:
        return body
    labels = iter(points)

    def tell(found: re.Match[str]) -> str:
        return f"{found[1]}><title>{escape(next(labels, ''))}</title></use>"

    return body[:start] + re.sub(r"(<use [^>]*)/>", tell, body[start:], count=len(points))
