"""What many prompts' measurements come to: means with intervals over groups of prompts, beside those of controls.

effect             mean over prompts of baseline - intervened
relative           the same over the mean baseline: a ratio of means, never a mean of ratios
moved              of patching: the same over mean (baseline - contrast's own difference); 1 is all the way
beyond             mean of effect - mean effect of the controls; p by flipping its sign, group by group; q over all
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np

from circuitwise.errors import RequestError
from circuitwise.evidence import Bootstrap, Interval, Permute, Ratio, bootstrap, flip_signs, wilson
from circuitwise.evidence.claims import with_q
from circuitwise.study.aims import Aim
from circuitwise.study.measurement import AimKind, InterventionType, Measurement

TYPES: tuple[InterventionType, ...] = get_args(InterventionType)
Key = tuple[InterventionType, str, AimKind, float | None]
"""What was done, to what, which sort of aim that is, and how strongly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one intervention does over many prompts."""

    intervention_type: InterventionType
    """What was done."""
    aim: str
    """To what."""
    kind: AimKind
    """One feature, a supernode, the circuit, a layer, everything."""
    strength: float | None
    """How strongly, where that can be chosen."""
    baseline: Interval
    """The logit difference before."""
    intervened: Interval
    """And after."""
    effect: Interval
    """Baseline less intervened."""
    relative: Interval
    """The effect as a share of the baseline."""
    moved: Interval | None
    """The effect as a share of the way to the contrast prompt's own difference."""
    probability: Interval
    """The effect on the right answer's probability."""
    flipped: Interval
    """The share of prompts whose preferred answer changed."""
    control: Interval | None
    """The effect of features drawn in its place; None where there are none."""
    elsewhere: Interval | None
    """The effect of the same at an irrelevant position; None where that was not tried."""
    beyond: Interval | None
    """The effect less that of the controls."""
    p: float | None
    """How often chance alone makes that difference as large."""
    q: float | None
    """Corrected for all effects of the table."""
    frozen: Interval | None
    """The effect with everything frozen."""
    predicted: float | None
    """The effect that the graphs predict."""
    touched: float
    """The share of prompts in which something of the aim is there to be changed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of a measurement."""

    intervened: float
    """The logit difference."""
    probability: float
    """The effect on the right answer's probability."""
    frozen: float | None
    """The effect with everything frozen."""
    touched: bool
    """Whether anything was there to be changed."""


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """The numbers of all prompts."""

    seen: dict[Key, dict[str, dict[int, Seen]]] = field(default_factory=dict[Key, dict[str, dict[int, Seen]]])
    """By key, by control, by prompt."""
    baselines: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])
    """By prompt, the untouched logit difference, and the probability of the right answer."""
    groups: dict[int, str] = field(default_factory=dict[int, str])
    """By prompt, its group."""
    contrasts: dict[int, float] = field(default_factory=dict[int, float])
    """By prompt, the logit difference of its contrast."""

    @property
    def prompts(self) -> list[int]:
        """All prompts, in order."""
        return sorted(self.baselines)

    def keys(self, aims: Sequence[Aim]) -> list[Key]:
        """What was done: kind by kind, aims in their order, layers after these, weaker before stronger."""
        order = {aim.label: number for number, aim in enumerate(aims)}
        return sorted(
            self.seen,
            key=lambda key: (TYPES.index(key[0]), order.get(key[1], len(order)), len(key[1]), key[1:2], key[3] or 0),
        )


def gather(rows: Iterable[Measurement]) -> Gathered:
    """The numbers of measurements, in any order."""
    found = Gathered()
    for row in rows:
        key = row.intervention_type, row.aim, row.kind, row.strength
        seen = Seen(row.intervened_logit_diff, row.probability_effect, row.frozen_effect, _touched(row))
        found.seen.setdefault(key, {}).setdefault(row.control, {})[row.prompt_idx] = seen
        found.baselines.setdefault(row.prompt_idx, (row.baseline_logit_diff, row.baseline_probability))
        found.groups[row.prompt_idx] = row.group
        if row.intervention_type == "patching_everything":
            found.contrasts[row.prompt_idx] = row.intervened_logit_diff
    if not found.seen:
        raise RequestError(
            "No intervention was measured, so there is nothing to summarise. Run one experiment at least."
        )
    return found


def _touched(row: Measurement) -> bool:
    return bool(row.features_intervened) or row.kind in ("layer", "everything")


def effects_of(gathered: Gathered, aims: Sequence[Aim], how: Bootstrap) -> tuple[Effect, ...]:
    """Every effect with its interval, its controls, and q over all of them."""
    predicted = {aim.label: aim.predicted for aim in aims}
    found = [_effect(gathered, key, predicted.get(key[1]), how) for key in gathered.keys(aims)]
    q = with_q([effect.p for effect in found])
    return tuple(replace(effect, q=value) for effect, value in zip(found, q, strict=True))


def _effect(gathered: Gathered, key: Key, predicted: float | None, how: Bootstrap) -> Effect:
    own = gathered.seen[key][""]
    prompts = sorted(own)
    groups = [gathered.groups[number] for number in prompts]
    baseline = np.asarray([gathered.baselines[number][0] for number in prompts])
    intervened = np.asarray([own[number].intervened for number in prompts])
    effect = baseline - intervened
    control = _control_effects(gathered, key, prompts)
    elsewhere = gathered.seen[key].get("position")

    def interval(values: Sequence[float] | np.ndarray) -> Interval:
        return bootstrap(values, clusters=groups, how=how)

    flips = int(((baseline > 0) != (intervened > 0)).sum())
    frozen = [seen.frozen for number in prompts if (seen := own[number]).frozen is not None]
    beyond = None if control is None else effect - control
    test = None if beyond is None else flip_signs(beyond, clusters=groups, how=Permute(seed=how.seed))
    return Effect(
        intervention_type=key[0],
        aim=key[1],
        kind=key[2],
        strength=key[3],
        baseline=interval(baseline),
        intervened=interval(intervened),
        effect=interval(effect),
        relative=bootstrap(effect, baseline, statistic=Ratio(), clusters=groups, how=how),
        moved=_moved(gathered, prompts, effect, groups, how) if key[0].startswith("patching") else None,
        probability=interval([own[number].probability for number in prompts]),
        flipped=wilson(flips, len(prompts)),
        control=None if control is None else interval(control),
        elsewhere=None
        if elsewhere is None
        else interval(baseline - [elsewhere[number].intervened for number in prompts]),
        beyond=None if beyond is None else interval(beyond),
        p=None if test is None else test.p,
        q=None,
        frozen=interval(frozen) if len(frozen) == len(prompts) else None,
        predicted=predicted if key[0] == "ablation_zero" else None,
        touched=sum(own[number].touched for number in prompts) / len(prompts),
    )


def _control_effects(gathered: Gathered, key: Key, prompts: Sequence[int]) -> np.ndarray | None:
    """The effect of what stands in the aim's place, in the mean over its controls, prompt by prompt."""
    arms = [seen for name, seen in sorted(gathered.seen[key].items()) if name.startswith("feature")]
    if not arms:
        return None
    baseline = np.asarray([gathered.baselines[number][0] for number in prompts])
    return np.mean([baseline - [seen[number].intervened for number in prompts] for seen in arms], 0)


def _moved(
    gathered: Gathered, prompts: Sequence[int], effect: np.ndarray, groups: Sequence[str], how: Bootstrap
) -> Interval | None:
    """The effect as a share of the whole way to the contrast."""
    way = [gathered.baselines[number][0] - gathered.contrasts[number] for number in prompts]
    return bootstrap(effect, way, statistic=Ratio(), clusters=groups, how=how) if sum(way) else None
