"""``circuitwise train``: a set of dictionaries for a model, from text."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from circuitwise.cli.screen import AsJson, Quiet, Screen, errors, listing
from circuitwise.cli.trainrecipe import parse_layers, parse_tokens, sparsity_of, text_of, wiring_of
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import RequestError
from circuitwise.model.loading import load_model
from circuitwise.storage import Json
from circuitwise.training.parallel import is_first, own_device
from circuitwise.training.progress import Progress
from circuitwise.training.recipe import Reading, Recipe, Schedule
from circuitwise.training.text import check_text
from circuitwise.training.train import prepare_text, train

SECONDS_BETWEEN_LINES = 60.0
"""How often progress is written as a line where there is no terminal."""
UNKNOWN_WIDTH = 10**6
"""Stands for the model's width where the options are checked before it is loaded."""
EXAMPLES = """\b
Examples:
  circuitwise train --text stories.txt -o my-set
  circuitwise train --model smollm2 --text texts/ --width 4096 --k 32 --tokens 60M -o smollm2-4096
  circuitwise train --text text.jsonl.xz --kind autoencoder --site resid_post --activation relu --expansion 4 -o coders
  circuitwise train --text text.jsonl.xz --kind cross-layer --layers 0-5 -o across
  circuitwise train --text hub:roneneldan/TinyStories --tokens 60M -o stories
  torchrun --nproc-per-node 2 -m circuitwise train --text stories.txt -o my-set
"""


class Train(NamedTuple):
    """Train dictionaries for all layers of a model.

    The model reads the text once over; dictionaries of all layers learn from its activations, which stay in memory. The
    set lies in FOLDER/set, for --transcoders of trace.

    A training that was interrupted, by Ctrl-C or by force, goes on where it was when the same command is given again.
    Started by torchrun, several processes train one set together, each on its own accelerator.
    """

    text: Annotated[
        str,
        typer.Option("--text", help="A .txt or .jsonl file, packed or not, a folder, or hub:OWNER/NAME:CONFIG:SPLIT."),
    ]
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to train in.")]
    model: Annotated[str, typer.Option("--model", help="A short name, a hub name, a folder or a GGUF file.")] = (
        "smollm2"
    )
    kind: Annotated[str, typer.Option("--kind", help="transcoder, skip, cross-layer or autoencoder.")] = "transcoder"
    site: Annotated[str, typer.Option("--site", help="What an autoencoder rebuilds, for example resid_post.")] = (
        "mlp_out"
    )
    activation: Annotated[str, typer.Option("--activation", help="batchtopk, topk, relu or jumprelu.")] = "batchtopk"
    width: Annotated[int, typer.Option("--width", help="Features of a layer.")] = Recipe().width
    expansion: Annotated[
        int | None, typer.Option("--expansion", help="Features of a layer for each dimension of the model, instead.")
    ] = None
    k: Annotated[int, typer.Option("--k", help="How many features fire, with topk and batchtopk.")] = 48
    strength: Annotated[
        float | None, typer.Option("--strength", help="Price of what fires, with relu and jumprelu.")
    ] = None
    layers: Annotated[
        str | None, typer.Option("--layers", help="Some layers only, for example 0,3,6 or 0-5.", show_default=False)
    ] = None
    tokens: Annotated[
        str, typer.Option("--tokens", help="Tokens to train on, repetitions counted, for example 20M or 500k.")
    ] = "20M"
    batch: Annotated[int, typer.Option("--batch", help="Tokens of a step.")] = Recipe().batch
    rate: Annotated[float, typer.Option("--rate", help="The highest learning rate.")] = Schedule().learning_rate
    context: Annotated[int, typer.Option("--context", help="Tokens that the model reads at a time.")] = (
        Reading().context
    )
    reuse: Annotated[int, typer.Option("--reuse", help="How often a token is trained on, about.")] = Reading().reuse
    pool: Annotated[float, typer.Option("--pool", help="Memory for activations, in GiB.")] = 2.0
    precision: Annotated[str, typer.Option("--precision", help="Of large products: bfloat16 or float32.")] = "bfloat16"
    seed: Annotated[int, typer.Option("--seed", help="Governs the order of the text and the draws.")] = 0
    dtype: Annotated[str, typer.Option("--dtype", help="Number type of the model: float32, bfloat16 or float16.")] = (
        "bfloat16"
    )
    device: Annotated[
        str | None, typer.Option("--device", help="Where to compute: cpu, cuda, mps; an accelerator if there is one.")
    ] = None
    minutes: Annotated[float, typer.Option("--minutes", help="Minutes between two checkpoints.")] = 10.0
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Load, train, show."""
        screen = Screen(quiet=self.quiet or not is_first(), json=self.as_json)
        text = text_of(self.text)
        check_text(text)  # a missing text is said before the model is loaded
        _recipe(self, d_model=UNKNOWN_WIDTH)
        with screen.working(f"Loading {self.model}"):
            model = load_model(self.model, dtype=self.dtype, device=self.device or own_device())
        recipe = _recipe(self, d_model=model.d_model)
        reports: list[Progress] = []
        with _stopping() as stopped, _showing(screen) as show:

            def told(progress: Progress) -> None:
                reports[:] = [progress]
                show(progress)
                if stopped:
                    raise KeyboardInterrupt

            def read(n_tokens: int, n_wanted: int) -> None:
                show.reading(n_tokens, n_wanted)
                if stopped:
                    raise KeyboardInterrupt

            try:
                prepare_text(model, text, recipe, self.output, progress=read)
                trained = train(
                    model,
                    text,
                    recipe,
                    self.output,
                    progress=told,
                    seconds_between_checkpoints=60 * self.minutes,
                )
            except KeyboardInterrupt:
                screen.note(f"Saved in {self.output}. Give the same command again to go on.")
                raise
        if not is_first():
            return
        last = reports[0] if reports else None
        screen.show(_as_json(self, trained, last), lambda console: _draw(console, self, trained, last))


def _recipe(asked: Train, *, d_model: int) -> Recipe:
    if asked.precision not in ("bfloat16", "float32"):
        raise RequestError(f"Products cannot be computed in “{asked.precision}”. Choose bfloat16 or float32.")
    return Recipe(
        wiring=wiring_of(asked.kind, asked.site),
        sparsity=sparsity_of(asked.activation, asked.k, asked.strength),
        width=asked.width if asked.expansion is None else asked.expansion * d_model,
        layers=None if asked.layers is None else parse_layers(asked.layers),
        n_tokens=parse_tokens(asked.tokens),
        batch=asked.batch,
        schedule=Schedule(learning_rate=asked.rate),
        reading=Reading(context=asked.context, reuse=asked.reuse, pool_bytes=int(asked.pool * 2**30)),
        precision=asked.precision,
        seed=asked.seed,
    )


@contextmanager
def _stopping() -> Generator[list[bool]]:
    """Ctrl-C asks for an end between two steps; a second one ends at once."""
    stopped: list[bool] = []

    def stop(_: int, __: FrameType | None) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(True)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


class _Shown:
    """Progress as a bar on a terminal, as a line a minute elsewhere."""

    def __init__(self, screen: Screen, bar: Bar) -> None:
        self.screen, self.bar = screen, bar
        self.task = bar.add_task("Preparing", total=None, state="")
        self.written = monotonic()

    def reading(self, n_tokens: int, n_wanted: int) -> None:
        """Show how much of the text has been read."""
        state = f"{n_tokens / 1e6:.2f} of at most {n_wanted / 1e6:.2f} M tokens"
        self.bar.update(self.task, description="Reading text", state=state)
        self._write(f"Reading text: {state}")

    def __call__(self, progress: Progress) -> None:
        state = _state(progress)
        self.bar.update(self.task, description="Training", completed=progress.step, total=progress.n_steps, state=state)
        left = f"{progress.seconds_left / 60:.0f} min left"
        self._write(f"{progress.n_tokens / 1e6:.2f} M tokens, {state}, {left}")

    def _write(self, line: str) -> None:
        if not self.bar.console.is_terminal and monotonic() - self.written >= SECONDS_BETWEEN_LINES:
            self.screen.note(line)
            self.written = monotonic()


@contextmanager
def _showing(screen: Screen) -> Generator[_Shown]:
    console = errors()
    hidden = screen.quiet or screen.json or not console.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[state]}"))
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden) as bar:
        yield _Shown(screen, bar)


def _state(progress: Progress) -> str:
    return (
        f"{progress.tokens_per_second:,.0f} tokens/s, FVU {progress.mean_fvu:.3f}, "
        f"{progress.mean_firing:.1f} firing, {progress.mean_dead:.1%} dead"
    )


def _as_json(asked: Train, trained: Transcoders, last: Progress | None) -> Json:
    return {
        "set": str(asked.output / "set"),
        "kind": trained.kind,
        "layers": [dictionary.layer for dictionary in trained],
        "features": trained.n_features,
        "last": None if last is None else last.to_json(),
    }


def _draw(console: Console, asked: Train, trained: Transcoders, last: Progress | None) -> None:
    if last is not None:
        table = listing("site", "FVU", "firing", "dead")
        for site, fvu in last.fvu.items():
            table.add_row(str(site), f"{fvu:.3f}", f"{last.firing[site.layer]:.1f}", f"{last.dead[site.layer]:.1%}")
        console.print(table)
    sentence = f"{len(trained)} dictionaries, {trained.n_features:,} features. They lie in {asked.output / 'set'}."
    console.print(sentence, markup=False, soft_wrap=True)
