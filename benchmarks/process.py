"""One process, one whole run: what it is told, what it reports, how much memory it took.

Both sides are started alike: a fresh interpreter, the same number of threads, no network. An order goes in as JSON, the
report comes out as the last line of JSON. Nothing but Python's own library is imported here: the peer's process reads
this module, too.
"""

import dataclasses
import json
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.training_order import TrainingOrder

ROOT = Path(__file__).parents[1]
"""The repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one process is asked to run."""

    folder: str
    """Where the job's weights lie."""
    n_tokens: int
    """How much of the prompt is used."""
    n_rows: int
    """Features that become nodes."""
    batch: int
    """Rows that are computed together."""
    n_threads: int
    """Threads of torch."""
    backend: str = "transformerlens"
    """What the peer runs the model with."""
    rows_file: str | None = None
    """Where to write the rows afterwards, for comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one whole run took."""

    seconds: float
    """From the prompt's ids to the finished graph."""
    loading_seconds: float
    """Opening model and dictionaries before that; not part of the comparison."""
    peak_bytes: int
    """The most resident memory of the process, weights included."""
    loaded_bytes: int
    """The most resident memory before the run began."""
    n_active: int
    """Features that fired."""
    n_rows: int
    """Features that became nodes."""


def read_order(arguments: list[str]) -> Order:
    """The order that this process was started with."""
    return Order(**json.loads(arguments[1]))


def read_prompt(order: Order) -> list[int]:
    """The token ids of the prompt."""
    described: dict[str, Any] = json.loads((Path(order.folder) / "job.json").read_text("utf-8"))
    return [int(token) for token in described["tokens"]][: order.n_tokens]


def answer(report: object) -> None:
    """Print a report as the last line of this process."""
    assert dataclasses.is_dataclass(report) and not isinstance(report, type)
    sys.stdout.write("\n" + json.dumps(dataclasses.asdict(report)) + "\n")
    sys.stdout.flush()


def start(module: str, order: Order | TrainingOrder, python: str | Path = sys.executable) -> dict[str, Any]:
    """Run a module of this package in a fresh process, and return its report."""
    threads = str(order.n_threads)
    environment = os.environ | {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [str(python), "-m", f"benchmarks.{module}", json.dumps(dataclasses.asdict(order))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        last = "\n".join(done.stderr.strip().splitlines()[-20:])
        raise RuntimeError(f"benchmarks.{module} ended with code {done.returncode} and no report:\n{last}")
    return json.loads(lines[-1])


def peak_resident() -> int:
    """The most main memory that this process has taken so far, in bytes."""
    status = Path("/proc/self/status")  # other than getrusage, this does not count what the parent process took
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8")) if status.is_file() else None
    if found:
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
