"""What ``circuitwise trace`` explains, how precisely, and where all of it came from."""

from collections.abc import Mapping

import torch

from circuitwise.attribution.attribute import Budget
from circuitwise.cli.opening import SEED
from circuitwise.errors import RequestError
from circuitwise.model.fingerprint import fingerprint
from circuitwise.model.model import Model
from circuitwise.model.tokens import Promptlike, tokenize
from circuitwise.replacement import Replacement
from circuitwise.storage import Provenance, Source
from circuitwise.targets import Difference, FeatureTarget, Salient, Target, Token, resolve_position, token_id
from circuitwise.vocabulary import Feature

WALK_DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
}
"""The precisions that rows can be walked in."""


def targets_of(
    tokens: list[str] | None, difference: tuple[str, str] | None, features: list[str] | None
) -> list[Target]:
    """What is to be explained; the likeliest tokens where nothing is named."""
    targets: list[Target] = [Token(text) for text in tokens or []]
    if difference is not None:
        targets.append(Difference(*difference))
    for text in features or []:
        feature, pos = parse_place(text)
        targets.append(FeatureTarget(feature, pos))
    if len(set(targets)) < len(targets):
        raise RequestError("A target was named twice. Name each once.")
    return targets or [Salient()]


def parse_place(text: str) -> tuple[Feature, int]:
    """The feature and position that ``L12F345@4`` names."""
    name, at, pos = text.partition("@")
    if not at or not pos.removeprefix("-").isdecimal():
        raise RequestError(f"“{text}” is no feature at a position. Write layer, index and position, as in L12F345@4.")
    return Feature.parse(name), int(pos)


def walk_dtype(name: str) -> torch.dtype:
    """The precision of that name."""
    if name not in WALK_DTYPES:
        raise RequestError(f"Rows cannot be walked in “{name}”. Choose {', '.join(WALK_DTYPES)}.")
    return WALK_DTYPES[name]


def check_prompt(model: Model, prompt: Promptlike, targets: list[Target], pos: int) -> None:
    """Refuse a prompt, position or target that the model cannot have, before any dictionary is loaded."""
    resolve_position(pos, len(tokenize(model, prompt)))
    for target in targets:
        match target:
            case Token(token=token):
                token_id(model, token)
            case Difference(correct=correct, incorrect=incorrect):
                token_id(model, correct)
                token_id(model, incorrect)
            case _:
                pass


def provenance_of(replacement: Replacement, budget: Budget, *, misfit: bool) -> Provenance:
    """Where a graph of this replacement comes from."""
    model, transcoders = replacement.model, replacement.transcoders
    checksum = transcoders.checksum
    return Provenance.now(
        model=Source(name=model.name, revision=model.revision, sha256=fingerprint(model)),
        dictionary=Source(name=transcoders.name, sha256=checksum),
        device=model.device,
        dtype=budget.dtype,
        seeds={} if checksum else {"dictionaries": SEED},
        misfit=misfit,
    )
