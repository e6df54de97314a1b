"""The tables of ``docs/benchmarks.md``, made from the results that are kept.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; everything else on the page is left alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import interventions, training
from benchmarks.attribution import BARS
from benchmarks.process import ROOT
from benchmarks.results import RESULTS, Result, kept, kept_like
from benchmarks.scaling import summarise
from circuitwise.storage import write_text

PAGE = ROOT / "docs" / "benchmarks.md"
"""The page with the tables."""
NOTHING = "*Not measured yet.*"
"""What stands in place of a table without results."""

_PLACE = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def attribution_table(folder: Path) -> str:
    """Our runs against circuit-tracer's, job by job."""
    results = kept_like("attribution-", folder)
    head = ("job", "ours", "circuit-tracer", "faster", "memory", "of its memory", "relative difference", "GEMM share")
    return _table(head, [_attribution_line(result) for result in results])


def interventions_table(folder: Path) -> str:
    """Our ablations against circuit-tracer's, job by job."""
    results = kept_like("interventions-", folder)
    head = ("job", "ablations", "ours", "circuit-tracer", "faster", "largest difference of a logit", "largest effect")
    return _table(head, [_interventions_line(result) for result in results])


def scaling_table(folder: Path) -> str:
    """Time and memory, point by point."""
    result = kept("scaling", folder)
    points: list[Result] = [] if result is None else result["points"]
    head = ("tokens", "rows", "features that fire", "seconds", "peak memory")
    lines = [
        (
            f"{point['n_tokens']:,}",
            f"{point['n_rows']:,}",
            f"{point['n_active']:,}",
            f"{point['seconds']:.1f}",
            f"{point['peak_bytes'] / 2**30:.2f} GiB",
        )
        for point in points
    ]
    table = _table(head, lines)
    if result is None or not points:
        return table
    summary = summarise(result)
    return (
        f"{table}\n\nSeconds grow like rows^{summary['rows_exponent']:.2f}; between the last two points like "
        f"rows^{summary['last_rows_exponent']:.2f}."
    )


def gemma_table(folder: Path) -> str:
    """Gemma-2-2B shapes on an accelerator."""
    result = kept("gemma", folder)
    head = ("device", "whole run", "arithmetic floor", "times the floor", "GEMM share of the walk")
    lines = [
        (
            str(each["machine"]["accelerator"]),
            f"{each['seconds']:.2f} s",
            f"{each['floor_seconds']:.2f} s",
            f"{each['over_floor']:.1f}",
            f"{each['gemm_share']:.0%}",
        )
        for each in ([] if result is None else [result])
    ]
    return _table(head, lines)


def machine_table(folder: Path) -> str:
    """What the results were measured on."""
    described: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.json")):
        result = kept(path.stem, folder)
        assert result is not None
        described.setdefault(_machine_line(result), []).append(f"`{path.name}`")
    return _table(("machine", "results"), [(machine, ", ".join(files)) for machine, files in described.items()])


def bars_table(_: Path) -> str:
    """What is promised of the 16-token job."""
    return _table(("number", "promise"), _promises(BARS))


def intervention_bars_table(_: Path) -> str:
    """What is promised of the ablations of the 16-token job."""
    return _table(("number", "promise"), _promises(interventions.BARS))


def training_table(folder: Path) -> str:
    """Our training against eai-sparsify's: speed and quality."""
    result = kept("training", folder)
    head = ("side", "precision", "each token trained on", "tokens/s", "as fast", "FVU, held out")
    return _table(head, [] if result is None else [_training_line(result, side) for side in result["settings"]])


def training_bars_table(_: Path) -> str:
    """What is promised of the training with equal work."""
    return _table(("number", "promise"), _promises(training.BARS))


def _promises(bars: Mapping[str, float]) -> list[Sequence[str]]:
    return [
        (f"`{name}`", f"{'at least' if name == 'speed_ratio' else 'at most'} {bar:g}") for name, bar in bars.items()
    ]


TABLES: Mapping[str, Callable[[Path], str]] = {
    "attribution": attribution_table,
    "bars": bars_table,
    "gemma": gemma_table,
    "intervention-bars": intervention_bars_table,
    "interventions": interventions_table,
    "machine": machine_table,
    "scaling": scaling_table,
    "training": training_table,
    "training-bars": training_bars_table,
}
"""The tables by name."""


def fill(page: str, folder: Path = RESULTS) -> str:
    """A page with its tables made anew."""
    return _PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]](folder)}\n\n{place[3]}", page)


def write_tables() -> None:
    """Make the tables of the documentation anew."""
    write_text(PAGE, fill(PAGE.read_text("utf-8")))


def _attribution_line(result: Result) -> Sequence[str]:
    low, high = result["speed_range"]
    pairs = result["pairs"]
    middle = {side: sorted(pair[side]["seconds"] for pair in pairs)[len(pairs) // 2] for side in ("ours", "peer")}
    peaks = [f"{max(pair[side]['peak_bytes'] for pair in pairs) / 1e9:.2f} GB" for side in ("ours", "peer")]
    return (
        f"`{result['job']['name']}`",
        f"{middle['ours']:.2f} s",
        f"{middle['peer']:.1f} s",
        f"**{result['speed_ratio']:.1f}x** ({low:.1f} to {high:.1f})",
        " / ".join(peaks),
        f"{result['memory_ratio']:.2f}",
        f"{result['relative_difference']:.1e}",
        f"{result['gemm_share']:.0%}",
    )


def _interventions_line(result: Result) -> Sequence[str]:
    low, high = result["speed_range"]
    pairs = result["pairs"]
    middle = {side: sorted(pair[side]["seconds"] for pair in pairs)[len(pairs) // 2] for side in ("ours", "peer")}
    return (
        f"`{result['job']['name']}`",
        f"{pairs[0]['ours']['n_ablations']}",
        f"{middle['ours']:.2f} s",
        f"{middle['peer']:.1f} s",
        f"**{result['speed_ratio']:.1f}x** ({low:.1f} to {high:.1f})",
        f"{result['max_difference']:.1e}",
        f"{result['compared']['largest_effect']:.1e}",
    )


def _training_line(result: Result, side: str) -> Sequence[str]:
    how, pairs = result["settings"][side], result["pairs"]
    ratio = {"ours": result["speed_ratio"], "defaults": result["default_speed_ratio"], "peer": 1.0}[side]
    return (
        {"ours": "ours, equal work", "defaults": "ours, defaults", "peer": "eai-sparsify"}[side],
        str(how["precision"]),
        "once" if how["reuse"] == 1 else f"{how['reuse']} times",
        f"{sorted(pair[side]['tokens_per_second'] for pair in pairs)[len(pairs) // 2]:,.0f}",
        f"**{ratio:.2f}x**" if side == "ours" else f"{ratio:.2f}x",
        f"{result['fvu'][side]:.3f}",
    )


def _machine_line(result: Result) -> str:
    machine = result["machine"]
    parts = [
        f"{machine['processor']}, {machine['n_cores']} cores, {machine['n_threads']} threads",
        f"{machine['memory_bytes'] / 1e9:.0f} GB",
        *([machine["accelerator"]] if machine["accelerator"] else []),
        machine["system"],
        f"torch {machine['torch']}",
    ]
    return ", ".join(parts)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    if not lines:
        return NOTHING
    rule = "|".join("---" for _ in head)
    return "\n".join([_row(head), f"|{rule}|", *(_row(line) for line in lines)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
