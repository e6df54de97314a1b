"""Our ``train`` against eai-sparsify's trainer: tokens a second and the quality reached, on one machine in one run.

Both sides train a TopK transcoder for each of the first layers of SmolLM2, of the same width and k, with Adam, on the
same sequences, as many of them a step, each side in a fresh process; runs alternate.

- equal work: every token is read by the model for one step (``reuse=1``) and all is float32, which is what
  eai-sparsify computes in on a processor
- our defaults: bfloat16 products, each token trained on four times (``reuse=4``)
- timed: steps past the warm-up, the model's forward passes included; starting Python, opening weights, tokenising,
  choosing the first weights and the first filling of the pool are not
- quality: the fraction of variance unexplained on held-out sequences after as many tokens on each side; each side has
  the learning rate that was best for it

eai-sparsify trains on all tokens but those of certain ids, ours on all but the first of a sequence. Each sequence
begins with the end-of-text token, so that both train on the same ones.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from tokenizers import Tokenizer, processors
from torch import nn

from benchmarks.machine import describe
from benchmarks.process import ROOT, start
from benchmarks.results import Result, keep, note, show
from benchmarks.training_order import TrainingJob, TrainingOrder
from benchmarks.training_quality import TOKENS
from circuitwise.cache import cache_folder
from circuitwise.errors import RequestError
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.model.quiet import quiet
from circuitwise.training.packing import pack

SPARSIFY = ROOT / ".venv-sparsify" / "bin" / "python"
"""The peer's interpreter, made by ``make .venv-sparsify/.installed``."""
BARS = {"speed_ratio": 1.5}
"""What is promised of equal work: at least."""
START = "<|endoftext|>"
"""The token that each sequence begins with."""
SPARE = 8
"""So many steps' worth of sequences more than the longest run needs: the pool looks ahead."""
LAYOUT = 1
"""Raised whenever the same job would be written differently."""

JOBS: Mapping[str, TrainingJob] = {
    job.name: job
    for job in (
        TrainingJob(name="smollm2", n_layers=4, width=2048, k=48),
        TrainingJob(name="tiny", n_layers=1, width=128, k=4, n_warm=1, n_timed=3, n_quality=4, n_heldout=4),
    )
}
"""The jobs by name; ``tiny`` tries the benchmark itself."""


def orders_of(job: TrainingJob, folder: Path, n_threads: int) -> dict[str, TrainingOrder]:
    """What is run in turn: ours and the peer with equal work, and ours with its defaults."""
    ours = TrainingOrder(
        folder=str(folder),
        job=job,
        n_steps=job.n_warm + job.n_timed,
        precision="float32",
        reuse=1,
        learning_rate=2e-3,
        n_threads=n_threads,
    )
    return {
        "ours": ours,
        "peer": dataclasses.replace(ours, learning_rate=4e-3),
        "defaults": dataclasses.replace(ours, precision="bfloat16", reuse=4),
    }


def measure(job: TrainingJob, *, n_pairs: int, n_threads: int, root: Path | None = None) -> Result:
    """Run both sides alternately and put together what was measured."""
    if not SPARSIFY.is_file():
        name = SPARSIFY.parents[1].relative_to(ROOT)
        raise RequestError(f"eai-sparsify has no environment here ({name}). Run `make {name}/.installed`.")
    note(f"{job.name}: preparing model and text")
    orders = orders_of(job, prepare(job, root), n_threads)
    rounds = [_run_all(orders, f"pair {number + 1} of {n_pairs}") for number in range(n_pairs)]
    longer = {side: dataclasses.replace(order, n_steps=job.n_quality) for side, order in orders.items()}
    quality = _run_all(longer, "quality")
    return put_together(job, rounds, quality, orders, n_threads)


def prepare(job: TrainingJob, root: Path | None = None) -> Path:
    """The folder with the model, the text and its sequences: made now, or found where it was made before."""
    described = json.dumps(dataclasses.asdict(job) | {"layout": LAYOUT}, sort_keys=True)
    parent = cache_folder() / "benchmarks" if root is None else root
    folder = parent / f"training-{job.name}-{hashlib.sha256(described.encode()).hexdigest()[:8]}"
    if not folder.is_dir():
        partial = parent / f".{folder.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "model").mkdir(parents=True)
        _write(job, partial)
        partial.rename(folder)
    return folder


def _write(job: TrainingJob, folder: Path) -> None:
    _write_model(load_model("smollm2", device="cpu"), job.n_layers, folder / "model")
    (folder / "text.txt").write_text(python_text(2_000_000), "utf-8")
    model = load_model(folder / "model", device="cpu")
    sequences = pack(model, folder / "text.txt", context=job.context, seed=0, path=folder / "packed.safetensors")
    n_train = (max(job.n_quality, job.n_warm + job.n_timed) + SPARE) * job.sequences
    if len(sequences.ids) < n_train + job.n_heldout:
        raise RequestError(f"The text has {len(sequences.ids)} sequences; {n_train + job.n_heldout} are needed.")
    tensors = {
        "train": sequences.take(0, n_train),
        "heldout": sequences.take(len(sequences.ids) - job.n_heldout, job.n_heldout),
    }
    safetensors.torch.save_file(tensors, folder / TOKENS)


def _write_model(model: Model, n_layers: int, folder: Path) -> None:
    """The first layers of a model, and its tokenizer with a special token before each text."""
    layers = model.module.get_submodule("model.layers")
    assert isinstance(layers, nn.ModuleList) and model.tokenizer is not None
    model.module.get_submodule("model").layers = layers[:n_layers]
    model.config.num_hidden_layers = n_layers
    with quiet():
        model.module.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = [(START, tokenizer.token_to_id(START))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=special)
    tokenizer.save(str(folder / "tokenizer.json"))


def python_text(n_characters: int) -> str:
    """The beginning of the standard library's own source, which every machine has."""
    files = sorted(Path(os.__file__).parent.glob("*.py"))
    return "\n\n".join(file.read_text("utf-8") for file in files)[:n_characters]


def _run_all(orders: Mapping[str, TrainingOrder], what: str) -> dict[str, Any]:
    reports: dict[str, Any] = {}
    for side, order in orders.items():
        reports[side] = start("training_peer", order, SPARSIFY) if side == "peer" else start("training_ours", order)
        told = reports[side]
        fvu = statistics.mean(told["fvu"].values())
        note(f"{what}: {side:8} {told['tokens_per_second']:8.0f} tokens/s, FVU {fvu:.3f}")
    return reports


def put_together(
    job: TrainingJob,
    rounds: Sequence[Mapping[str, Any]],
    quality: Mapping[str, Any],
    orders: Mapping[str, TrainingOrder],
    n_threads: int,
) -> Result:
    """What all runs say together."""

    def ratios(side: str, what: str) -> list[float]:
        return [one[side][what] / one["peer"][what] for one in rounds]

    speeds, defaults = ratios("ours", "tokens_per_second"), ratios("defaults", "tokens_per_second")
    return {
        "speed_ratio": statistics.median(speeds),
        "default_speed_ratio": statistics.median(defaults),
        "speed_range": [min(speeds), max(speeds)],
        "default_speed_range": [min(defaults), max(defaults)],
        "memory_ratio": statistics.median(ratios("ours", "peak_bytes")),
        "fvu": {side: statistics.mean(told["fvu"].values()) for side, told in quality.items()},
        "quality_tokens": job.n_quality * job.batch,
        "quality": dict(quality),
        "pairs": [dict(one) for one in rounds],
        "settings": {
            side: {"precision": order.precision, "reuse": order.reuse, "learning_rate": order.learning_rate}
            for side, order in orders.items()
        },
        "job": dataclasses.asdict(job),
        "machine": dataclasses.asdict(describe(n_threads)),
    }


def draw(result: Result) -> str:
    """A result as a table for people."""
    lines = ["           tokens/s   peak memory"]
    for pair in result["pairs"]:
        for side, told in pair.items():
            lines.append(f"{side:8} {told['tokens_per_second']:10.0f} {told['peak_bytes'] / 1e9:10.2f} GB")
    low, high = result["speed_range"]
    fvu, n_tokens = result["fvu"], result["quality_tokens"]
    lines += [
        "",
        f"equal work          {result['speed_ratio']:.2f}x as fast (median; {low:.2f} to {high:.2f})",
        f"with our defaults   {result['default_speed_ratio']:.2f}x",
        f"FVU, held out       ours {fvu['ours']:.3f}, peer {fvu['peer']:.3f}, our defaults {fvu['defaults']:.3f}, "
        f"after {n_tokens:,} tokens",
    ]
    return "\n".join(lines)


def report(result: Result, *, keep_it: bool) -> None:
    """Show a result, and keep it if so asked."""
    show(draw(result))
    if keep_it:
        name = "training" if result["job"]["name"] == "smollm2" else f"training-{result['job']['name']}"
        note(f"kept in {keep(name, result).relative_to(ROOT)}")
