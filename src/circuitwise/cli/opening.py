"""Opening what a command runs on: a model, and the dictionaries that were asked for or that a graph was made with."""

from dataclasses import replace
from typing import Annotated

import typer

from circuitwise.cli.screen import Screen
from circuitwise.dictionaries.drawn import drawn_name, random_transcoders
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.dictionaries.shipped import shipped_for
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import RequestError
from circuitwise.graph.graph import Graph
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.replacement import Replacement

RANDOM = "random"
"""The name that asks for drawn dictionaries; a folder of that name is ``./random``."""
N_FEATURES = 1024
"""Features that are drawn for a layer."""
FIRING = 32
"""How many of them fire at a position, at most."""
SEED = 0
"""What they are drawn with."""
NO_FINDING = (
    "These dictionaries were drawn at random: they show how a graph is made, and nothing found with them is a finding."
)
"""What is said about graphs of drawn dictionaries."""

BUILTIN = "smollm2"
"""The model that needs nothing else."""
SetName = Annotated[
    str | None,
    typer.Option(
        "--transcoders",
        help="A dictionary set: short name, reference, folder, or the word random; otherwise the model's shipped one.",
    ),
]
ModelName = Annotated[str, typer.Option("--model", help="A short name, a hub name, a folder or a GGUF file.")]
GraphModel = Annotated[
    str | None, typer.Option("--model", help="The model that the file was made with, where its name does not find it.")
]
GraphTranscoders = Annotated[
    str | None, typer.Option("--transcoders", help="The graph's dictionaries, where their name does not find them.")
]
Dtype = Annotated[str | None, typer.Option("--dtype", help="Number type of the model: float32, bfloat16 or float16.")]
Token = Annotated[str | None, typer.Option("--token", help="An access token for gated models (or set HF_TOKEN).")]
Device = Annotated[
    str | None, typer.Option("--device", help="Where to compute: cpu, cuda, mps; an accelerator if there is one.")
]
AllowMisfit = Annotated[
    bool, typer.Option("--allow-misfit", help="Go on with dictionaries that do not reconstruct the model.")
]


def chosen_set(transcoders: str | None, model: str) -> str:
    """The name of the dictionaries that were asked for, or of those that are shipped for the model."""
    chosen = transcoders if transcoders is not None else shipped_for(model)
    if chosen is None:
        raise RequestError(
            f"No dictionaries are shipped for the model “{model}”. Name a set by --transcoders (`circuitwise models` "
            "lists published ones, `circuitwise train` makes one), or write --transcoders random to draw some."
        )
    return chosen


def open_model(screen: Screen, name: str, *, dtype: str | None, device: str | None, token: str | None) -> Model:
    """The model of that name."""
    with screen.working(f"Loading {name}"):
        return load_model(name, dtype=dtype, device=device, token=token)


def open_replacement(
    screen: Screen, model: Model, transcoders: str, *, token: str | None, allow_misfit: bool
) -> Replacement:
    """The model with dictionaries: those of that name, or drawn ones."""
    if is_drawn(transcoders):
        with screen.working("Drawing random dictionaries"):
            return Replacement(model, draw_for(model), allow_misfit=True)
    with screen.working(f"Loading {transcoders} and measuring how it fits"):
        found = load_transcoders(transcoders, token=token, device=model.device)
        return Replacement(model, found, allow_misfit=allow_misfit)


def is_drawn(transcoders: str) -> bool:
    """Whether this names dictionaries that a command drew: by the word, or as a graph made with them calls them."""
    return transcoders in (RANDOM, drawn_name(N_FEATURES, SEED))


def check_same_model(model: Model, graph: Graph) -> None:
    """Refuse to run a graph's features on another model than the one that it was made with."""
    if model.name != graph.model:
        raise RequestError(
            f"The graph was made with the model “{graph.model}”, but this is “{model.name}”. Name the same one by "
            "--model: a graph says nothing about another model."
        )


def draw_for(model: Model) -> Transcoders:
    """Random dictionaries for a model, where its weights are."""
    drawn = random_transcoders(model.n_layers, model.d_model, n_features=N_FEATURES, firing=FIRING, seed=SEED)
    if model.device.type == "cpu":
        return drawn
    layers = tuple(
        replace(
            one,
            encoder=one.encoder.to(model.device),
            encoder_bias=one.encoder_bias.to(model.device),
            decoder=one.decoder.to(model.device),
            bias=one.bias.to(model.device),
        )
        for one in drawn
    )
    return replace(drawn, layers=layers)
