"""Measuring the quality of a set of dictionaries on a text that it was not trained on.

1. one pass over the text: variance unexplained, firing and dead features of every dictionary (``reconstruction``)
2. cross-entropy with each layer spliced in, and with all of them (``splicing``)
3. graphs of some prompts and their scores (``graphs``)
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from circuitwise.errors import RequestError
from circuitwise.quality.budget import Cut, Progress, QualityBudget
from circuitwise.quality.estimates import mean
from circuitwise.quality.graphs import Explained, explain, refusal
from circuitwise.quality.heldout import HeldOut, read_held_out
from circuitwise.quality.quality import LayerQuality, Measured, Quality
from circuitwise.quality.reconstruction import Reconstructions, reconstruct
from circuitwise.quality.splicing import Splices, Splicing, n_blocks, splice
from circuitwise.quality.story import tokens_seen
from circuitwise.replacement import Replacement
from circuitwise.storage import Source
from circuitwise.training.text import HubText, Text

GRAPH_PASSES = 16
"""About how many passes over a sequence take as long as one graph."""


@torch.no_grad()
def measure_quality(
    replacement: Replacement,
    text: Text,
    *,
    how: QualityBudget = QualityBudget(),
    progress: Progress | None = None,
) -> Quality:
    """How good the dictionaries are for the model, layer by layer and together."""
    model, transcoders = replacement.model, replacement.transcoders
    layers = _layers(replacement, how)
    no_graphs = _refusal(replacement, how)
    held = read_held_out(model, text, how)
    prompts = held.prompts if no_graphs is None else ()
    graph_blocks = GRAPH_PASSES * model.n_layers
    splices = held.n_spliced * n_blocks(replacement, layers)
    count = _Count(progress, model.n_layers * held.n_read + splices + graph_blocks * len(prompts))
    found = reconstruct(
        model,
        transcoders,
        held.sequences,
        held.n_read,
        how.precision,
        lambda number: count.add(model.n_layers * number),
    )
    means = {one.writes[0]: found.by_layer[one.layer].mean for one in transcoders}
    splicing = Splicing(replacement=replacement, means=means, layers=layers, precision=how.precision)
    losses = splice(splicing, held.sequences, held.n_spliced, count.add)
    graphs = explain(replacement, prompts, how.rows, lambda: count.add(graph_blocks)) if prompts else None
    rows = _rows(replacement, found, losses, graphs)
    return Quality(
        transcoders=Source(name=transcoders.name).name,
        checksum=transcoders.checksum,
        kind=transcoders.kind,
        model=Source(name=model.name).name,
        made_for=None if transcoders.model_name is None else Source(name=transcoders.model_name).name,
        misfit=replacement.misfit,
        n_trained=tokens_seen(transcoders.name),
        measured=_measured(replacement, text, held, found, how),
        cross_entropy=mean(losses.model),
        layers=rows,
        together=losses.together.summary(losses.model),
        graphs=None if graphs is None else graphs.scores,
        no_graphs=no_graphs,
    )


@dataclass(slots=True)
class _Count:
    """Work that is done, told to whoever watches."""

    progress: Progress | None
    """Who watches."""
    wanted: int
    """The work that there is."""
    done: int = 0
    """The work that is done."""

    def add(self, number: int) -> None:
        self.done += number
        if self.progress is not None:
            self.progress(self.done, self.wanted)


def _layers(replacement: Replacement, how: QualityBudget) -> tuple[int, ...]:
    there = [dictionary.layer for dictionary in replacement.transcoders]
    wanted = there if how.layers is None else sorted(set(how.layers))
    missing = [layer for layer in wanted if layer not in there]
    if missing or not wanted:
        raise RequestError(
            f"{replacement.transcoders.name} has no dictionary for layer {', '.join(map(str, missing)) or '(none)'}. "
            f"It has layers {', '.join(map(str, there))}."
        )
    return tuple(wanted)


def _refusal(replacement: Replacement, how: QualityBudget) -> str | None:
    """Why there are no graphs although some were asked for by default."""
    reason = refusal(replacement.transcoders) if how.n_prompts else None
    if reason is not None and not isinstance(how.prompts, Cut):
        raise RequestError(f"{reason} Leave the prompts out to measure all else.")
    return reason


def _rows(
    replacement: Replacement, found: Reconstructions, losses: Splices, graphs: Explained | None
) -> tuple[LayerQuality, ...]:
    """One row for every layer that was spliced in."""
    rows: list[LayerQuality] = []
    for dictionary in replacement.transcoders:
        layer = dictionary.layer
        if layer in losses.alone:
            one = found.by_layer[layer]
            rows.append(
                LayerQuality(
                    layer=layer,
                    site=str(dictionary.writes[0]),
                    n_features=dictionary.n_features,
                    fvu=one.fvu,
                    fvu_all=one.fvu_all,
                    firing=one.firing,
                    n_dead=one.n_dead,
                    alone=losses.alone[layer].summary(losses.model),
                    error_share=None if graphs is None else graphs.error_share.get(layer),
                )
            )
    return tuple(rows)


def _measured(
    replacement: Replacement, text: Text, held: HeldOut, found: Reconstructions, how: QualityBudget
) -> Measured:
    sequences = held.sequences
    return Measured(
        text=_name(text),
        n_tokens=found.n_tokens,
        n_outliers=found.n_outliers,
        n_spliced=held.n_spliced * (sequences.n_kept - 1),
        context=sequences.ids.shape[1],
        n_excluded=sequences.n_excluded,
        precision=how.precision,
        dtype=str(replacement.model.dtype).removeprefix("torch."),
        seed=how.seed,
    )


def _name(text: Text) -> str:
    """What the text is called in a report: no folders of this machine."""
    match text:
        case HubText(name=name, split=split):
            return f"{name} ({split})"
        case Path() | str():
            return Path(text).name
        case _:
            return f"{len(text)} texts"
