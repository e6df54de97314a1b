"""What to train and how: one frozen value, checked where it is made."""

from dataclasses import asdict, dataclass
from typing import Literal

from circuitwise.dictionaries.activations import BatchTopK, TopK
from circuitwise.errors import RequestError
from circuitwise.model.model import Model
from circuitwise.storage import Json
from circuitwise.storage.jsontext import canonical_json, parse_json
from circuitwise.vocabulary import Site, SiteKind


@dataclass(frozen=True, slots=True)
class PerLayer:
    """Transcoders: each layer's dictionary stands in for that layer's MLP."""

    reads: SiteKind = "mlp_in"
    """Where the input comes from."""
    writes: SiteKind = "mlp_out"
    """What is reconstructed."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Transcoders with a linear map beside the features, straight from input to output."""

    reads: SiteKind = "mlp_in"
    """Where the input comes from."""
    writes: SiteKind = "mlp_out"
    """What is reconstructed."""


@dataclass(frozen=True, slots=True)
class CrossLayer:
    """Cross-layer transcoders: features of a layer write to its own and all later outputs."""

    reads: SiteKind = "mlp_in"
    """Where the input comes from."""
    writes: SiteKind = "mlp_out"
    """What all layers together reconstruct."""


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """Sparse autoencoders: each rebuilds the site that it reads."""

    site: SiteKind = "mlp_out"
    """Which one."""


Wiring = PerLayer | Skip | CrossLayer | Autoencoder
"""What the dictionaries read and write."""


@dataclass(frozen=True, slots=True)
class L1:
    """ReLU, with a price on the sum of what fires."""

    strength: float = 0.02
    """Price of one unit, against a reconstruction error of 1 for a constant."""


@dataclass(frozen=True, slots=True)
class L0:
    """JumpReLU, with a price on how many features fire; its thresholds are trained through a rectangle of a width.

    https://arxiv.org/abs/2407.14435
    """

    strength: float = 0.001
    """Price of one firing feature, against a reconstruction error of 1 for a constant."""
    bandwidth: float = 0.2
    """Width of the rectangle around a threshold in which a pre-activation moves it."""


Precision = Literal["bfloat16", "float32"]
"""The types that large products can be computed in."""
Sparsity = BatchTopK | TopK | L1 | L0
"""What keeps the features few. BatchTopK becomes JumpReLU in the finished set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How far each step goes."""

    learning_rate: float = 2e-3
    """The highest; Adam's."""
    warmup: float = 0.02
    """Share of the steps in which it rises from zero."""
    decay: float = 0.3
    """Share of the steps in which it falls back to zero, at the end."""
    penalty_warmup: float = 0.2
    """Share of the steps in which the price of L1 or L0 rises from zero."""
    clip: float = 1.0
    """The longest gradient of a layer (of all layers together, if they write to each other's outputs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revival:
    """Features that have died learn from what the living ones leave unexplained (https://arxiv.org/abs/2406.04093)."""

    after: int = 250_000
    """Tokens without firing after which a feature counts as dead."""
    firing: int = 64
    """How many dead features may explain the rest of a token together."""
    strength: float = 1 / 32
    """Weight of that, against the reconstruction itself."""
    rows: int = 512
    """On how many tokens of a step it is computed, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How text becomes activations."""

    context: int = 128
    """Tokens that the model reads at a time; its first position is not trained on."""
    sequences: int = 16
    """How many such texts run together."""
    pool_bytes: int = 2 << 30
    """Main or device memory for activations, from which steps draw at random; nothing goes to the disk."""
    reuse: int = 4
    """How often a token is trained on, about, before its activations make room for new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a set of dictionaries is trained."""

    wiring: Wiring = PerLayer()
    """What they read and write."""
    sparsity: Sparsity = BatchTopK(48)
    """What keeps the features few."""
    width: int = 2048
    """Features of a layer."""
    layers: tuple[int, ...] | None = None
    """Which layers get a dictionary; None for all."""
    n_tokens: int = 20_000_000
    """Tokens that are trained on, repetitions counted."""
    batch: int = 2048
    """Tokens of a step."""
    schedule: Schedule = Schedule()
    """How far each step goes."""
    revival: Revival = Revival()
    """What happens to dead features."""
    reading: Reading = Reading()
    """How text becomes activations."""
    precision: Precision = "bfloat16"
    """Of large products, the model's too; weights and sums of gradients are always float32."""
    seed: int = 0
    """Governs the order of the text and the draws."""

    def __post_init__(self) -> None:
        for name, value in self._counts().items():
            if value < 1:
                raise RequestError(f"The recipe gives {name} = {value}, but at least 1 is needed.")
        for name, value in self._shares().items():
            if not 0 <= value <= 1:
                raise RequestError(f"The recipe gives {name} = {value}, but a share lies between 0 and 1.")
        for name, value in self._amounts().items():
            if not 0 < value < float("inf"):
                raise RequestError(f"The recipe gives {name} = {value}, but it must be a number above 0.")
        self._check_firing()
        if self.reading.context < 2:
            raise RequestError("The recipe reads one token at a time. Let context be 2 at least; 128 is a good choice.")
        if self.layers is not None and (not self.layers or sorted(set(self.layers)) != list(self.layers)):
            raise RequestError(f"The recipe names the layers {self.layers}. Name each once, in ascending order.")

    @property
    def n_steps(self) -> int:
        """How many steps that makes."""
        return max(1, self.n_tokens // self.batch)

    def _counts(self) -> dict[str, int]:
        return {
            "width": self.width,
            "n_tokens": self.n_tokens,
            "batch": self.batch,
            "sequences": self.reading.sequences,
            "reuse": self.reading.reuse,
            "pool_bytes": self.reading.pool_bytes,
            "revival after": self.revival.after,
            "revival firing": self.revival.firing,
            "revival rows": self.revival.rows,
        }

    def _shares(self) -> dict[str, float]:
        how = self.schedule
        return {"warmup": how.warmup, "decay": how.decay, "penalty warm-up": how.penalty_warmup}

    def _amounts(self) -> dict[str, float]:
        found = {"learning rate": self.schedule.learning_rate, "clip": self.schedule.clip}
        match self.sparsity:
            case L1(strength=strength):
                found |= {"strength": strength}
            case L0(strength=strength, bandwidth=bandwidth):
                found |= {"strength": strength, "bandwidth": bandwidth}
            case _:
                pass
        return found

    def _check_firing(self) -> None:
        if isinstance(self.sparsity, TopK | BatchTopK) and not 1 <= self.sparsity.k <= self.width:
            raise RequestError(
                f"The recipe lets {self.sparsity.k} of {self.width} features fire. Let k lie between 1 and the width."
            )
        if isinstance(self.sparsity, TopK) and self.sparsity.keep_negative:
            raise RequestError("Features that fire below zero are not trained. Leave keep_negative out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one dictionary of the set reads and writes."""

    read: Site
    """Its input."""
    writes: tuple[Site, ...]
    """Its outputs, its own layer first."""
    skip: bool
    """Whether it has a skip connection."""


def parts_of(recipe: Recipe, model: Model) -> tuple[Part, ...]:
    """One part for each layer of this model that the recipe asks for."""
    layers = tuple(range(model.n_layers)) if recipe.layers is None else recipe.layers
    beyond = [layer for layer in layers if not 0 <= layer < model.n_layers]
    if beyond:
        raise RequestError(
            f"The recipe asks for layer {beyond[0]}, but {model.name} has layers 0 to {model.n_layers - 1}."
        )
    match recipe.wiring:
        case Autoencoder(site=kind):
            ends = [(Site(layer, kind), (Site(layer, kind),)) for layer in layers]
        case CrossLayer(reads=reads, writes=writes):
            ends = [
                (Site(layer, reads), tuple(Site(later, writes) for later in layers if later >= layer))
                for layer in layers
            ]
        case PerLayer(reads=reads, writes=writes) | Skip(reads=reads, writes=writes):
            ends = [(Site(layer, reads), (Site(layer, writes),)) for layer in layers]
    for read, writes in ends:
        if {read.kind, writes[0].kind} & {"pattern", "head_out"}:
            raise RequestError(f"A dictionary cannot read or write {read}: it is no place in the stream.")
    skip = isinstance(recipe.wiring, Skip)
    return tuple(Part(read=read, writes=writes, skip=skip) for read, writes in ends)


def recipe_to_json(recipe: Recipe) -> Json:
    """Everything that a recipe says, with the names of its choices."""
    value: dict[str, Json] = asdict(recipe)
    value["wiring"] = {"name": type(recipe.wiring).__name__, **asdict(recipe.wiring)}
    value["sparsity"] = {"name": type(recipe.sparsity).__name__, **asdict(recipe.sparsity)}
    return parse_json(canonical_json(value, what="The recipe"), what="The recipe")  # tuples become lists
