"""``circuitwise models``: the models and dictionary sets that can be opened, and which are on this machine."""

from rich.console import Console

from circuitwise.cli.cached import Cache, builtin_state, scan_cache, shipped_state
from circuitwise.cli.screen import AsJson, Quiet, Screen, listing, size
from circuitwise.dictionaries.references import PUBLISHED
from circuitwise.dictionaries.shipped import SHIPPED
from circuitwise.model.architectures import ARCHITECTURES
from circuitwise.model.builtin import SHORT_NAMES
from circuitwise.storage import Json

EXAMPLES = """\b
Examples:
  circuitwise models
  circuitwise models --json
"""


def models(quiet: Quiet = False, as_json: AsJson = False) -> None:
    """List the models and dictionary sets that can be opened.

    A model is named by a short name, by its name on the Hugging Face hub (any model of a known family), by a folder, or
    by a GGUF or llama2.c file. A dictionary set is named by a short name, by org/repo//folder@revision, or by a folder.
    What is on this machine already is marked.
    """
    screen = Screen(quiet=quiet, json=as_json)
    with screen.working("Looking through the cache"):
        cache = scan_cache()
    screen.show(_as_json(cache), lambda console: _draw(console, cache))
    screen.note("`circuitwise doctor --model NAME --transcoders NAME` says how much memory a pair needs.")


def _as_json(cache: Cache) -> Json:
    return {
        "families": sorted(ARCHITECTURES),
        "models": [
            {"name": name, "title": builtin.title, "state": builtin_state(name), "install": builtin.command}
            for name, builtin in SHORT_NAMES.items()
        ],
        "shipped": [
            {"name": name, "title": shipped.title, "model": shipped.model, "state": shipped_state(name)}
            for name, shipped in SHIPPED.items()
        ],
        "sets": [
            {
                "name": name,
                "model": published.model,
                "kind": published.kind,
                "format": published.format,
                "reference": published.reference,
                "cached": cache.holds(name),
            }
            for name, published in PUBLISHED.items()
        ],
        "cached_models": [{"name": each.name, "bytes": each.n_bytes} for each in cache.models],
        "cached_sets": [{"name": each.name, "bytes": each.n_bytes} for each in cache.sets],
    }


def _draw(console: Console, cache: Cache) -> None:
    console.print("[bold]Families[/bold] (any model on the hub or in a folder whose model_type is one of these)")
    console.print(", ".join(sorted(ARCHITECTURES)), end="\n\n")
    built_in = listing("model", "what it is", "state", title="Models with a short name")
    for name, builtin in SHORT_NAMES.items():
        built_in.add_row(name, builtin.title, builtin_state(name))
    console.print(built_in)
    for name, builtin in SHORT_NAMES.items():
        if builtin_state(name) == "not installed":
            console.print(f"{name} is fetched by: {builtin.command}", markup=False, soft_wrap=True)
    console.print()
    shipped = listing("set", "what it is", "state", title="Dictionary sets that come along")
    for name, each in SHIPPED.items():
        shipped.add_row(name, each.title, shipped_state(name))
    console.print(shipped)
    console.print()
    sets = listing("set", "for", "kind", "here", title="Published dictionary sets")
    for name, published in PUBLISHED.items():
        sets.add_row(name, published.model, published.kind, "yes" if cache.holds(name) else "")
    console.print(sets)
    draw_cache(console, cache)


def draw_cache(console: Console, cache: Cache) -> None:
    """What of the hub is on this machine, if anything."""
    for title, found in (("Models in the hub's cache", cache.models), ("Sets in the hub's cache", cache.sets)):
        if found:
            table = listing("name", "on disk", title=title)
            for each in found:
                table.add_row(each.name, size(each.n_bytes))
            console.print()
            console.print(table)
