"""eai-sparsify's side of the training: its own trainer on the same sequences, with nothing of it changed.

Runs in the peer's own environment, which has no circuitwise. Its packages are imported by name, so that this file can
be checked where they are not installed.
"""

import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks.process import answer, peak_resident
from benchmarks.training_order import Trained, TrainingOrder, read_training_order, speed
from benchmarks.training_quality import read_sequences, unexplained, usual

WARMUP = 0.02
"""Share of the steps in which the learning rate rises, as in our recipe."""


class Listed(Dataset[dict[str, Tensor]]):
    """Sequences in their order, and the times at which the first of each step was asked for."""

    def __init__(self, ids: Tensor, sequences: int) -> None:
        self.ids, self.sequences = ids, sequences
        self.asked: list[float] = []

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        if place % self.sequences == 0:
            self.asked.append(time.perf_counter())
        return {"input_ids": self.ids[place]}


def settings_of(order: TrainingOrder, first: int, folder: str) -> Any:
    """What its trainer is told. Tokens are left out by id: the special first one of each sequence."""
    sparsify: Any = import_module("sparsify")
    job = order.job
    return sparsify.TrainConfig(
        sae=sparsify.SparseCoderConfig(num_latents=job.width, k=job.k, transcode=True),
        batch_size=job.sequences,
        optimizer="adam",
        lr=order.learning_rate,
        lr_warmup_steps=max(1, round(WARMUP * order.n_steps)),
        hookpoints=[f"layers.{layer}.mlp" for layer in range(job.n_layers)],
        exclude_tokens=[first],
        save_every=10**9,
        save_dir=folder,
        log_to_wandb=False,
    )


def seen_at(model: Any, names: list[str], ids: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """What goes into these modules and what comes out on these sequences, without the first position."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(_: Any, inputs: Any, output: Any) -> None:
            found[name] = (inputs[0][:, 1:].flatten(0, 1), output[:, 1:].flatten(0, 1))

        return hook

    handles = [model.get_submodule(name).register_forward_hook(watch(name)) for name in names]
    model(ids)
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def quality(model: Any, coders: dict[str, Any], heldout: Tensor) -> dict[str, float]:
    """The fraction of variance unexplained of every layer, without the first position and what is as odd."""
    found: dict[str, float] = {}
    for name, (x, y) in seen_at(model, list(coders), heldout).items():
        kept = usual(y)
        found[name.split(".")[1]] = unexplained(y[kept], coders[name](x[kept], y[kept]).sae_out)
    return found


def main(order: TrainingOrder) -> None:
    """Run an order and report."""
    torch.set_num_threads(order.n_threads)
    transformers: Any = import_module("transformers")
    sparsify: Any = import_module("sparsify")
    model = transformers.AutoModel.from_pretrained(Path(order.folder) / "model", dtype=torch.float32)
    ids, heldout = read_sequences(order.folder)
    listed = Listed(ids[: order.n_steps * order.job.sequences], order.job.sequences)
    with TemporaryDirectory() as scratch:
        trainer = sparsify.Trainer(settings_of(order, int(ids[0, 0]), scratch), listed, model)
        trainer.fit()
    tokens_per_second, seconds = speed(listed.asked, order)
    answer(
        Trained(
            tokens_per_second=tokens_per_second,
            seconds=seconds,
            peak_bytes=peak_resident(),
            fvu=quality(model, trainer.saes, heldout),
        )
    )


if __name__ == "__main__":
    main(read_training_order(sys.argv))
