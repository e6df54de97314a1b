"""``circuitwise patch``: put clean activations into a corrupted run, place by place, and see what brings it back."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from circuitwise.cli.contrasts import Answers, Clean, Contrasts, Corrupted, PairsFile, contrasts_of
from circuitwise.cli.graphwriting import Force, check_free
from circuitwise.cli.opening import BUILTIN, Device, Dtype, ModelName, Token, open_model
from circuitwise.cli.screen import AsJson, Quiet, Screen, listing
from circuitwise.errors import RequestError
from circuitwise.patching.patch import Denoise, Noise, patch
from circuitwise.patching.patchmap import AXES, Component, PatchMap
from circuitwise.storage import Json, atomic_path
from circuitwise.vocabulary import numbers

EXAMPLES = """\b
Examples:
  circuitwise patch "The capital of France is" "The capital of Italy is" --difference " Paris" " Rome"
  circuitwise patch "The cats in the garden" "The cat in the garden" --difference " are" " is" --component head
  circuitwise patch --pairs capitals.jsonl --component residual -o capitals.csv
"""

SHADES = " ░▒▓█"
"""How a map shows an effect: blank for none, full for the whole difference."""


class Patch(NamedTuple):
    """Activation patching: which layers, positions and components carry the difference between two prompts.

    Every place of the clean prompt's run is put into the corrupted prompt's run by itself. The effect is 1 where that
    brings the whole logit difference back, 0 where it does nothing. With --noise it is the other way round: corrupted
    activations go into the clean run, and the effect is how much of the difference is lost.

    The two prompts need the same number of tokens and should differ in what matters only.
    """

    clean: Clean = None
    corrupted: Corrupted = None
    difference: Answers = None
    pairs: PairsFile = None
    component: Annotated[
        list[str] | None,
        typer.Option("--component", help=f"{', '.join(one.value for one in Component)}; repeatable. [the first three]"),
    ] = None
    noise: Annotated[bool, typer.Option("--noise", help="Put corrupted activations into the clean run.")] = False
    strongest: Annotated[int, typer.Option("--strongest", min=1, help="How many places are listed.")] = 12
    model: ModelName = BUILTIN
    dtype: Dtype = None
    device: Device = None
    token: Token = None
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.csv", help="Write every place as a table.")
    ] = None
    force: Force = False
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Load, patch, show."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        contrasts = contrasts_of(self.clean, self.corrupted, self.difference, self.pairs)
        components = components_of(self.component)
        if self.output is not None:
            check_free(self.output, "artifact", force=self.force)
        model = open_model(screen, self.model, dtype=self.dtype, device=self.device, token=self.token)
        with screen.counting("Patching, pair by pair") as progress:
            found = patch(
                model,
                contrasts.pairs,
                metric=contrasts.differences,
                components=components,
                how=Noise() if self.noise else Denoise(),
                progress=progress,
            )
        if self.output is not None:
            with atomic_path(self.output) as partial:
                found.to_pandas().to_csv(partial, index=False)
        screen.show(_as_json(self, contrasts, found), lambda console: _draw(console, self, contrasts, found))


def components_of(names: list[str] | None) -> list[Component]:
    """The components of these names; stream, attention and MLP where none is named."""
    if not names:
        return [Component.RESIDUAL, Component.ATTENTION, Component.MLP]
    known = {one.value: one for one in Component}
    for name in names:
        if name not in known:
            raise RequestError(f"“{name}” cannot be patched. Choose {', '.join(known)}.")
    return list(dict.fromkeys(known[name] for name in names))


def _as_json(asked: Patch, contrasts: Contrasts, found: PatchMap) -> Json:
    return {
        "n_pairs": len(contrasts.clean),
        "direction": "noise" if asked.noise else "denoise",
        "gaps": list(numbers(found.gaps)),
        "tokens": [list(pair) for pair in found.tokens],
        "places": [
            {
                "place": str(place),
                "component": place.component.value,
                "layer": place.layer,
                "head": place.head,
                "pos": place.pos,
                "effect": effect,
            }
            for place, effect in found.places()
        ],
        "written": None if asked.output is None else str(asked.output),
    }


def _draw(console: Console, asked: Patch, contrasts: Contrasts, found: PatchMap) -> None:
    gap = float(found.gaps.mean())
    what = "corrupted into clean" if asked.noise else "clean into corrupted"
    pairs = "1 pair" if len(contrasts.clean) == 1 else f"{len(contrasts.clean)} pairs"
    console.print(Text.assemble(("Patching", "bold"), f" {what}, {pairs}; the logit difference moves by {gap:+.3f}"))
    console.print()
    for component in found.changes:
        if "pos" in AXES[component] and "head" not in AXES[component]:
            _draw_map(console, found, component)
    console.print(Text("Strongest places (1: the whole difference)", "bold"))
    table = listing("place", "token", "effect")
    for place, effect in found.strongest(asked.strongest):
        text = "" if place.pos is None else " / ".join(dict.fromkeys(map(repr, found.tokens[place.pos])))
        table.add_row(str(place), Text(text), f"{effect:+.3f}")
    console.print(table)
    if asked.output is not None:
        console.print(f"Written to {asked.output}.", markup=False, soft_wrap=True)


def _draw_map(console: Console, found: PatchMap, component: Component) -> None:
    """Layers downwards, positions sideways, a shade for each effect."""
    effects = found.effects(component)
    console.print(Text(f"{component.value}: layers downwards, positions sideways", "bold"))
    for layer, row in enumerate(effects):
        if bool((row.abs() >= 1 / len(SHADES)).any()):
            console.print(f"{layer:4} {''.join(_shade(value) * 2 for value in numbers(row))}", markup=False)
    console.print(f"     0{' ' * (2 * effects.shape[1] - 3)}{effects.shape[1] - 1}", end="\n\n")


def _shade(effect: float) -> str:
    return SHADES[min(len(SHADES) - 1, int(abs(effect) * len(SHADES)))]
