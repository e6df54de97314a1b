"""What dictionaries make of sequences that run side by side.

Only the positions from the first one that is trained on are seen; BatchTopK lets features fire sequence by sequence.
Dictionaries compute in float32, whatever the model does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from circuitwise.dictionaries.activations import BatchTopK
from circuitwise.dictionaries.dictionary import Dictionary, Firing
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.model.forward import Rewrite
from circuitwise.vocabulary import ResidualBatch, Site


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilding:
    """What all dictionaries of a set have written so far."""

    transcoders: Transcoders
    """The set."""
    written: dict[Site, ResidualBatch] = field(default_factory=dict[Site, Tensor])
    """By site, the sum of all that was written there."""

    def read(self, dictionary: Dictionary, x: ResidualBatch) -> Firing:
        """Let a dictionary read its input and write; what fired, positions counted on from sequence to sequence."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            flat = x.flatten(0, 1)
            firing = _encode(dictionary, x)
            parts = dictionary.decode(firing, len(flat))
            parts[0] += dictionary.constant(flat)
        for site, part in zip(dictionary.writes, parts.view(-1, *x.shape), strict=True):
            self.written[site] = self.written[site] + part if site in self.written else part
        return firing


def rebuilt(transcoders: Transcoders, inputs: Mapping[Site, ResidualBatch]) -> dict[Site, ResidualBatch]:
    """What all dictionaries together write at each site, given the model's own activations."""
    rebuilding = Rebuilding(transcoders)
    for dictionary in transcoders:
        rebuilding.read(dictionary, inputs[dictionary.read])
    return rebuilding.written


def splice_all(transcoders: Transcoders, n_excluded: int) -> dict[Site, Rewrite]:
    """Rewrites that put every dictionary in the place of what it stands for; each reads what the others have left."""
    rebuilding = Rebuilding(transcoders)
    own = {dictionary.writes[0] for dictionary in transcoders}

    def rewrite(site: Site) -> Rewrite:
        readers = [dictionary for dictionary in transcoders if dictionary.read == site]

        def change(value: Tensor, _: int) -> Tensor:
            for dictionary in readers:
                rebuilding.read(dictionary, value[:, n_excluded:])
            return put(value, rebuilding.written.pop(site), n_excluded) if site in own else value

        return change

    return {site: rewrite(site) for site in own | {dictionary.read for dictionary in transcoders}}


def put(value: ResidualBatch, new: Float[Tensor, "*some d_model"], n_excluded: int) -> ResidualBatch:
    """The value with another one at all positions but the excluded ones."""
    changed = value.clone()
    changed[:, n_excluded:] = new.to(value.dtype)
    return changed


def _encode(dictionary: Dictionary, x: ResidualBatch) -> Firing:
    if not isinstance(dictionary.activation, BatchTopK):
        return dictionary.encode(x.flatten(0, 1))
    return _joined([dictionary.encode(row) for row in x], x.shape[1])


def _joined(firings: Sequence[Firing], n_pos: int) -> Firing:
    return Firing(
        pos=torch.cat([firing.pos + number * n_pos for number, firing in enumerate(firings)]),
        feature=torch.cat([firing.feature for firing in firings]),
        value=torch.cat([firing.value for firing in firings]),
    )
