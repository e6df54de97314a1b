"""What a study will need, as ``study --dry-run`` shows it."""

from collections.abc import Iterator

from rich.console import Console

from circuitwise.cli.screen import listing, size
from circuitwise.dictionaries.sizes import SetSize
from circuitwise.model.shape import Shape
from circuitwise.storage import Json
from circuitwise.study.forecast import Forecast
from circuitwise.study.plan import Plan


def forecast_value(plan: Plan, found: Forecast) -> dict[str, Json]:
    """The forecast as one JSON value; ``from_table`` says what could not be read and comes from a table instead."""
    memory = found.memory
    return {
        "name": plan.name,
        "model": plan.model,
        "transcoders": found.transcoders,
        "from_table": {"model": found.model.known, "transcoders": found.dictionaries.known},
        "suites": {name: {"train": sizes[0], "test": sizes[1]} for name, sizes in found.prompts.items()},
        "tokens": found.tokens,
        "bytes": memory.traced,
        "bytes_needed": memory.needed,
        "bytes_on_device": memory.on_device,
        "model_bytes": found.model.n_bytes,
        "transcoders_bytes": found.dictionaries.n_bytes,
        "seconds": {str(stage): seconds for stage, seconds in found.seconds.items()},
        "total_seconds": found.total,
    }


def draw_forecast(console: Console, plan: Plan, found: Forecast) -> None:
    """The same for people."""
    console.print(f"The study “{plan.name}” of {plan.model}, before it is run", markup=False, soft_wrap=True)
    console.print(f"Dictionaries: {found.transcoders}", markup=False, soft_wrap=True)
    table = listing("stage", "about")
    for stage, seconds in found.seconds.items():
        table.add_row(stage, span(seconds))
    table.add_row("all together", span(found.total))
    console.print(table)
    for name, (n_train, n_test) in found.prompts.items():
        console.print(f"{name}: {n_train} prompts to find a circuit on, {n_test} to test it on.", markup=False)
    for sentence in (*_memory(found), *told_by_table(plan.model, found.model, found.transcoders, found.dictionaries)):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(
        "Times are those of this machine: within a factor of three for SmolLM2, rough for models that were not timed.",
        soft_wrap=True,
    )


def told_by_table(model: str, shape: Shape, transcoders: str, dictionaries: SetSize | None) -> Iterator[str]:
    """What comes from a table because neither this machine nor the hub could say it, and what is to be downloaded."""
    missing: list[str] = []
    if shape.known:
        missing.append(f"{size(shape.n_bytes)} for the model")
        yield (
            f"The config.json of {model} could be read neither from the cache nor from the hub. What it looks like "
            f"comes from circuitwise's table of published models: {shape.n_weights / 1e9:.2f} billion weights, "
            f"{shape.n_layers} layers, d_model {shape.d_model}."
        )
    if dictionaries is not None and dictionaries.known:
        missing.append(f"{size(dictionaries.n_bytes)} for the dictionaries")
        yield (
            f"Neither the cache nor the hub says how big {transcoders} is: that comes from circuitwise's table of "
            "published sets."
        )
    if missing:
        yield f"To be downloaded: {' and '.join(missing)}."


def span(seconds: float) -> str:
    """A time as people read it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def _memory(found: Forecast) -> Iterator[str]:
    memory = found.memory
    where = f" and {size(memory.on_device)} on {memory.device}" if memory.on_device else ""
    parts = [f"{size(memory.weights)} of weights"]
    parts += [f"{size(memory.checkpoint)} of their file while they are read"] if memory.checkpoint else []
    parts += [f"{size(memory.dictionaries)} of dictionaries"] if memory.on_device or not memory.mapped else []
    yield (
        f"Memory: {size(memory.needed)}{where}, with prompts of {found.tokens} tokens: {', '.join(parts)}, the rest "
        "for libraries and a graph. It does not grow with the number of prompts."
    )
    if memory.mapped and not memory.on_device:
        yield (
            f"The dictionaries come on top with {size(memory.dictionaries)} of mapped files. Less is enough, but what "
            "does not fit is read from the disk again for each prompt, which the times do not count."
        )
