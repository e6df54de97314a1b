"""Numbers side by side: the logit difference over the strength of steering, and predicted against measured effects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from circuitwise.evidence import Bootstrap, Interval, bootstrap, wilson
from circuitwise.evidence.prediction import agree
from circuitwise.study.aims import Aim
from circuitwise.study.effects import Effect, Gathered, Seen
from circuitwise.study.measurement import InterventionType

FEWEST_POINTS = 3
"""Fewer points do not say how well a prediction fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """Predicted against measured effects."""

    name: str
    """What predicts what."""
    slope: float
    """Measured over predicted, by least squares through zero."""
    r_squared: float
    """The share of the measured variance that the prediction explains; negative where a constant does better."""
    sign_agreement: float
    """The share whose sign is as predicted."""
    labels: tuple[str, ...]
    """What each point is."""
    predicted: tuple[float, ...]
    """One number a point."""
    measured: tuple[float, ...]
    """The same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The logit difference over the strength of steering."""

    intervention_type: InterventionType
    """What was added: more of what fires, or what only the contrast prompt has."""
    aim: str
    """Of what."""
    strengths: tuple[float, ...]
    """In mean activations, 0 first."""
    difference: tuple[Interval, ...]
    """The logit difference at each strength."""
    control: tuple[Interval, ...]
    """With features drawn in their place; empty where there are none."""
    monotone: bool
    """Whether the mean only rises or only falls."""
    rising: Interval
    """The share of prompts on which it only rises with strength."""
    falling: Interval
    """The share on which it only falls."""


def curves_of(gathered: Gathered, aims: Sequence[Aim], how: Bootstrap) -> tuple[Curve, ...]:
    """Every aim that was steered, over its strength."""
    steered = [key for key in gathered.keys(aims) if key[0].startswith("steering")]
    found: dict[tuple[InterventionType, str], None] = dict.fromkeys((key[0], key[1]) for key in steered)
    return tuple(_curve(gathered, kind, aim, how) for kind, aim in found)


def scatters_of(gathered: Gathered, effects: Sequence[Effect], aims: Sequence[Aim]) -> tuple[Scatter, ...]:
    """What graphs, and what everything frozen, predict of zero ablation."""
    graphs = [
        (effect.aim, effect.predicted, effect.effect.estimate) for effect in effects if effect.predicted is not None
    ]
    frozen = [
        (f"{key[1]} on prompt {number}", seen.frozen, gathered.baselines[number][0] - seen.intervened)
        for key in gathered.keys(aims)
        for number, seen in sorted(gathered.seen[key][""].items())
        if key[2] == "feature" and seen.frozen
    ]
    found = [
        _scatter("the graphs' mean effects against mean measured effects, feature by feature", graphs),
        _scatter("effects with everything frozen against effects with nothing frozen, prompt by prompt", frozen),
    ]
    return tuple(scatter for scatter in found if scatter is not None)


def _curve(gathered: Gathered, intervention_type: InterventionType, aim: str, how: Bootstrap) -> Curve:
    keys = sorted((key for key in gathered.seen if key[:2] == (intervention_type, aim)), key=lambda key: key[3] or 0.0)
    prompts = sorted(gathered.seen[keys[0]][""])
    groups = [gathered.groups[number] for number in prompts]
    start = np.asarray([gathered.baselines[number][0] for number in prompts])
    arms = sorted(name for name in gathered.seen[keys[0]] if name)
    own = np.stack([start, *(_values(gathered.seen[key][""], prompts) for key in keys)])
    control = [
        start,
        *(np.mean([_values(gathered.seen[key][arm], prompts) for arm in arms], 0) for key in keys if arms),
    ]
    steps, mean = np.diff(own, axis=0), np.diff(own.mean(1))
    changed = own[-1] != own[0]
    return Curve(
        intervention_type=intervention_type,
        aim=aim,
        strengths=(0.0, *(key[3] or 0.0 for key in keys)),
        difference=tuple(bootstrap(values, clusters=groups, how=how) for values in own),
        control=tuple(bootstrap(values, clusters=groups, how=how) for values in control) if arms else (),
        monotone=bool((mean > 0).all() or (mean < 0).all()),
        rising=wilson(int(((steps >= 0).all(0) & changed).sum()), len(prompts)),
        falling=wilson(int(((steps <= 0).all(0) & changed).sum()), len(prompts)),
    )


def _values(seen: dict[int, Seen], prompts: Sequence[int]) -> np.ndarray:
    return np.asarray([seen[number].intervened for number in prompts])


def _scatter(name: str, points: Sequence[tuple[str, float, float]]) -> Scatter | None:
    """Points that can be compared; None where there are too few, or nothing varies."""
    predicted, measured = [x for _, x, _ in points], [y for _, _, y in points]
    if len(points) < FEWEST_POINTS or not any(predicted) or len(set(measured)) == 1:
        return None
    slope, r_squared, sign_agreement = agree(predicted, measured)
    return Scatter(
        name=name,
        slope=slope,
        r_squared=r_squared,
        sign_agreement=sign_agreement,
        labels=tuple(label for label, _, _ in points),
        predicted=tuple(predicted),
        measured=tuple(measured),
    )
