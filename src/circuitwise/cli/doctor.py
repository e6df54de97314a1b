"""``circuitwise doctor``: what is installed, what the machine has, and how much memory a model needs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import typer
from rich.console import Console

from circuitwise.cli.cached import Cache, builtin_state, scan_cache
from circuitwise.cli.forecast import told_by_table
from circuitwise.cli.hub import Hub, reach_hub
from circuitwise.cli.machine import Machine, describe_machine
from circuitwise.cli.models import draw_cache
from circuitwise.cli.screen import AsJson, Quiet, Screen, listing, size
from circuitwise.dictionaries.sizes import SetSize, dictionary_size
from circuitwise.memory import FIRING, Memory, Peak, estimate, measure_peak
from circuitwise.model.builtin import SHORT_NAMES
from circuitwise.model.shape import Shape, shape_of
from circuitwise.storage import Json

ModelName = Annotated[
    str | None, typer.Option("--model", help="The model whose memory is computed: any name, folder or file. [smollm2]")
]
SetName = Annotated[
    str | None, typer.Option("--transcoders", help="A dictionary set to count in: short name, reference or folder.")
]
Tokens = Annotated[int, typer.Option("--tokens", min=1, help="The length of the prompt that is traced.")]
Rows = Annotated[int, typer.Option("--rows", min=1, help="Feature rows of the graph.")]
Measure = Annotated[bool, typer.Option("--measure", help="Also load the model in a process of its own and measure.")]

DEFAULT = "smollm2"
"""The model whose memory is computed unless another is named."""
EXAMPLES = """\b
Examples:
  circuitwise doctor
  circuitwise doctor --measure
  circuitwise doctor --model google/gemma-2-2b --transcoders gemma --tokens 200
  circuitwise doctor --json
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one model and one set need."""

    model: str
    """The model's name."""
    transcoders: str | None
    """The set's name, if one was named."""
    tokens: int
    """The length of the prompt."""
    rows: int
    """Rows of the graph."""
    shape: Shape
    """What the model looks like."""
    dictionaries: SetSize | None
    """How big the set is, if one was named."""
    memory: Memory
    """What was computed."""
    measured: Peak | None
    """What was measured, if that was asked for."""

    def fits(self, machine: Machine) -> bool:
        """Whether loading and tracing fit into what is free."""
        free = [each.memory_free for each in machine.accelerators if each.memory_free is not None]
        return self.memory.needed <= self._spare(machine) and (self.memory.on_device <= max(free) if free else True)

    def fits_with_files(self, machine: Machine) -> bool:
        """Whether the files of the dictionaries fit into main memory as well, so that they are read but once."""
        return self.memory.traced <= self._spare(machine)

    def _spare(self, machine: Machine) -> int:
        return machine.memory_free + self.memory.process  # this process ends before the other starts

    @property
    def title(self) -> str:
        """What the model is called in texts."""
        return SHORT_NAMES[self.model].title if self.model in SHORT_NAMES else self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that the doctor says."""

    machine: Machine
    """The machine and its packages."""
    hub: Hub
    """Whether the hub can be reached."""
    cache: Cache
    """What is in the hub's cache."""
    builtin: Mapping[str, str]
    """How far the built-in models are ready."""
    need: Need | None
    """The memory of one model and one set; None where the default model is not installed."""


def doctor(
    model: ModelName = None,
    transcoders: SetName = None,
    tokens: Tokens = 64,
    rows: Rows = 4096,
    measure: Measure = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check packages, devices, memory, hub and cache.

    Memory is computed from the model's configuration and the sizes of the files; nothing is downloaded but a
    config.json. With --measure the model is really loaded, in a process of its own, and the figure says "measured".
    """
    screen = Screen(quiet=quiet, json=as_json)
    with screen.working("Computing what the model needs"):
        need = _need(model, transcoders, tokens, rows)
    if need is not None and measure:
        with screen.working(f"Loading {need.title} in a process of its own"):
            need = replace(need, measured=measure_peak(need.model))
    with screen.working("Looking at the machine, the hub and the cache"):
        found = Diagnosis(
            machine=describe_machine(),
            hub=reach_hub(),
            cache=scan_cache(),
            builtin={name: builtin_state(name) for name in SHORT_NAMES},
            need=need,
        )
    screen.show(_as_json(found), lambda console: _draw(console, found))


def _need(model: str | None, transcoders: str | None, tokens: int, rows: int) -> Need | None:
    """What the pair needs; None if no model was named and the default one is not installed."""
    if model is None and builtin_state(DEFAULT) == "not installed":
        return None
    name = DEFAULT if model is None else model
    shape, found = shape_of(name), None if transcoders is None else dictionary_size(transcoders)
    n_bytes, mapped = (0, True) if found is None else (found.n_bytes, found.mapped)
    return Need(
        model=name,
        transcoders=transcoders,
        tokens=tokens,
        rows=rows,
        shape=shape,
        dictionaries=found,
        memory=estimate(shape, tokens=tokens, rows=rows, dictionaries=n_bytes, mapped=mapped),
        measured=None,
    )


def _as_json(found: Diagnosis) -> Json:
    return {
        "machine": asdict(found.machine),
        "hub": asdict(found.hub),
        "cache": asdict(found.cache),
        "builtin": found.builtin,
        "need": None if found.need is None else _need_as_json(found.need, found.machine),
    }


def _need_as_json(need: Need, machine: Machine) -> Json:
    memory = need.memory
    return {
        "model": need.model,
        "title": need.title,
        "transcoders": need.transcoders,
        "tokens": need.tokens,
        "rows": need.rows,
        "firing": FIRING,
        "how": "computed",
        "from_table": {
            "model": need.shape.known,
            "transcoders": need.dictionaries is not None and need.dictionaries.known,
        },
        "loaded": memory.loaded,
        "traced": memory.traced,
        "needed": memory.needed,
        "on_device": memory.on_device,
        "parts": asdict(memory),
        "fits": need.fits(machine),
        "fits_with_files": need.fits_with_files(machine),
        "measured": None if need.measured is None else asdict(need.measured),
    }


def _draw(console: Console, found: Diagnosis) -> None:
    machine, hub = found.machine, found.hub
    table = listing("", "")
    table.show_header = False
    table.add_row("python", f"{machine.python} on {machine.system}")
    for name, number in machine.packages.items():
        table.add_row(name, number)
    table.add_row("processor", f"{machine.n_cores} cores, torch uses {machine.n_threads} threads")
    for each in machine.accelerators:
        free = "" if each.memory_free is None else f", {size(each.memory_free)} free of {size(each.memory_total or 0)}"
        table.add_row(each.name, each.title + free)
    if not machine.accelerators:
        table.add_row("accelerator", "none: everything runs on the processor")
    table.add_row("memory", f"{size(machine.memory_free)} free of {size(machine.memory_total)}")
    table.add_row("disk", f"{size(machine.disk_free)} free for {machine.disk_folder}")
    table.add_row("hub", f"{hub.state}: {hub.endpoint}" + (f" ({hub.reason})" if hub.reason else ""))
    table.add_row("hub token", "present" if hub.token else "none (gated models need one: hf auth login, or HF_TOKEN)")
    for name, state in found.builtin.items():
        table.add_row(name, f"{SHORT_NAMES[name].title}: {state}")
    console.print(table)
    draw_cache(console, found.cache)
    if found.need is not None:
        console.print()
        _draw_need(console, found.need, machine)


def _draw_need(console: Console, need: Need, machine: Machine) -> None:
    memory = need.memory
    table = listing("part", "bytes", "", title=f"Memory for {need.title}, computed")
    for name, n_bytes, remark in (
        ("Python and libraries", memory.process + memory.libraries, "measured in this process, plus a fixed share"),
        ("weights", memory.weights, f"on {memory.device}"),
        ("the file besides", memory.checkpoint, "its pages, while weights are converted"),
        ("unpacking", memory.unpacking, "the first time only"),
        ("loaded, a short prompt run", memory.loaded, "main memory, at most"),
        ("dictionaries", memory.dictionaries, "mapped files, if every page is read" if memory.mapped else "unpacked"),
        ("a graph", memory.graph, f"{need.tokens} tokens, {need.rows} rows, {FIRING} features firing (assumed)"),
        ("all together", memory.traced, "main memory, at most"),
        ("of it must be free", memory.needed, "the rest are files, which can be read again"),
        ("accelerator", memory.on_device, memory.device),
    ):
        if n_bytes and not (name == "of it must be free" and n_bytes == memory.traced):
            table.add_row(name, size(n_bytes), remark)
    console.print(table)
    if need.measured is not None:
        console.print(f"Measured: {size(need.measured.resident)} to load {need.title} and run a short prompt.")
        if need.measured.on_device:
            console.print(f"Measured: {size(need.measured.on_device)} of the accelerator's memory.")
    for sentence in told_by_table(need.model, need.shape, need.transcoders or "", need.dictionaries):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(_verdict(need, machine), soft_wrap=True)


def _verdict(need: Need, machine: Machine) -> str:
    if not need.fits(machine):
        return "This does not fit into what is free."
    if need.fits_with_files(machine):
        return "This fits into what is free."
    return (
        f"This fits into what is free, but for the files of the dictionaries ({size(need.memory.dictionaries)}): parts "
        "of them are read from the disk again for each prompt, which is slow."
    )
