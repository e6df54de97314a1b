"""Activations for training: computed as they are needed, kept in bounded memory, drawn at random.

The pool holds a few generations of tokens. In each round every token is drawn about ``reuse / GENERATIONS`` times, then
the oldest generation makes room for newly computed activations. What a step sees depends on the step and the seed
alone, so a resumed run computes the generations that were there again and goes on.

Several processes share one pool: each computes and holds some sequences of every generation, and takes those tokens of
a step that it holds. What lies in the pool and what a step draws is the same for any number of processes.
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
from circuitwise.training.parallel import ALONE, Company
from circuitwise.training.recipe import Precision, Recipe
from circuitwise.training.scaling import Scale, scale_of
from circuitwise.vocabulary import Indices, Site

GENERATIONS = 4
"""How many the pool holds."""
OUTLIER = 20.0
"""A token is not trained on if it is so many times as long as usual at any site: attention parks there, as it does on
the first position, and one such token would weigh more than all others of a step."""
SHARE = 64
"""A process needs so many tokens of a step, about: one that had none could not take part."""
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

    def __init__(
        self,
        model: Model,
        sequences: Sequences,
        scales: Mapping[Site, Scale],
        recipe: Recipe,
        company: Company = ALONE,
    ) -> None:
        """Room for the activations; they are computed when the first are drawn."""
        self.model, self.sequences, self.scales, self.recipe = model, sequences, scales, recipe
        self.company = company
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
        """Tokens that it holds, over all processes."""
        self.n_steps = max(1, recipe.reading.reuse * self.n_tokens // GENERATIONS // recipe.batch)
        """Steps of a round."""
        self.seconds = 0.0
        """How long the model has run for it."""
        self._runs = self._own_runs()
        self._place = self._own_places()
        shape = (int((self._place >= 0).sum()), model.d_model)
        self._values = {site: torch.empty(shape, dtype=torch.bfloat16, device=model.device) for site in scales}
        self._held: int | None = None
        self._order: Indices = torch.empty(0, dtype=torch.long)

    def draw(self, step: int) -> Indices:
        """The places of the tokens of a step, in all processes; what lies there is computed if need be."""
        round, within = divmod(step, self.n_steps)
        if self._held != round:
            self._fill(round)
        return self._order[within * self.recipe.batch : (within + 1) * self.recipe.batch]

    def mine(self, places: Indices) -> Indices:
        """Where this process holds these places; those of others are left out."""
        found = self._place[places]
        return found[found >= 0]

    def at(self, site: Site, places: Indices) -> Float[Tensor, "token d_model"]:
        """The activations of a site at these places of this process."""
        return self._values[site].index_select(0, places)

    def gather(self, site: Site, places: Indices) -> Float[Tensor, "token d_model"]:
        """The activations of a site at these places, whoever holds them."""
        held = self._place[places] >= 0
        found = torch.zeros(len(places), self.model.d_model, device=places.device)
        found[held] = self.at(site, self.mine(places)).float()
        return self.company.total(found).bfloat16()

    def _own_runs(self) -> list[tuple[int, int]]:
        """The first sequence and the number of sequences of each run of the model, of those that are this process'."""
        n_sequences, size = self.n_sequences, self.company.size
        if size > 1 and (n_sequences < size or self.recipe.batch < size * SHARE):
            raise RequestError(
                f"{size} processes cannot share steps of {self.recipe.batch} tokens from a pool of {n_sequences} "
                f"sequences: each needs {SHARE} tokens and a sequence. Give more text or a larger batch."
            )
        step = min(self.recipe.reading.sequences, max(1, n_sequences // size))
        starts = range(0, n_sequences, step)[self.company.rank :: size]
        return [(start, min(step, n_sequences - start)) for start in starts]

    def _own_places(self) -> Indices:
        """For each place of the whole pool where this process holds it; -1 where another does."""
        kept = self.sequences.n_kept
        own = torch.cat([torch.arange(start, start + number) for start, number in self._runs])
        places = torch.full((GENERATIONS, self.n_sequences, kept), -1)
        places[:, own] = torch.arange(GENERATIONS * len(own) * kept).view(GENERATIONS, len(own), kept)
        return places.flatten().to(self.model.device)

    def _fill(self, round: int) -> None:
        started = perf_counter()
        fresh = round - 1 == self._held
        for generation in range(round + (GENERATIONS - 1 if fresh else 0), round + GENERATIONS):
            self._compute(generation)
        self._held, self._order = round, self._shuffled(round)
        self.seconds += perf_counter() - started

    def _compute(self, generation: int) -> None:
        kept, sites = self.sequences.n_kept, list(self.scales)
        first = generation * self.n_sequences
        to = (generation % GENERATIONS) * sum(number for _, number in self._runs) * kept
        for start, number in self._runs:
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
