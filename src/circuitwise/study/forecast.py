"""What a study will need, before any weight is opened: memory from shapes, time from one measured product.

A pass over a prompt multiplies it with every weight of the model once, and with every encoder once where features are
read. How long that takes is scaled up from one product of the model's width that is measured here; how many passes a
stage costs is said by the prices, which were found with SmolLM2 and the dictionaries that are shipped for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic

import torch

from circuitwise.dictionaries.sizes import SetSize, dictionary_size
from circuitwise.memory import Memory, default_device, estimate
from circuitwise.model.shape import Shape, shape_of
from circuitwise.prompts import SPLITS
from circuitwise.study.opening import N_FEATURES, RANDOM, named_set
from circuitwise.study.plan import Chosen, Plan, Stage
from circuitwise.study.prices import prices_of, work_ahead
from circuitwise.suites import BEHAVIOURS, read_suite

TOKENS = 12
"""Tokens of a prompt of a built-in suite."""
TOKENS_A_WORD = 1.5
"""Tokens that a word of somebody's own prompt may have, on average."""
COLUMNS, TRIES = 4096, 5
"""Of the product that is measured, and how often it is: the fastest counts."""
PRICED = 0.26
"""Numbers in the encoders for each weight of the model with which the prices were found."""
WITHOUT_DICTIONARIES = ("baseline",)
"""Kinds of work that read no features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a study will need."""

    prompts: Mapping[str, tuple[int, int]]
    """Of every suite, the prompts to find a circuit on and to test it on."""
    tokens: int
    """Tokens of the longest prompt, about."""
    model: Shape
    """The model."""
    transcoders: str
    """The dictionaries that are used, by name."""
    dictionaries: SetSize
    """How big they are: those of the plan's layers."""
    memory: Memory
    """What one graph needs; nothing of a study grows with the number of its prompts."""
    seconds: Mapping[Stage, float]
    """How long every stage takes, about: right within a factor of three."""

    @property
    def total(self) -> float:
        """All stages together."""
        return sum(self.seconds.values())


def forecast(plan: Plan) -> Forecast:
    """What a plan will need; nothing is opened but configurations and suites."""
    prompts = {chosen.suite: _prompts(plan, chosen) for chosen in plan.suites}  # first: a user's own may have faults
    tokens = max(_tokens(plan, chosen) for chosen in plan.suites)
    shape, name = shape_of(plan.model), named_set(plan)
    dictionaries = _dictionaries(plan, name, shape)
    one = _seconds_a_weight(shape.d_model, tokens)
    prices = prices_of(plan)
    alone, whole = one * shape.n_weights, one * (shape.n_weights + dictionaries.n_encoder) / (1 + PRICED)
    return Forecast(
        prompts=prompts,
        tokens=tokens,
        model=shape,
        transcoders=name,
        dictionaries=dictionaries,
        memory=estimate(
            shape,
            tokens=tokens,
            rows=plan.graphs.rows,
            dictionaries=dictionaries.n_bytes,
            mapped=dictionaries.mapped,
        ),
        seconds={
            stage: sum(
                n * ((alone if kind in WITHOUT_DICTIONARIES else whole) * prices[kind].passes + prices[kind].seconds)
                for n_train, n_test in prompts.values()
                for kind, n in work_ahead(plan, stage, n_train, n_test).items()
            )
            for stage in plan.stages
        },
    )


def _dictionaries(plan: Plan, name: str, shape: Shape) -> SetSize:
    """How big the dictionaries of the plan's layers are."""
    if name == RANDOM:
        n_encoder = N_FEATURES * shape.d_model * shape.n_layers
        found = SetSize(n_bytes=8 * n_encoder, n_encoder=n_encoder, mapped=False)
    else:
        found = dictionary_size(name)
    part = 1.0 if plan.layers is None else len(plan.layers) / shape.n_layers
    return replace(found, n_bytes=int(found.n_bytes * part), n_encoder=int(found.n_encoder * part))


def _prompts(plan: Plan, chosen: Chosen) -> tuple[int, int]:
    """How many prompts of each split take part."""
    wanted = (chosen.n_train, chosen.n_test)
    if chosen.suite in BEHAVIOURS:
        behaviour = BEHAVIOURS[chosen.suite]
        there = tuple(n or own for n, own in zip(wanted, (behaviour.n_train, behaviour.n_test), strict=True))
    else:
        suite = read_suite(plan.root / chosen.suite)
        sizes = [len(suite.split(split)) for split in SPLITS]
        there = tuple(min(n or size, size) for n, size in zip(wanted, sizes, strict=True))
    n_train, n_test = (n if plan.n_prompts is None else min(n, plan.n_prompts) for n in there)
    return n_train, n_test


def _tokens(plan: Plan, chosen: Chosen) -> int:
    if chosen.suite in BEHAVIOURS:
        return TOKENS
    items = read_suite(plan.root / chosen.suite).items
    return max(round(TOKENS_A_WORD * len(item.prompt.split())) + 1 for item in items)


def _seconds_a_weight(d_model: int, tokens: int) -> float:
    """How long a prompt's product with one weight takes."""
    device = default_device()
    x, weight = torch.ones(tokens, d_model, device=device), torch.ones(d_model, COLUMNS, device=device)
    times: list[float] = []
    for _ in range(TRIES):
        start = monotonic()
        float((x @ weight)[0, 0])  # waits for an accelerator
        times.append(monotonic() - start)
    return min(times) / (d_model * COLUMNS)
