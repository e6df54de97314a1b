"""Our side of the training: one call of ``train``."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.process import answer, peak_resident
from benchmarks.training_order import Trained, TrainingOrder, read_training_order, speed
from benchmarks.training_quality import read_sequences, unexplained, usual
from circuitwise.dictionaries.activations import TopK
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.model.forward import run
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.model.tokens import Padded
from circuitwise.training.recipe import Reading, Recipe, Schedule
from circuitwise.training.train import train

POOLED = 4
"""The pool holds so many steps' worth of sequences, the least that it can; with every step new ones are computed."""


def recipe_of(order: TrainingOrder) -> Recipe:
    """The recipe for an order."""
    job = order.job
    bytes_a_step = job.batch * 2 * job.n_layers * 576 * 2
    return Recipe(
        sparsity=TopK(job.k),
        width=job.width,
        n_tokens=order.n_steps * job.batch,
        batch=job.batch,
        schedule=Schedule(learning_rate=order.learning_rate),
        reading=Reading(
            context=job.context, sequences=job.sequences, pool_bytes=POOLED * bytes_a_step, reuse=order.reuse
        ),
        precision=order.precision,
    )


def quality(model: Model, trained: Transcoders, heldout: torch.Tensor) -> dict[str, float]:
    """The fraction of variance unexplained of every layer, without the first position and what is as odd."""
    sites = sorted({site for each in trained for site in (each.read, *each.writes)})
    seen = run(model, Padded(heldout, torch.ones_like(heldout, dtype=torch.bool)), read=sites, logits="none").sites
    flat = {site: value[:, 1:].flatten(0, 1).float() for site, value in seen.items()}
    rebuilt = trained.reconstruct([flat[each.read] for each in trained])
    found: dict[str, float] = {}
    for each in trained:
        y = flat[each.writes[0]]
        kept = usual(y)
        found[str(each.layer)] = unexplained(y[kept], rebuilt[each.writes[0]][kept])
    return found


def main(order: TrainingOrder) -> None:
    """Run an order and report."""
    torch.set_num_threads(order.n_threads)
    folder = Path(order.folder)
    model = load_model(folder / "model", device="cpu")
    ends: list[float] = []
    with TemporaryDirectory() as scratch:
        trained = train(
            model,
            folder / "text.txt",
            recipe_of(order),
            Path(scratch) / "set",
            progress=lambda _: ends.append(time.perf_counter()),
            seconds_between_reports=0.0,
        )
        tokens_per_second, seconds = speed(ends, order)
        _, heldout = read_sequences(folder)
        answer(
            Trained(
                tokens_per_second=tokens_per_second,
                seconds=seconds,
                peak_bytes=peak_resident(),
                fvu=quality(model, trained, heldout),
            )
        )


if __name__ == "__main__":
    main(read_training_order(sys.argv))
