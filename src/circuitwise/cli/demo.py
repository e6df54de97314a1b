"""``circuitwise demo``: what a model predicts, and what features look like; what ``make demo`` runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.markup import escape

from circuitwise.cli.cached import builtin_state
from circuitwise.cli.screen import AsJson, Quiet, Screen, listing
from circuitwise.dictionaries.drawn import random_transcoders
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.dictionaries.shipped import SHIPPED, shipped_for
from circuitwise.model.builtin import SHORT_NAMES
from circuitwise.model.forward import run
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.model.tokens import n_excluded, pad, token_text, tokenize
from circuitwise.replacement import Replacement
from circuitwise.storage import Json
from circuitwise.vocabulary import AnyTokens, Feature, Tokens

PROMPTS = (
    "The capital of France is",
    'The opposite of "small" is "',
    "The keys to the cabinet",
    "When Mary and John went to the store, John gave a drink to",
)
"""What is shown if no prompt is given."""
N_NEXT = 5
"""How many next tokens are shown."""
N_STRONGEST = 3
"""How many features are shown of a layer."""
N_LAYERS_SHOWN = 6
"""How many layers are shown to people; JSON holds all of them."""
N_FEATURES = 256
"""Features that are drawn for a layer."""
FIRING = 8
"""How many of them fire at a position."""
RANDOM = (
    "No dictionaries are shipped for this model. These are random directions: they show how features are read, and are "
    "no findings."
)
EXAMPLES = """\b
Examples:
  circuitwise demo
  circuitwise demo --prompt "The Eiffel Tower is located in the city of"
  circuitwise demo --model openai-community/gpt2 --json
"""

Prompts = Annotated[list[str] | None, typer.Option("--prompt", help="A text to continue; may be given several times.")]
ModelName = Annotated[str, typer.Option("--model", help="A short name, a hub name, a folder or a GGUF file.")]
Token = Annotated[str | None, typer.Option("--token", help="An access token for gated models (or set HF_TOKEN).")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """One token that may come next."""

    token: str
    """As text."""
    probability: float
    """What the model gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """One feature that fires."""

    feature: str
    """Its name, for example ``L12F345``."""
    layer: int
    """Its layer."""
    position: int
    """Where in the prompt, counted from 0."""
    token: str
    """The token there."""
    value: float
    """How strongly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """All that the demo shows."""

    model: Model
    """The model."""
    predictions: tuple[tuple[str, tuple[Next, ...]], ...]
    """Every prompt with its likeliest next tokens."""
    replacement: Replacement
    """The model with dictionaries."""
    random: bool
    """Whether they are random ones, since none are shipped for the model."""
    strongest: tuple[Fired, ...]
    """The strongest features of every layer on the first prompt."""

    @property
    def title(self) -> str:
        """What the model is called in texts."""
        return SHORT_NAMES[self.model.name].title if self.model.name in SHORT_NAMES else self.model.name


def demo(
    prompt: Prompts = None,
    model: ModelName = "smollm2",
    token: Token = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what a model predicts and how features are read.

    The first run unpacks the built-in SmolLM2-135M Q4_1 into the cache (half a gigabyte, under a minute). Its features
    are those of the dictionaries that come along; another model is shown with random ones.
    """
    screen = Screen(quiet=quiet, json=as_json)
    with screen.working(_loading(model)):
        opened = load_model(model, token=token)
    prompts = prompt or list(PROMPTS)
    with screen.working("Running the prompts"):
        tokens = [tokenize(opened, text) for text in prompts]
        predictions = tuple(zip(prompts, _predict(opened, tokens), strict=True))
    shipped = shipped_for(model)
    with screen.working("Loading dictionaries and measuring how they fit"):
        replacement = _replacement(opened, shipped)
        strongest = _strongest(replacement, tokens[0])
    shown = Demonstration(
        model=opened,
        predictions=predictions,
        replacement=replacement,
        random=shipped is None,
        strongest=strongest,
    )
    screen.show(_as_json(shown), lambda console: _draw(console, shown))


def _replacement(model: Model, shipped: str | None) -> Replacement:
    """The model with the dictionaries that are shipped for it, or with random ones."""
    if shipped is not None:
        return Replacement(model, load_transcoders(shipped, device=model.device))
    drawn = random_transcoders(model.n_layers, model.d_model, n_features=N_FEATURES, firing=FIRING)
    return Replacement(model, drawn, allow_misfit=True)


def _loading(name: str) -> str:
    if name not in SHORT_NAMES:
        return f"Loading {name}"
    once = "" if builtin_state(name) == "ready" else ", unpacked into the cache the first time"
    return f"Loading {SHORT_NAMES[name].title}{once}"


@torch.no_grad()
def _predict(model: Model, prompts: Sequence[AnyTokens]) -> list[tuple[Next, ...]]:
    """The likeliest next tokens of every prompt."""
    probabilities = torch.softmax(run(model, pad(prompts)).logits[:, 0].float(), -1)
    best = probabilities.topk(min(N_NEXT, model.d_vocab))
    return [
        tuple(
            Next(token=token_text(model, int(token)), probability=float(probability))
            for token, probability in zip(tokens, values, strict=True)
        )
        for tokens, values in zip(best.indices, best.values, strict=True)
    ]


@torch.no_grad()
def _strongest(replacement: Replacement, tokens: Tokens) -> tuple[Fired, ...]:
    """The features of every layer that fire most strongly, first tokens without content left out."""
    model, transcoders = replacement.model, replacement.transcoders
    start = n_excluded(model, tokens)
    seen = run(model, pad([tokens]), read=[each.read for each in transcoders], logits="none").sites
    found: list[Fired] = []
    for dictionary in transcoders:
        firing = dictionary.encode(seen[dictionary.read][0, start:].float())
        for entry in map(int, firing.value.argsort(descending=True)[:N_STRONGEST]):
            pos = start + int(firing.pos[entry])
            found.append(
                Fired(
                    feature=str(Feature(dictionary.layer, int(firing.feature[entry]))),
                    layer=dictionary.layer,
                    position=pos,
                    token=token_text(model, int(tokens[pos])),
                    value=float(firing.value[entry]),
                )
            )
    return tuple(found)


def _as_json(shown: Demonstration) -> Json:
    model, fit = shown.model, shown.replacement.fit
    return {
        "model": {
            "name": model.name,
            "title": shown.title,
            "revision": model.revision,
            "n_layers": model.n_layers,
            "d_model": model.d_model,
        },
        "predictions": [
            {"prompt": prompt, "next": [asdict(each) for each in following]} for prompt, following in shown.predictions
        ],
        "dictionaries": {
            "name": shown.replacement.transcoders.name,
            "random": shown.random,
            "remark": RANDOM if shown.random else None,
            "median_fvu": fit.median_fvu,
            "firing": fit.firing,
            "fits": fit.holds,
        },
        "features": [asdict(each) for each in shown.strongest],
    }


def _draw(console: Console, shown: Demonstration) -> None:
    model = shown.model
    console.print(f"[bold]{escape(shown.title)}[/bold]: {model.n_layers} layers of width {model.d_model}", end="\n\n")
    table = listing("prompt", "likeliest next", *[""] * (N_NEXT - 1))
    for prompt, following in shown.predictions:
        table.add_row(escape(prompt), *(f"“{escape(each.token)}” {each.probability:.2f}" for each in following))
    console.print(table)
    console.print()
    _draw_features(console, shown)


def _title(name: str) -> str:
    return f"the dictionaries that come along ({SHIPPED[name].title})"


def _draw_features(console: Console, shown: Demonstration) -> None:
    fit, transcoders = shown.replacement.fit, shown.replacement.transcoders
    what = f"{N_FEATURES} random directions a layer" if shown.random else _title(transcoders.name)
    console.print(f"[bold]Features[/bold] of {what}, on the first prompt")
    if shown.random:
        console.print(RANDOM)
    verdict = "fits the model" if fit.holds else "does not fit the model"
    console.print(
        f"Fit: fraction of variance unexplained {fit.median_fvu:.3g} (median over layers; 0 is perfect, 1 is no better "
        f"than the mean), so this set {verdict}.",
        end="\n\n",
    )
    layers = [dictionary.layer for dictionary in transcoders]
    wanted = {layers[i * (len(layers) - 1) // (N_LAYERS_SHOWN - 1)] for i in range(N_LAYERS_SHOWN)}
    table = listing("layer", "strongest features (token, activation)")
    for layer in sorted(wanted):
        fired = [each for each in shown.strongest if each.layer == layer]
        texts = (f"{each.feature} (“{escape(each.token)}”, {each.value:.1f})" for each in fired)
        table.add_row(str(layer), "  ".join(texts))
    console.print(table)
