"""Activations for training: computed as they are needed, kept in bounded memory, drawn at random.

The pool holds a few generations of tokens. In each round every token is drawn about ``reuse / GENERATIONS`` times, then
the oldest generation makes room for newly computed activations. What a step sees depends on the step and the seed
alone, so a resumed run computes the generations that were there again and goes on.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor

from circuitwise.errors import RequestError
from circuitwise.model.forward import run
from circuitwise.model.model import Model
from circuitwise.model.tokens import Padded
from circuitwise.training.packing import Sequences
from circuitwise.training.recipe import Precision, Recipe
from circuitwise.training.scaling import Scale, scale_of
from circuitwise.vocabulary import Indices, Site

GENERATIONS = 4
"""How many the pool holds."""
OUTLIER = 20.0
"""A token is not trained on if it is so many times as long as usual at any site: attention parks there, as it does on
the first position, and one such token would weigh more than all others of a step."""
SCALE_TOKENS = 8192
"""How many tokens the scales are measured on, about."""


def read_sites(
    model: Model, sequences: Sequences, sites: Sequence[Site], start: int, number: int, precision: Precision
) -> dict[Site, Float[Tensor, "token d_model"]]:
    """The activations at the sites on some sequences, without the excluded positions.

    In ``bfloat16`` the model's products are computed in it; the stream and the norms stay what the model's weights are.
    """
    ids = sequences.take(start, number).to(model.device)
    low = torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16")
    with torch.no_grad(), low:
        seen = run(model, Padded(ids, torch.ones_like(ids, dtype=torch.bool)), read=sites, logits="none").sites
    return {site: value[:, sequences.n_excluded :].flatten(0, 1) for site, value in seen.items()}


def measure_scales(model: Model, sequences: Sequences, sites: Sequence[Site], recipe: Recipe) -> dict[Site, Scale]:
    """The scale of every site, on the first tokens."""
    n_wanted = max(1, min(len(sequences.ids), SCALE_TOKENS // sequences.n_kept))
    step = recipe.reading.sequences
    parts = [
        read_sites(model, sequences, sites, start, min(step, n_wanted - start), recipe.precision)
        for start in range(0, n_wanted, step)
    ]
    return {site: scale_of(torch.cat([part[site] for part in parts])) for site in sites}


def _usual(scaled: Sequence[Float[Tensor, "token d_model"]]) -> Indices:
    """All tokens in order, but in the place of each outlier one that is none."""
    far = torch.stack([(value.norm(dim=1) > OUTLIER * value.shape[1] ** 0.5) for value in scaled]).any(0)
    chosen = torch.arange(len(far), device=far.device)
    usual = chosen[~far]
    if len(usual):
        outliers = chosen[far]
        chosen[outliers] = usual[torch.arange(len(outliers), device=far.device) % len(usual)]
    return chosen


class Pool:
    """Scaled activations of some tokens at all sites, in bfloat16."""

    def __init__(self, model: Model, sequences: Sequences, scales: Mapping[Site, Scale], recipe: Recipe) -> None:
        """Room for the activations; they are computed when the first are drawn."""
        self.model, self.sequences, self.scales, self.recipe = model, sequences, scales, recipe
        bytes_a_sequence = len(scales) * model.d_model * 2 * sequences.n_kept
        fit = recipe.reading.pool_bytes // bytes_a_sequence
        if fit < GENERATIONS:
            raise RequestError(
                f"A pool of {recipe.reading.pool_bytes:,} bytes is too small: {GENERATIONS} sequences of "
                f"{sequences.ids.shape[1]} tokens at {len(scales)} sites take {GENERATIONS * bytes_a_sequence:,}."
            )
        useful = -(-recipe.n_tokens // (recipe.reading.reuse * sequences.n_kept))
        self.n_sequences = max(1, min(fit, len(sequences.ids), useful) // GENERATIONS)
        """Sequences of a generation."""
        self.n_tokens = GENERATIONS * self.n_sequences * sequences.n_kept
        """Tokens that it holds."""
        self.n_steps = max(1, recipe.reading.reuse * self.n_tokens // GENERATIONS // recipe.batch)
        """Steps of a round."""
        self.seconds = 0.0
        """How long the model has run for it."""
        shape = (self.n_tokens, model.d_model)
        self._values = {site: torch.empty(shape, dtype=torch.bfloat16, device=model.device) for site in scales}
        self._held: int | None = None
        self._order: Indices = torch.empty(0, dtype=torch.long)

    def draw(self, step: int) -> Indices:
        """The places of the tokens of a step; what lies there is computed if need be."""
        round, within = divmod(step, self.n_steps)
        if self._held != round:
            self._fill(round)
        return self._order[within * self.recipe.batch : (within + 1) * self.recipe.batch]

    def at(self, site: Site, places: Indices) -> Float[Tensor, "token d_model"]:
        """The activations of a site at these places."""
        return self._values[site].index_select(0, places)

    def _fill(self, round: int) -> None:
        started = perf_counter()
        fresh = round - 1 == self._held
        for generation in range(round + (GENERATIONS - 1 if fresh else 0), round + GENERATIONS):
            self._compute(generation)
        self._held, self._order = round, self._shuffled(round)
        self.seconds += perf_counter() - started

    def _compute(self, generation: int) -> None:
        kept, step = self.sequences.n_kept, self.recipe.reading.sequences
        first = generation * self.n_sequences
        to = (generation % GENERATIONS) * self.n_sequences * kept
        for start in range(0, self.n_sequences, step):
            number = min(step, self.n_sequences - start)
            sites = list(self.scales)
            found = read_sites(self.model, self.sequences, sites, first + start, number, self.recipe.precision)
            scaled = {site: self.scales[site].apply(value) for site, value in found.items()}
            chosen = _usual(list(scaled.values()))
            for site, value in scaled.items():
                self._values[site][to : to + len(value)] = value[chosen].bfloat16()
            to += number * kept

    def _shuffled(self, round: int) -> Indices:
        draws = torch.Generator().manual_seed((self.recipe.seed + 1) * 7_000_003 + round)
        n_wanted = self.n_steps * self.recipe.batch
        passes = [torch.randperm(self.n_tokens, generator=draws) for _ in range(-(-n_wanted // self.n_tokens))]
        return torch.cat(passes)[:n_wanted].to(self.model.device)
