"""``circuitwise quantise``: a set of dictionaries in a few bits a weight."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from circuitwise.cli.screen import AsJson, Quiet, Screen, size
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.dictionaries.native import save_transcoders
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.storage import Json, Provenance, Source

EXAMPLES = """\b
Examples:
  circuitwise quantise my-training -o my-set
  circuitwise quantise my-training -o my-set --bits 5
  circuitwise quality my-set --text heldout.jsonl.xz    what that costs, beside the same for my-training
"""

SetName = Annotated[str, typer.Argument(help="The set: a short name, a reference or a folder.", show_default=False)]
Output = Annotated[Path, typer.Option("--output", "-o", help="The new folder for the smaller set.")]
Bits = Annotated[int, typer.Option("--bits", help="Bits of a weight, 2 to 8.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Smaller:
    """What was written."""

    folder: Path
    """Where it lies."""
    bits: int
    """Bits of a weight."""
    n_bytes: int
    """Of all its files."""
    n_weights: int
    """Weights of all encoders and decoders."""
    change: float
    """Share of their squared length that the rounding changed."""


def quantise(
    transcoders: SetName, output: Output, bits: Bits = 6, quiet: Quiet = False, as_json: AsJson = False
) -> None:
    """Write a set of dictionaries in a few bits a weight, so that it is small enough to be passed on.

    Each row of an encoder and of a decoder is rounded to whole steps of its own size; biases and thresholds stay as
    they are. The smaller set opens like any other, as dictionaries of the same class. What the rounding costs in
    quality, circuitwise quality tells for both sets.
    """
    screen = Screen(quiet=quiet, json=as_json)
    with screen.working(f"Loading {transcoders}"):
        whole = load_transcoders(transcoders)
    with screen.working(f"Writing {output}"):
        save_transcoders(whole, output, bits=bits, provenance=_provenance(whole))
        rounded = load_transcoders(output)
    made = _Smaller(
        folder=output,
        bits=bits,
        n_bytes=sum(file.stat().st_size for file in output.iterdir()),
        n_weights=sum(each.encoder.numel() + each.decoder.numel() for each in whole),
        change=_change(whole, rounded),
    )
    screen.show(_as_json(made), lambda console: _draw(console, made))


def _provenance(whole: Transcoders) -> Provenance:
    first = whole.layers[0].encoder
    return Provenance.now(
        dictionary=Source(name=whole.name, sha256=whole.checksum), device=first.device, dtype=first.dtype
    )


def _change(whole: Transcoders, rounded: Transcoders) -> float:
    """How much of the weights' squared length the rounding has changed."""
    pairs = [
        pair
        for one, other in zip(whole, rounded, strict=True)
        for pair in ((one.encoder, other.encoder), (one.decoder, other.decoder))
    ]
    changed = sum(float((before.float() - after).square().sum()) for before, after in pairs)
    return changed / sum(float(before.float().square().sum()) for before, _ in pairs)


def _as_json(made: _Smaller) -> Json:
    return {
        "folder": str(made.folder),
        "bits": made.bits,
        "bytes": made.n_bytes,
        "weights": made.n_weights,
        "relative_change": made.change,
    }


def _draw(console: Console, made: _Smaller) -> None:
    console.print(
        f"{made.n_weights:,} weights in {made.bits} bits each: {size(made.n_bytes)} in {made.folder}. The rounding "
        f"changed {made.change:.2%} of their squared length.",
        markup=False,
        soft_wrap=True,
    )
