"""Per-layer and cross-layer transcoders of stories15M: how good they are after less than 40 minutes on two cores.

    stories that the model wrote -> three trainings on the same tokens -> quality on other stories

Time is the processor's, user and system together, since other programs may use the machine, too: 40 minutes of two
cores are 4,800 seconds. Writing the stories is not part of it.
"""

import dataclasses
import json
import resource
from collections.abc import Mapping
from pathlib import Path

import torch

from benchmarks.machine import describe
from benchmarks.results import Result, keep, note, show
from benchmarks.storytelling import write_stories
from circuitwise.cache import cache_folder
from circuitwise.dictionaries.activations import BatchTopK
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.quality import Cut, Quality, QualityBudget, measure_quality
from circuitwise.replacement import Replacement
from circuitwise.storage import write_json
from circuitwise.training import CrossLayer, PerLayer, Progress, Recipe, Schedule, train

BARS = {"cpu_seconds": 4800.0, "fvu": 0.16, "firing": 48.0, "recovered": 0.90}
"""What is promised of the last set: at most, at most, at most, at least."""
_RECIPE = Recipe(width=4096, sparsity=BatchTopK(46), n_tokens=1_600_000, schedule=Schedule(learning_rate=3e-3))
RECIPES: Mapping[str, Recipe] = {
    "per-layer": dataclasses.replace(_RECIPE, wiring=PerLayer()),
    "cross-layer": dataclasses.replace(_RECIPE, wiring=CrossLayer()),
    "per-layer, longer": dataclasses.replace(_RECIPE, wiring=PerLayer(), n_tokens=2 * _RECIPE.n_tokens),
}
"""What is trained: two with as many features, as many of them firing, on the same tokens, and the one with the bars."""
HELD_OUT = QualityBudget(tokens=32_768, spliced=8192, prompts=Cut(number=20, tokens=24), rows=4096)
"""What they are measured on."""
TRAINING_TOKENS, HELD_OUT_TOKENS = 300_000, 100_000
"""How much the model writes."""
HELD_OUT_SEED = 1_000_000_007


def measure(*, n_threads: int, root: Path | None = None) -> Result:
    """Write stories, train both sets, measure them. What lies in the folder from an earlier run is used again."""
    torch.set_num_threads(n_threads)
    folder = cache_folder() / "benchmarks" / "stories" if root is None else root
    folder.mkdir(parents=True, exist_ok=True)
    text = write_stories(folder / "stories.jsonl", n_tokens=TRAINING_TOKENS, seed=0)
    other = write_stories(folder / "held-out.jsonl", n_tokens=HELD_OUT_TOKENS, seed=HELD_OUT_SEED)
    model = load_model("stories15m", device="cpu")
    found: Result = {"machine": dataclasses.asdict(describe(n_threads)), "bars": BARS, "sets": {}}
    for name, recipe in RECIPES.items():
        transcoders, seconds = train_one(model, text, recipe, folder / name)
        quality = measure_quality(Replacement(model, transcoders), other, how=HELD_OUT)
        found["sets"][name] = _summary(recipe, quality, seconds)
        note(f"{name}: {found['sets'][name]}")
    return found


def report(result: Result, *, keep_it: bool) -> None:
    """Show the figures and keep them."""
    for name, found in result["sets"].items():
        numbers = (f"{key} {value:.3f}" for key, value in found.items() if isinstance(value, float))
        show(f"{name}: {', '.join(numbers)}")
    if keep_it:
        note(f"kept in {keep('stories', result)}")


def train_one(model: Model, text: Path, recipe: Recipe, folder: Path) -> tuple[Transcoders, float]:
    """The set and the processor seconds that its training took, over all the times it was taken up."""
    kept = folder / "seconds.json"
    before = float(json.loads(kept.read_text("utf-8"))) if kept.is_file() else 0.0
    started = _cpu_seconds()

    def noted(progress: Progress) -> None:
        write_json(kept, before + _cpu_seconds() - started)
        note(f"{folder.name}: step {progress.step}/{progress.n_steps}, FVU {progress.mean_fvu:.3f}")

    there = (folder / "set").is_dir()
    folder.mkdir(exist_ok=True)
    transcoders = train(model, text, recipe, folder, progress=noted, seconds_between_reports=30)
    seconds = before if there else before + _cpu_seconds() - started
    write_json(kept, seconds)
    return transcoders, seconds


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _summary(recipe: Recipe, quality: Quality, seconds: float) -> Result:
    assert quality.graphs is not None
    return {
        "width": recipe.width,
        "n_tokens": recipe.n_tokens,
        "cpu_seconds": seconds,
        "fvu": quality.mean_fvu,
        "firing": quality.mean_firing,
        "dead": quality.mean_dead,
        "recovered": quality.mean_recovered,
        "recovered_together": quality.together.recovered.value,
        "replacement": quality.graphs.replacement.value,
        "completeness": quality.graphs.completeness.value,
        "layers": quality.to_json()["layers"],
    }
