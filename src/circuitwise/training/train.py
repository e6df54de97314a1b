"""Training a set of dictionaries for a model: all layers from one pass of the model over the text.

    text -> token sequences -> activations of all sites in a pool -> steps on drawn tokens -> dictionaries

The folder holds the tokens, a checkpoint while it trains, and in the end the set and the story of its making:

    text.safetensors            token sequences
    checkpoint.safetensors      while it trains
    training.json               recipe, model, speed and quality over time
    set/                        the dictionaries, for ``load_transcoders``

The same call on the same folder goes on where it was interrupted. On one machine's processor, with the same number of
threads, the result is the same to the bit as without interruption.

Started by ``torchrun``, all processes train one set together; see ``parallel``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import torch

from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.model.fingerprint import fingerprint
from circuitwise.model.model import Model
from circuitwise.storage import Json
from circuitwise.training.checkpoint import Checkpoint, read_checkpoint, restore, restored_scales, save_checkpoint
from circuitwise.training.finishing import SET, check_story, finish, finished_set
from circuitwise.training.learner import Learner
from circuitwise.training.packing import Sequences, pack, sequences_wanted
from circuitwise.training.parallel import company_on
from circuitwise.training.pool import Pool, measure_scales
from circuitwise.training.progress import Pace, Progress, progress_of
from circuitwise.training.recipe import CrossLayer, Part, Recipe, parts_of, recipe_to_json
from circuitwise.training.scaling import Scale
from circuitwise.training.start import blank_weights, start_weights
from circuitwise.training.text import Text
from circuitwise.vocabulary import Site

N_REPORTS = 50
"""About how many reports the story of the training keeps."""
TEXT, CHECKPOINT = "text.safetensors", "checkpoint.safetensors"
"""What lies in the folder while it trains."""

Callback = Callable[[Progress], None]


@torch.no_grad()
def train(
    model: Model,
    text: Text,
    recipe: Recipe,
    folder: Path | str,
    *,
    progress: Callback | None = None,
    seconds_between_reports: float = 1.0,
    seconds_between_checkpoints: float = 600.0,
) -> Transcoders:
    """The trained set, which also lies in the folder; a training that was interrupted goes on.

    ``progress`` is called between two steps, at most once in ``seconds_between_reports``. What it raises
    (KeyboardInterrupt, say) ends the training after a checkpoint was saved.
    """
    target = Path(folder).expanduser()
    parts = parts_of(recipe, model)
    identity: dict[str, Json] = {"recipe": recipe_to_json(recipe), "model": fingerprint(model)}
    if (target / SET).exists():
        check_story(target, identity)
        return finished_set(target)
    target.mkdir(parents=True, exist_ok=True)
    prepare_text(model, text, recipe, target)
    training = _begin(model, text, recipe, target, parts, identity)
    training.run(progress or _nothing, seconds_between_reports, seconds_between_checkpoints)
    return finish(target, model, training.learners, training.pool, identity, training.history)


def prepare_text(
    model: Model,
    text: Text,
    recipe: Recipe,
    folder: Path | str,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Tokenise the text of a training into its folder, if that is still to be done; ``train`` does so by itself.

    Reading stops when there is enough for the recipe. ``progress`` is told how many tokens there are, and how many are
    wanted at most.
    """
    target, company = Path(folder).expanduser(), company_on(model.device)
    if company.rank == 0 and not (target / SET).exists():
        target.mkdir(parents=True, exist_ok=True)
        _sequences(model, text, recipe, target, progress)
    company.wait()


def _sequences(
    model: Model, text: Text, recipe: Recipe, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Sequences:
    return pack(
        model,
        text,
        context=recipe.reading.context,
        seed=recipe.seed,
        path=folder / TEXT,
        n_wanted=sequences_wanted(recipe),
        progress=progress,
    )


@dataclass(slots=True, kw_only=True, eq=False)
class _Training:
    """A training between two steps."""

    folder: Path
    """Where it is kept."""
    identity: Mapping[str, Json]
    """Which training it is."""
    learners: tuple[Learner, ...]
    """What is trained."""
    pool: Pool
    """What it is trained on."""
    step: int = 0
    """Steps taken."""
    history: list[Json] = field(default_factory=list[Json])
    """Some of the reports."""

    def run(self, progress: Callback, between_reports: float, between_checkpoints: float) -> None:
        """Take all steps that are left; the first process reports and saves."""
        first, started, n_steps = self.step, perf_counter(), self.pool.recipe.n_steps
        reported = saved = started
        model_seconds = self.pool.seconds
        while self.step < n_steps:
            self._take_step()
            now = perf_counter()
            last = self.step == n_steps
            if last or now - reported >= between_reports:
                pace = Pace(
                    n_steps=self.step - first, seconds=now - started, model_seconds=self.pool.seconds - model_seconds
                )
                self._report(progress_of(self.learners, self.step, pace), progress)
                reported = now
            if not last and now - saved >= between_checkpoints:
                self.save()
                saved = perf_counter()
            if not self.pool.company.all_go_on(True):
                raise KeyboardInterrupt("The first process ended the training.")

    def save(self) -> None:
        """Write a checkpoint, once for all processes."""
        if self.pool.company.rank > 0:
            return
        save_checkpoint(
            self.folder / CHECKPOINT,
            self.learners,
            self.pool.scales,
            step=self.step,
            history=self.history,
            identity=self.identity,
        )

    def _take_step(self) -> None:
        places = self.pool.mine(self.pool.draw(self.step))
        for learner in self.learners:
            learner.learn({site: self.pool.at(site, places) for site in learner.read_and_written()}, self.step)
        self.step += 1

    def _report(self, progress: Progress, callback: Callback) -> None:
        if self.step * N_REPORTS >= (len(self.history) + 1) * progress.n_steps or self.step == progress.n_steps:
            self.history.append(progress.to_json())
        if self.pool.company.rank > 0:
            return
        try:
            callback(progress)
        except BaseException:
            self.save()
            self.pool.company.all_go_on(False)
            raise


def _begin(
    model: Model, text: Text, recipe: Recipe, folder: Path, parts: tuple[Part, ...], identity: Mapping[str, Json]
) -> _Training:
    """A training at its start, or where its checkpoint left it."""
    path = folder / CHECKPOINT
    checkpoint = read_checkpoint(path, identity) if path.exists() else None
    sequences, company = _sequences(model, text, recipe, folder), company_on(model.device)
    sites = sorted({site for part in parts for site in (part.read, *part.writes)})
    pool = Pool(model, sequences, _scales(model, sequences, sites, recipe, checkpoint), recipe, company)
    if checkpoint is None:
        weights = [start_weights(part, pool, recipe) for part in parts]
    else:
        weights = [blank_weights(part, recipe, model.d_model, model.device) for part in parts]
    groups = [tuple(weights)] if isinstance(recipe.wiring, CrossLayer) else [(each,) for each in weights]
    learners = [Learner(group, recipe, company) for group in groups]
    training = _Training(folder=folder, identity=identity, learners=tuple(learners), pool=pool)
    if checkpoint is not None:
        restore(learners, checkpoint)
        training.step, training.history = checkpoint.step, list(checkpoint.history)
    return training


def _scales(
    model: Model, sequences: Sequences, sites: list[Site], recipe: Recipe, checkpoint: Checkpoint | None
) -> dict[Site, Scale]:
    if checkpoint is None:
        return measure_scales(model, sequences, sites, recipe)
    return restored_scales(sites, checkpoint, model.device)


def _nothing(_: Progress) -> None:
    """Called where nobody listens."""
