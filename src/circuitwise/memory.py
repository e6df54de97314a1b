"""How much memory a model and its dictionaries need: computed from their shapes, or measured in a fresh process.

The most main memory that a process holds while it loads a model and runs a short prompt on a processor:

    process + LIBRARIES + weights + checkpoint + unpacking + one pass

- process: Python with torch, transformers and circuitwise, measured in the process that runs right now
- weights: they stay mapped into the file if that has the type that is asked for
- checkpoint: the pages of the file besides, if every weight is converted to another type
- unpacking: what a GGUF file takes besides, the first time that it is opened: the weights of one written file, of which
  Python gives only the largest matrix back to the system

A graph adds the dictionaries (on a processor mostly mapped files, of which at most every page is read and which the
system can take back; an accelerator holds all of them), what is kept of the frozen pass, and its rows: against each
other, the errors and the tokens, and one batch of them against every feature that fires.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch

from circuitwise.errors import CircuitwiseError, ModelError, RequestError
from circuitwise.model.conversion import BYTES_PER_FILE
from circuitwise.model.forward import run
from circuitwise.model.loading import load_model
from circuitwise.model.shape import Shape
from circuitwise.model.tokens import pad
from circuitwise.storage import write_json
from circuitwise.storage.jsontext import parse_json

LIBRARIES = 70 << 20
"""What opening any model adds besides weights: its family's code, its tokenizer, torch's work space. Measured."""
SHORT_PROMPT = 8
"""Tokens of the prompt that is run after loading."""
FIRING = 64
"""Features that are taken to fire at a position and layer, where nothing better is known."""
ROW_BATCH = 256
"""Rows of a graph that are computed at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """How many bytes each part needs."""

    device: str
    """Where the weights are: ``cpu``, or an accelerator with memory of its own."""
    process: int
    """Python and the libraries, before a model is opened."""
    libraries: int
    """What opening any model adds besides weights."""
    weights: int
    """The model's weights."""
    checkpoint: int
    """The pages of its file, where they are not the weights themselves."""
    unpacking: int
    """What a GGUF file takes besides, the first time."""
    short_pass: int
    """Running a short prompt."""
    dictionaries: int
    """The weights of the dictionaries."""
    mapped: bool
    """Whether these stay in their files, so that the system can take their memory back and read them again."""
    graph: int
    """A frozen pass over the prompt, and the rows of its graph."""

    @property
    def loaded(self) -> int:
        """Main memory at the most while the model is loaded and runs a short prompt."""
        here = self.process + self.libraries + self.checkpoint + self.unpacking
        return here + (self.weights + self.short_pass if self.device == "cpu" else 0)

    @property
    def traced(self) -> int:
        """Main memory at the most while a graph is computed."""
        return self.loaded + self.dictionaries + (self.graph if self.device == "cpu" else 0)

    @property
    def needed(self) -> int:
        """Of that, what cannot be taken back: all but the dictionaries' mapped files."""
        return self.traced - (self.dictionaries if self.mapped else 0)

    @property
    def on_device(self) -> int:
        """Memory of the accelerator at the most while a graph is computed; 0 without one."""
        return 0 if self.device == "cpu" else self.weights + self.short_pass + self.dictionaries + self.graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """What loading a model and running a short prompt took in a process of its own."""

    resident: int
    """Main memory at the most."""
    on_device: int
    """Memory of the accelerator at the most; 0 without one."""


def default_device() -> torch.device:
    """Where a model goes unless it is told otherwise."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def estimate(
    shape: Shape,
    *,
    tokens: int,
    rows: int,
    dictionaries: int = 0,
    mapped: bool = True,
    dtype: torch.dtype | None = None,
) -> Memory:
    """What a model of that shape, dictionaries of so many bytes (mapped or not) and one graph need, computed."""
    if tokens < 1 or rows < 1:
        raise RequestError(f"A graph of {tokens} tokens and {rows} rows cannot be: give at least 1 of each.")
    device = default_device().type
    dtype = dtype or (torch.float32 if device == "cpu" else shape.stored)
    stored = shape.n_bytes
    largest = shape.d_vocab * shape.d_model * shape.stored.itemsize
    unchanged = device == "cpu" and dtype == shape.stored
    return Memory(
        device=device,
        process=psutil.Process().memory_info().rss,
        libraries=LIBRARIES,
        weights=shape.n_weights * dtype.itemsize,
        checkpoint=0 if unchanged else stored,
        unpacking=min(stored - largest, BYTES_PER_FILE) if shape.packed else 0,
        short_pass=_pass_bytes(shape, SHORT_PROMPT),
        dictionaries=dictionaries,
        mapped=mapped,
        graph=_graph_bytes(shape, tokens, rows),
    )


def _pass_bytes(shape: Shape, n_pos: int) -> int:
    stream = n_pos * (8 * shape.d_model + 3 * shape.d_mlp)
    patterns = 3 * shape.n_heads * n_pos**2
    return 4 * (stream + patterns + shape.d_vocab)


def _graph_bytes(shape: Shape, n_pos: int, n_rows: int) -> int:
    states = (shape.n_heads + shape.n_kv_heads) * shape.d_head
    frozen = shape.n_layers * n_pos * (6 * shape.d_model + states)
    kept = n_rows * (n_rows + (shape.n_layers + 1) * n_pos)
    batch = min(n_rows, ROW_BATCH) * (shape.n_layers * n_pos * FIRING + 3 * n_pos * shape.d_model)
    return _pass_bytes(shape, n_pos) + 4 * (frozen + kept + batch)


def measure_peak(name: str, *, token: str | None = None) -> Peak:
    """What a fresh Python process took at the most to load a model and run a short prompt."""
    program = "import sys; from circuitwise.memory import record_peak; record_peak(*sys.argv[1:])"
    environment = os.environ | ({} if token is None else {"HF_TOKEN": token})
    with TemporaryDirectory() as folder:
        report = Path(folder) / "peak.json"
        command = [sys.executable, "-c", program, name, str(report)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
        if not report.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ModelError(
                f"The process that loaded {name} ended with code {done.returncode} ({last}). Code -9 means that the "
                "system stopped it for want of memory: choose a smaller model."
            )
        found: Any = parse_json(report.read_bytes(), what="The measurement")
    if "error" in found:
        raise ModelError(found["error"])
    return Peak(resident=found["resident"], on_device=found["on_device"])


def record_peak(name: str, report: str) -> None:
    """Load a model, run a short prompt, and write the most memory that this process took into a file."""
    try:
        model = load_model(name)
    except CircuitwiseError as error:
        write_json(report, {"error": str(error)})
        return
    run(model, pad([torch.arange(SHORT_PROMPT, device=model.device) % model.d_vocab]))
    on_device = torch.cuda.max_memory_allocated() if model.device.type == "cuda" else 0
    write_json(report, {"resident": peak_resident(), "on_device": on_device})


def peak_resident() -> int:
    """The most main memory that this process has taken so far."""
    status = Path("/proc/self/status")  # other than getrusage, this does not count what the parent process took
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8")) if status.is_file() else None
    if found:
        return int(found[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # does not exist on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
