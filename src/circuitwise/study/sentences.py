"""Findings in plain words: every number is a value that was measured, and none says more than that."""

import math
from dataclasses import dataclass

from circuitwise.evidence import Claim
from circuitwise.study.curves import Curve, Scatter
from circuitwise.study.effects import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One finding in plain words."""

    text: str
    """The sentence."""
    claim: str
    """The name of the claim or measurement that it tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The mean logit difference under what a proof runs, in nats."""

    full: float
    """Of the whole model."""
    empty: float
    """With every feature at its reference."""
    circuit: float
    """Of the circuit alone."""
    rest: float
    """Without the circuit."""
    reference: str
    """What features that are left out are set to."""


def nats(value: float) -> str:
    """A logit difference."""
    return f"{value:z.2f}"


def percent(value: float) -> str:
    """A share."""
    return f"{100 * value:z.0f} %" if math.isfinite(value) else "without bound"


def chance(p: float) -> str:
    """A p- or q-value."""
    return f"{p:.2g}"


def shares(claim: Claim) -> str:
    """A share with its interval."""
    value = claim.value
    return f"{percent(value.estimate)} [{percent(value.low)}, {percent(value.high)}]"


def against_random(claim: Claim) -> str:
    """How many random circuits do as well."""
    assert claim.null is not None and claim.p is not None
    n = claim.null.n
    as_good = round(claim.p * (1 + n)) - 1
    compared = (
        f"none of {n} random circuits does as much" if not as_good else f"{as_good} of {n} random circuits do as much"
    )
    return f"{compared} (their mean is {percent(claim.null.mean)}, p = {chance(claim.p)})"


def necessity(claim: Claim, levels: Levels, features: str) -> str:
    """What is lost without the circuit."""
    verb = "falls" if levels.rest < levels.full else "rises"
    return (
        f"With {features} set {levels.reference}, the logit difference {verb} from {nats(levels.full)} to "
        f"{nats(levels.rest)} nats, {shares(claim)} of what all features together give; {against_random(claim)}."
    )


def sufficiency(claim: Claim, levels: Levels, features: str) -> str:
    """What the circuit keeps alone."""
    return (
        f"Alone, with every other feature set {levels.reference}, {features} give a logit difference of "
        f"{nats(levels.circuit)} nats, {shares(claim)} of the way from {nats(levels.empty)} (all features set so) to "
        f"{nats(levels.full)} (the model); {against_random(claim)}."
    )


def minimality(claim: Claim, needed: int) -> str:
    """How many members are needed."""
    return f"Of {claim.value.n} features that were left out one at a time, {needed} are surely needed."


def ablation(effect: Effect, done: str) -> str:
    """What setting features to something does."""
    return f"{done}, the logit difference goes {_from_to(effect)}{_beside(effect)}."


def patching(effect: Effect, features: str) -> str:
    """What the contrast prompt's values do."""
    assert effect.moved is not None
    moved = effect.moved
    return (
        f"Given the values that they have on the contrast prompt, {features} take the logit difference "
        f"{_from_to(effect)}, {percent(moved.estimate)} [{percent(moved.low)}, {percent(moved.high)}] of the way to "
        f"that of the contrast prompt{_beside(effect)}."
    )


def steering(effect: Effect, curve: Curve, what: str) -> str:
    """What adding mean activations does."""
    course = "always in one direction" if curve.monotone else "not always in one direction"
    strengths = ", ".join(f"{strength:g}" for strength in curve.strengths[1:])
    return (
        f"Adding {strengths} mean activations to {what} moves the mean logit difference {course}, at "
        f"{effect.strength:g} {_from_to(effect)}{_beside(effect)}."
    )


def importance(n_confirmed: int, n_features: int, n_candidates: int, n_tested: int) -> str:
    """How many of the circuit's features go with the logit difference."""
    return (
        f"{n_confirmed} of the circuit's {n_features} features are among those whose activation goes with the logit "
        f"difference on test prompts as well ({n_candidates} candidates of {n_tested} features that were tested); "
        "that is association."
    )


def prediction(scatter: Scatter) -> str:
    """How well effects are predicted."""
    return (
        f"Predicted against measured, {scatter.name}: slope {nats(scatter.slope)}, R² {nats(scatter.r_squared)}, the "
        f"same sign in {percent(scatter.sign_agreement)} of {len(scatter.labels)} points."
    )


def _from_to(effect: Effect) -> str:
    change = effect.effect
    return (
        f"from {nats(effect.baseline.estimate)} to {nats(effect.intervened.estimate)} nats (an effect of "
        f"{nats(change.estimate)} [{nats(change.low)}, {nats(change.high)}])"
    )


def _beside(effect: Effect) -> str:
    """The controls in words."""
    if effect.control is None or effect.q is None:
        return "; no other feature could be drawn as a control"
    return (
        f"; other features of the same layers and roles have an effect of {nats(effect.control.estimate)} "
        f"(q = {chance(effect.q)})"
    )
