"""What a study will need, before any weight is opened: memory from shapes, time from one measured product.

A pass over a prompt multiplies it with every weight once. How long that takes is scaled up from one product of the
model's width that is measured here; how many passes a stage costs is said by the clock's prices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import torch

from circuitwise.dictionaries.sizes import dictionary_bytes
from circuitwise.memory import Memory, default_device, estimate
from circuitwise.model.shape import Shape, shape_of
from circuitwise.prompts import SPLITS
from circuitwise.study.clock import PRICES, work_ahead
from circuitwise.study.opening import N_FEATURES, RANDOM, named_set
from circuitwise.study.plan import Chosen, Plan, Stage
from circuitwise.suites import BEHAVIOURS, read_suite

TOKENS = 12
"""Tokens of a prompt of a built-in suite."""
TOKENS_A_WORD = 1.5
"""Tokens that a word of somebody's own prompt may have, on average."""
COLUMNS, TRIES = 4096, 5
"""Of the product that is measured, and how often it is: the fastest counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a study will need."""

    prompts: Mapping[str, tuple[int, int]]
    """Of every suite, the prompts to find a circuit on and to test it on."""
    tokens: int
    """Tokens of the longest prompt, about."""
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
    shape, name = shape_of(plan.model), named_set(plan)
    n_bytes = 8 * N_FEATURES * shape.d_model * shape.n_layers if name == RANDOM else dictionary_bytes(name)
    if plan.layers is not None:
        n_bytes = n_bytes * len(plan.layers) // shape.n_layers
    prompts = {chosen.suite: _prompts(plan, chosen) for chosen in plan.suites}
    tokens = max(_tokens(plan, chosen) for chosen in plan.suites)
    one = _seconds_a_pass(shape, tokens)
    return Forecast(
        prompts=prompts,
        tokens=tokens,
        memory=estimate(shape, tokens=tokens, rows=plan.graphs.rows, dictionaries=n_bytes),
        seconds={
            stage: sum(
                one * PRICES[kind] * n
                for n_train, n_test in prompts.values()
                for kind, n in work_ahead(plan, stage, n_train, n_test).items()
            )
            for stage in plan.stages
        },
    )


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


def _seconds_a_pass(shape: Shape, tokens: int) -> float:
    device = default_device()
    x, weight = torch.ones(tokens, shape.d_model, device=device), torch.ones(shape.d_model, COLUMNS, device=device)
    times: list[float] = []
    for _ in range(TRIES):
        start = monotonic()
        float((x @ weight)[0, 0])  # waits for an accelerator
        times.append(monotonic() - start)
    return min(times) * shape.n_weights / (shape.d_model * COLUMNS)
