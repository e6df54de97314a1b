"""What a study's work costs, before any of it was done.

    seconds for one prompt = passes x seconds of one pass + seconds of Python

A pass of the model over a prompt grows with the model; what Python does around it does not, and is most of it where
models are tiny or accelerators fast. Both were measured on one core, with SmolLM2 and its dictionaries and with a model
so small that its passes take no time. What is done to a prompt many times, in many runs, costs as many times as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from circuitwise.study.capability import NEUTRAL
from circuitwise.study.measurement import EXPERIMENTS
from circuitwise.study.plan import Plan, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one prompt costs."""

    passes: float
    """In passes of the model over it."""
    seconds: float
    """What Python takes besides."""

    def times(self, n_runs: int) -> "Price":
        """The price of as many."""
        return Price(passes=n_runs * self.passes, seconds=n_runs * self.seconds)


RUN = Price(passes=0.13, seconds=0.001)
"""One intervention: many run together, and each begins where it first changes something."""
NEUTRAL_RUN = Price(passes=0.37, seconds=0.003)
"""One token of a neutral sentence under one strength: the sentences are long."""
FIXED, A_MEMBER = 4e-4, 1.75e-5
"""What Python takes for a run of a proof, and for every feature that it sets."""
PREDICTED = 6
"""Tokens of a neutral sentence that are predicted, about."""


def prices_of(plan: Plan) -> Mapping[str, Price]:
    """What each kind of a plan's work costs, a prompt."""
    how, proof = plan.interventions, plan.evidence
    n_features, arms, n_strengths = min(how.features, plan.circuit.size), 1 + how.controls, len(how.strengths)
    aims, steered = 1 + how.supernodes + n_features, 1 + min(how.steered, n_features)
    proving = Price(passes=RUN.passes, seconds=FIXED + A_MEMBER * plan.circuit.size)
    return {
        "baseline": Price(passes=1.0, seconds=0.0006),
        "features": Price(passes=1.7, seconds=0.0055),
        "graphs": Price(passes=9.3, seconds=0.015),
        "circuit": Price(passes=1.3, seconds=0.015),
        "backdrop": Price(passes=0.8, seconds=0.002),
        "ablation": RUN.times(aims * (2 * arms + 1)),
        "patching": RUN.times(aims * (arms + 1) + n_features + 1),
        "steering": RUN.times(steered * 2 * arms * n_strengths),
        "neutral": NEUTRAL_RUN.times(min(2, arms) * n_strengths * PREDICTED),
        "importance": Price(passes=1.0, seconds=0.005),
        "evidence": proving.times(3 + min(proof.tried, plan.circuit.size) + 2 * proof.controls),
    }


def work_ahead(plan: Plan, stage: Stage, n_train: int, n_test: int) -> Mapping[str, int]:
    """How much work of each kind a stage is for so many prompts."""
    n_graphs = n_train if plan.graphs.n_prompts is None else min(n_train, plan.graphs.n_prompts)
    match stage:
        case "baseline" | "features":
            return {stage: n_train + n_test}
        case "graphs" | "circuit":
            return {stage: n_graphs}
        case "interventions":
            each = min(n_train, plan.importance.prompts) + min(n_test, plan.importance.prompts)
            runs = dict.fromkeys(EXPERIMENTS, n_test)
            return {"backdrop": n_train, **runs, "neutral": len(NEUTRAL), "importance": each}
        case "evidence":
            return {"evidence": n_test}
