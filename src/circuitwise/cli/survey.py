"""``circuitwise survey``: what every feature of a set does on a text."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple, cast, get_args

import typer
from rich.console import Console

from circuitwise.cli.opening import AllowMisfit, Device, Dtype, open_model, open_replacement
from circuitwise.cli.screen import AsJson, Quiet, Screen
from circuitwise.cli.trainrecipe import parse_tokens, text_of
from circuitwise.errors import RequestError
from circuitwise.features.examples import Examples
from circuitwise.features.saving import save_survey
from circuitwise.features.survey import Precision, Survey, survey
from circuitwise.storage import Json, Provenance, Source
from circuitwise.training.packing import pack
from circuitwise.training.text import check_text

SPREAD = 16
"""The tokens are drawn from the first so many times as many of the text."""
EXAMPLES = """\b
Examples:
  circuitwise survey --transcoders my-set/set --text stories.txt -o my-survey
  circuitwise survey --transcoders my-set/set --text texts/ --tokens 2M --strongest 6 --sampled 10 -o my-survey
  circuitwise feature L12F345 --survey my-survey
"""


class SurveyRequest(NamedTuple):
    """Find out what every feature of a set does on a text, in one pass over it.

    For every feature of every layer: how often and how strongly it fires, a histogram, the contexts in which it fires
    most, a sample of all in which it fires, the tokens that it promotes, and a label made of these. `circuitwise
    feature` shows them, `circuitwise show` and `circuitwise export` put the labels on nodes.
    """

    transcoders: Annotated[str, typer.Option("--transcoders", "-t", help="The dictionaries: a set's name or folder.")]
    text: Annotated[str, typer.Option("--text", help="A .txt or .jsonl file, packed or not, a folder, or hub:NAME.")]
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")]
    model: Annotated[str, typer.Option("--model", help="A short name, a hub name, a folder or a GGUF file.")] = (
        "smollm2"
    )
    tokens: Annotated[str, typer.Option("--tokens", help="Tokens to look at, drawn from the text: 500k, 2M.")] = "1M"
    context: Annotated[int, typer.Option("--context", help="Tokens that the model reads at a time.")] = 128
    strongest: Annotated[int, typer.Option("--strongest", help="Contexts kept where a feature fires most.")] = 10
    sampled: Annotated[int, typer.Option("--sampled", help="Contexts drawn from all where it fires.")] = 20
    before: Annotated[int, typer.Option("--before", help="Tokens of a context before the one that fires.")] = 11
    after: Annotated[int, typer.Option("--after", help="Tokens of a context after it.")] = 4
    seed: Annotated[int, typer.Option("--seed", help="Governs what is drawn.")] = 0
    precision: Annotated[
        str, typer.Option("--precision", help="What the model's products are computed in: bfloat16 or float32.")
    ] = "bfloat16"
    dtype: Dtype = None
    device: Device = None
    token: Annotated[str | None, typer.Option("--token", help="An access token for gated models.")] = None
    allow_misfit: AllowMisfit = False
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Load, read, write, show."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        text = text_of(self.text)
        check_text(text)  # a missing text is said before the model is loaded
        if self.precision not in get_args(Precision):
            raise RequestError(f"Products cannot be computed in “{self.precision}”. Choose bfloat16 or float32.")
        if self.output.is_file():
            raise RequestError(f"{self.output} is a file, but a survey is a folder. Name a folder.")
        how = Examples(
            strongest=self.strongest, sampled=self.sampled, before=self.before, after=self.after, seed=self.seed
        )
        n_wanted = max(1, parse_tokens(self.tokens) // max(1, self.context))
        model = open_model(screen, self.model, dtype=self.dtype, device=self.device, token=self.token)
        replacement = open_replacement(
            screen, model, self.transcoders, token=self.token, allow_misfit=self.allow_misfit
        )
        with TemporaryDirectory() as folder, screen.counting(f"Reading {self.text}") as progress:
            packed = pack(
                model,
                text,
                context=self.context,
                seed=self.seed,
                path=Path(folder) / "text.safetensors",
                n_wanted=SPREAD * n_wanted,
                progress=progress,
            )
            sequences = packed.take(0, min(len(packed.ids), n_wanted))
        with screen.counting("Reading what fires") as progress:
            found = survey(
                replacement,
                sequences,
                how,
                n_excluded=packed.n_excluded,
                precision=cast("Precision", self.precision),
                progress=progress,
            )
        with screen.working(f"Writing {self.output}"):
            save_survey(found, self.output, _provenance(found, self.seed, misfit=replacement.misfit))
        screen.show(_as_json(self, found), lambda console: _draw(console, self, found))


def _provenance(found: Survey, seed: int, *, misfit: bool) -> Provenance:
    origin = found.origin
    return Provenance.now(
        model=Source(name=origin.model, sha256=origin.model_sha256),
        dictionary=Source(name=origin.transcoders, sha256=origin.transcoders_sha256),
        dtype=origin.precision,
        seeds={"sample": seed},
        misfit=misfit,
    )


def _as_json(asked: SurveyRequest, found: Survey) -> Json:
    return {
        "survey": str(asked.output),
        "tokens": found.n_positions,
        "layers": [
            {
                "layer": number,
                "features": layer.n_features,
                "silent": int((layer.n_firings == 0).sum()),
                "firing": float(layer.n_firings.sum()) / found.n_positions,
                "clear_labels": sum(label.clear for label in layer.labels),
            }
            for number, layer in found.layers.items()
        ],
    }


def _draw(console: Console, asked: SurveyRequest, found: Survey) -> None:
    n_features = sum(layer.n_features for layer in found.layers.values())
    n_silent = sum(int((layer.n_firings == 0).sum()) for layer in found.layers.values())
    n_clear = sum(label.clear for layer in found.layers.values() for label in layer.labels)
    console.print(
        f"{n_features:,} features on {found.n_positions:,} tokens: {n_silent:,} never fire, {n_clear:,} have a clear "
        f"label. The survey lies in {asked.output}.",
        markup=False,
        soft_wrap=True,
    )
