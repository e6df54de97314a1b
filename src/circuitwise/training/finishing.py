"""From trained weights to the set that others load, and the story of its making."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from circuitwise.dictionaries.activations import BatchTopK
from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.dictionaries.loading import TRAINED, load_transcoders
from circuitwise.dictionaries.native import save_transcoders
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import RequestError
from circuitwise.model.model import Model
from circuitwise.storage import Json, Provenance, Source, write_json
from circuitwise.storage.jsontext import parse_json
from circuitwise.training.calibration import calibrate, sample_places
from circuitwise.training.learner import Learner
from circuitwise.training.pool import Pool
from circuitwise.training.recipe import Recipe
from circuitwise.training.scaling import unscaled

SET, STORY = TRAINED, "training.json"
"""The set and its story, in the folder of the training."""
PARTIAL = ".set-partial"
"""Where the set is written before it is whole."""


def finish(
    folder: Path,
    model: Model,
    learners: Sequence[Learner],
    pool: Pool,
    identity: Mapping[str, Json],
    history: Sequence[Json],
) -> Transcoders:
    """Write the set in the model's own scale, once for all processes; what only the training needed goes."""
    transcoders = Transcoders(
        name=folder.name, format="native", layers=tuple(_dictionaries(learners, pool)), model_name=model.name
    )
    if pool.company.rank == 0:
        _write(folder, model, transcoders, pool.recipe, identity, history)
    pool.company.wait()
    return finished_set(folder)


def _write(
    folder: Path,
    model: Model,
    transcoders: Transcoders,
    recipe: Recipe,
    identity: Mapping[str, Json],
    history: Sequence[Json],
) -> None:
    provenance = Provenance.now(
        model=Source(name=model.name, revision=model.revision, sha256=str(identity["model"])),
        device=model.device,
        dtype=model.dtype,
        seeds={"training": recipe.seed},
    )
    partial = folder / PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    save_transcoders(transcoders, partial, provenance=provenance)
    story: dict[str, Json] = {"identity": identity, "history": history, "provenance": provenance.to_json()}
    write_json(folder / STORY, story)
    os.replace(partial, folder / SET)
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def finished_set(folder: Path) -> Transcoders:
    """The set in the folder of a finished training."""
    return load_transcoders(folder / SET)


def check_story(folder: Path, identity: Mapping[str, Json]) -> None:
    """Refuse a folder in which another training was finished."""
    story = folder / STORY
    if story.exists():
        match parse_json(story.read_text("utf-8"), what=str(story)):
            case {"identity": before} if before == identity:
                return
            case _:
                pass
    raise RequestError(
        f"{folder} holds a set already, and not one that was trained with this recipe on this model. "
        "Choose a new folder."
    )


def _dictionaries(learners: Sequence[Learner], pool: Pool) -> list[Dictionary]:
    sparsity = pool.recipe.sparsity
    places = sample_places(pool.n_tokens, pool.model.device)
    found: list[Dictionary] = []
    for weights in (each for learner in learners for each in learner.weights):
        floor = None
        if isinstance(sparsity, BatchTopK):
            floor = calibrate(weights, pool.gather(weights.part.read, places), sparsity.k)
        found.append(unscaled(weights, pool.scales, sparsity, floor))
    return found
