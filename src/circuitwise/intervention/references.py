"""Values that come from other prompts: of one prompt, or the mean over many."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.edits import MeanOver, Prompt, Reference, ResampleFrom
from circuitwise.errors import RequestError
from circuitwise.intervention.known import Known, learn
from circuitwise.model.model import Model
from circuitwise.model.tokens import tokenize
from circuitwise.vocabulary import Site, Tokens

PROMPTS_PER_PASS = 16
"""How many reference prompts run together."""

Key = tuple[int, ...]
"""A prompt's token ids."""
Asked = tuple[Prompt | Reference, Tokens]
"""Who asked for token ids, kept alive lest another come to have its identity, and the ids."""


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """Means over reference prompts."""

    sites: Mapping[Site, Float[Tensor, " width"]]
    """Of every site that some edit changes."""
    features: Mapping[int, Float[Tensor, " feature"]]
    """Of every feature of those layers whose features some edit changes."""


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """Reference prompts of a list of edits, run when they are first asked for."""

    model: Model
    """What runs them."""
    dictionaries: Mapping[int, Dictionary]
    """By layer, those whose features some edit changes."""
    sites: Collection[Site]
    """The sites that some edit changes."""
    _known: dict[Key, Known] = field(default_factory=dict[Key, Known])
    """By token ids."""
    _means: dict[int, Means] = field(default_factory=dict[int, Means])
    """By the identity of the reference."""
    _tokens: dict[int, Asked] = field(default_factory=dict[int, Asked])
    """By the identity of the prompt, or of the reference that draws one."""

    def tokens(self, prompt: Prompt) -> Tokens:
        """The token ids of a reference prompt."""
        if id(prompt) not in self._tokens:
            self._tokens[id(prompt)] = prompt, tokenize(self.model, prompt)
        return self._tokens[id(prompt)][1]

    def known(self, tokens: Tokens) -> Known:
        """One prompt's own pass."""
        key = tuple(cast("list[int]", tokens.tolist()))
        if key not in self._known:
            self._known[key] = learn(self.model, [tokens], self._read(), keep_calls=False)[0]
        return self._known[key]

    def remember(self, known: Known) -> None:
        """Take over what is known of a prompt already, so that it need not run again."""
        self._known[tuple(cast("list[int]", known.tokens.tolist()))] = known

    def forget(self) -> None:
        """Drop the passes of single prompts; means are kept."""
        self._known.clear()

    def draw(self, reference: ResampleFrom) -> Tokens:
        """The token ids of the prompt that the seed draws."""
        if id(reference) not in self._tokens:
            _check_some(reference)
            draws = torch.Generator().manual_seed(reference.seed)
            number = int(torch.randint(len(reference.prompts), (1,), generator=draws))
            self._tokens[id(reference)] = reference, self.tokens(reference.prompts[number])
        return self._tokens[id(reference)][1]

    def means(self, reference: MeanOver) -> Means:
        """The means over reference prompts."""
        if id(reference) not in self._means:
            _check_some(reference)
            self._means[id(reference)] = self._measure(reference.prompts)
        return self._means[id(reference)]

    def _read(self) -> set[Site]:
        return {*self.sites, *(dictionary.read for dictionary in self.dictionaries.values())}

    def _measure(self, prompts: Sequence[Prompt]) -> Means:
        sites: dict[Site, Tensor] = {}
        features = {
            layer: torch.zeros(dictionary.n_features, device=self.model.device)
            for layer, dictionary in self.dictionaries.items()
        }
        n_pos = 0
        for known in self._runs(prompts):
            n_pos += known.n_pos - known.n_excluded
            for site in self.sites:
                total = known.site(site)[known.n_excluded :].float().sum(0)
                sites[site] = sites[site] + total if site in sites else total
            for layer, dictionary in self.dictionaries.items():
                firing = known.firing(dictionary)
                features[layer].index_add_(0, firing.feature, firing.value)
        if not n_pos:
            raise RequestError("The reference prompts have no position besides special ones to take a mean over.")
        return Means(
            {site: total / n_pos for site, total in sites.items()},
            {layer: total / n_pos for layer, total in features.items()},
        )

    def _runs(self, prompts: Sequence[Prompt]) -> Iterator[Known]:
        for first in range(0, len(prompts), PROMPTS_PER_PASS):
            tokens = [self.tokens(prompt) for prompt in prompts[first : first + PROMPTS_PER_PASS]]
            yield from learn(self.model, tokens, self._read(), keep_calls=False)


def _check_some(reference: Reference) -> None:
    if not len(reference.prompts):
        raise RequestError(f"{type(reference).__name__} has no prompts. Give at least one reference prompt.")
