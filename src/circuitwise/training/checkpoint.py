"""Everything that a training needs to go on exactly where it was: one file, written all or nothing.

It holds weights, moments, when features last fired, and scales. Where the text stands, what the pool holds and what is
drawn next follow from the step and the seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from circuitwise.errors import ArtifactError
from circuitwise.storage import Json, read_artifact, write_artifact
from circuitwise.training.learner import Learner
from circuitwise.training.scaling import Scale
from circuitwise.vocabulary import Site

KIND, VERSION = "training", 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A training that was interrupted."""

    step: int
    """Steps taken."""
    history: tuple[Json, ...]
    """Earlier reports."""
    tensors: Mapping[str, Tensor]
    """Everything else."""


def save_checkpoint(
    path: Path,
    learners: Sequence[Learner],
    scales: Mapping[Site, Scale],
    *,
    step: int,
    history: Sequence[Json],
    identity: Mapping[str, Json],
) -> None:
    """Write where the training is; ``identity`` says which training it is."""
    tensors = _scale_tensors(scales)
    for learner in learners:
        tensors |= learner.tensors() | learner.adam.moments()
        for weights, silent in zip(learner.weights, learner.silent, strict=True):
            tensors[f"{weights.part.read.layer}.silent"] = silent
    header: dict[str, Json] = {"step": step, "history": list(history), "identity": dict(identity)}
    write_artifact(path, kind=KIND, version=VERSION, header=header, tensors=tensors)


def read_checkpoint(path: Path, identity: Mapping[str, Json]) -> Checkpoint:
    """What was saved, if it belongs to the same training; the length may be another while nothing depends on it."""
    found = read_artifact(path, kind=KIND, version=VERSION)
    match found.header:
        case {"step": int(step), "history": list(history), "identity": dict(before)}:
            different = sorted(name for name in {*before, *identity} if before.get(name) != identity.get(name))
        case _:
            raise ArtifactError(f"{path} is no checkpoint that this circuitwise knows. Begin again in a new folder.")
    if different == ["recipe"] and _differ_in_length_alone(before["recipe"], identity["recipe"]):
        lengths = _check_level(path, step, before["recipe"], identity["recipe"])
        return Checkpoint(step=step, history=(*history, lengths), tensors=found.tensors)
    if different:
        raise ArtifactError(
            f"{path.parent} holds a training with another {' and another '.join(different)}. "
            "Repeat the command that it began with, or choose a new folder."
        )
    return Checkpoint(step=step, history=tuple(history), tensors=found.tensors)


def restore(learners: Sequence[Learner], checkpoint: Checkpoint) -> None:
    """Put everything back into the learners."""
    moments = {name: tensor for name, tensor in checkpoint.tensors.items() if name.endswith((".mean", ".square"))}
    for learner in learners:
        for name, tensor in learner.tensors().items():
            tensor.copy_(checkpoint.tensors[name])
        learner.adam.restore(moments, checkpoint.step)
        for weights, silent in zip(learner.weights, learner.silent, strict=True):
            silent.copy_(checkpoint.tensors[f"{weights.part.read.layer}.silent"])


def restored_scales(sites: Sequence[Site], checkpoint: Checkpoint, device: torch.device) -> dict[Site, Scale]:
    """The scales as they were measured at the start."""
    tensors = checkpoint.tensors
    return {
        site: Scale(mean=tensors[f"scale.{site}.mean"].to(device), spread=float(tensors[f"scale.{site}.spread"]))
        for site in sites
    }


def _differ_in_length_alone(before: Json, after: Json) -> bool:
    match before, after:
        case dict(), dict():
            return {**before, "n_tokens": None} == {**after, "n_tokens": None}
        case _:
            return False


def _check_level(path: Path, step: int, before: Json, after: Json) -> Json:
    """The change of length, for the history, if rates and prices are at their full size at this step either way."""
    ends: list[int] = []
    for recipe in (before, after):
        match recipe:
            case {
                "n_tokens": int(n_tokens),
                "batch": int(batch),
                "schedule": {
                    "warmup": (int() | float()) as up,
                    "penalty_warmup": (int() | float()) as priced,
                    "decay": (int() | float()) as down,
                },
            }:
                first, last = round(max(up, priced) * (n_tokens // batch)), round((1 - down) * (n_tokens // batch))
            case _:
                raise ArtifactError(f"{path} tells no recipe that this circuitwise knows. Begin again in a new folder.")
        if not first <= step <= last:
            raise ArtifactError(
                f"The training in {path.parent} has taken {step:,} steps, and with {n_tokens:,} tokens its rates are "
                f"level from step {first:,} to {last:,} only: its length can no longer be changed, or not yet. Repeat "
                "the command that it began with."
            )
        ends.append(n_tokens)
    return {"step": step, "n_tokens_before": ends[0], "n_tokens": ends[1]}


def _scale_tensors(scales: Mapping[Site, Scale]) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}
    for site, scale in scales.items():
        named[f"scale.{site}.mean"] = scale.mean
        named[f"scale.{site}.spread"] = torch.tensor(scale.spread, dtype=torch.float64)
    return named
