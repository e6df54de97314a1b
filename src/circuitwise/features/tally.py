"""What one layer's features did on the text so far: counts, sums, histogram and contexts, in memory that does not grow.

Only positive activations count as firing (a TopK dictionary may keep negative ones). Histogram bins are four an octave
and the same for every feature: bin ``b`` holds activations from ``2^((b - 64) / 4)`` to the next; the first and the
last hold all below and above.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from circuitwise.dictionaries.activations import BatchTopK
from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.features.examples import Best, Examples, Fired, priorities

BINS, PER_OCTAVE, UNIT_BIN = 128, 4, 64
"""Bins of the histogram, bins an octave, and the bin that begins at 1."""


def bin_edge(number: int) -> float:
    """Where a bin begins."""
    return 2.0 ** ((number - UNIT_BIN) / PER_OCTAVE)


def encode_sequences(dictionary: Dictionary, x: Float[Tensor, "sequence pos d_model"], first: int) -> Fired:
    """What fires on some sequences from position ``first`` on, with a positive value."""
    n_sequences, n_pos, d_model = x.shape
    if isinstance(dictionary.activation, BatchTopK):  # it chooses within a prompt
        each = [dictionary.encode(one) for one in x]
        place = torch.cat([firing.pos + row * n_pos for row, firing in enumerate(each)])
        feature = torch.cat([firing.feature for firing in each])
        value = torch.cat([firing.value for firing in each])
    else:
        firing = dictionary.encode(x.reshape(-1, d_model))
        place, feature, value = firing.pos, firing.feature, firing.value
    kept = (place % n_pos >= first) & (value > 0)
    place = place[kept]
    return Fired(
        sequence=place // n_pos,
        pos=place % n_pos,
        feature=feature[kept],
        value=value[kept],
        n_sequences=n_sequences,
        n_pos=n_pos,
    )


class Tally:
    """What one layer's features did so far."""

    def __init__(self, dictionary: Dictionary, how: Examples, n_pos: int, device: torch.device) -> None:
        """Nothing yet."""
        n_features = dictionary.n_features
        self.dictionary, self.how = dictionary, how
        self.n_firings = torch.zeros(n_features, dtype=torch.long, device=device)
        self.total = torch.zeros(n_features, dtype=torch.float64, device=device)
        self.histogram = torch.zeros(n_features * BINS, dtype=torch.int32, device=device)
        self.strongest = Best(n_features, how.strongest, how, n_pos, device)
        self.sampled = Best(n_features, how.sampled, how, n_pos, device)

    def add(self, x: Float[Tensor, "sequence pos d_model"], first_pos: int, first_sequence: int) -> None:
        """Take in the inputs of some more sequences."""
        fired = encode_sequences(self.dictionary, x, first_pos)
        if not len(fired.value):
            return
        self.n_firings += torch.bincount(fired.feature, minlength=len(self.n_firings))
        self.total.index_add_(0, fired.feature, fired.value.double())
        octave = torch.floor(torch.log2(fired.value.double()) * PER_OCTAVE).long() + UNIT_BIN
        place = fired.feature * BINS + octave.clamp(0, BINS - 1)
        self.histogram += torch.bincount(place, minlength=len(self.histogram)).int()
        self.strongest.add(fired, fired.value.double(), first_sequence)
        stream = self.how.seed * 1_000_003 + self.dictionary.layer
        self.sampled.add(fired, priorities(fired, first_sequence, stream), first_sequence)
