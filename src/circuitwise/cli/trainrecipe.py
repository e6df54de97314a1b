"""What the options of ``circuitwise train`` mean for the recipe."""

import re
from pathlib import Path

from circuitwise.dictionaries.activations import BatchTopK, TopK
from circuitwise.errors import RequestError
from circuitwise.training.recipe import (
    L0,
    L1,
    Autoencoder,
    CrossLayer,
    PerLayer,
    Skip,
    Sparsity,
    Wiring,
)
from circuitwise.training.text import HubText, Text
from circuitwise.vocabulary import SITE_KINDS

UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
"""What a letter behind a number of tokens stands for."""
HUB = "hub:"
"""What stands before the name of a data set on the hub."""


def wiring_of(kind: str, site: str) -> Wiring:
    """What the dictionaries of a kind read and write."""
    match kind:
        case "transcoder":
            return PerLayer()
        case "skip":
            return Skip()
        case "cross-layer":
            return CrossLayer()
        case "autoencoder":
            if site not in SITE_KINDS:
                raise RequestError(f"There is no site “{site}”. Choose {', '.join(SITE_KINDS)}.")
            return Autoencoder(site)
        case other:
            raise RequestError(
                f"“{other}” is no kind of dictionary. Choose transcoder, skip, cross-layer or autoencoder."
            )


def sparsity_of(activation: str, k: int, strength: float | None) -> Sparsity:
    """What keeps the features of that activation few."""
    match activation:
        case "batchtopk":
            return BatchTopK(k)
        case "topk":
            return TopK(k)
        case "relu":
            return L1() if strength is None else L1(strength)
        case "jumprelu":
            return L0() if strength is None else L0(strength)
        case other:
            raise RequestError(f"“{other}” is no activation. Choose batchtopk, topk, relu or jumprelu.")


def text_of(asked: str) -> Text:
    """The text that a path or ``hub:OWNER/NAME:CONFIG:SPLIT`` names."""
    if not asked.startswith(HUB):
        return Path(asked)
    name, *more = asked.removeprefix(HUB).split(":")
    if not name or len(more) > 2:
        raise RequestError(f"“{asked}” names no data set. Write hub:OWNER/NAME, hub:OWNER/NAME:CONFIG:SPLIT or a path.")
    config, split = [*more, "", ""][:2]
    return HubText(name, config or None, split or "train")


def parse_tokens(text: str) -> int:
    """The number that ``20M``, ``500k`` or ``1_000_000`` stands for."""
    found = re.fullmatch(r"(\d[\d_,]*(?:\.\d+)?)\s*([kmb]?)", text.strip().lower())
    if found is None:
        raise RequestError(f"“{text}” is no number of tokens. Write it as 20M, 500k or 1000000.")
    return round(float(re.sub(r"[_,]", "", found[1])) * UNITS[found[2]])


def parse_layers(text: str) -> tuple[int, ...]:
    """The layers that ``0,3,6`` or ``0-5`` names."""
    layers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if found is None:
            raise RequestError(f"“{text}” names no layers. Write them as 0,3,6 or 0-5.")
        layers += range(int(found[1]), int(found[2] or found[1]) + 1)
    return tuple(layers)
