"""What a behaviour's circuit does on prompts that it was not found on: ablated, patched and steered, beside controls.

aims = choose_aims(members, supernodes, effects, backdrop, how)
rows = act(replacement, "ablation", aims, question, backdrop, how)         one prompt, one experiment
interventions = summarise(rows of all prompts, aims)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from circuitwise.errors import RequestError
from circuitwise.evidence.intervals import Bootstrap, Interval, bootstrap
from circuitwise.replacement import Replacement
from circuitwise.storage.jsontext import Json
from circuitwise.study.ablating import ablations
from circuitwise.study.acting import perform
from circuitwise.study.aims import USUAL, Aim, InterventionChoice
from circuitwise.study.backdrop import Backdrop
from circuitwise.study.capability import Capability, NeutralRow, capability
from circuitwise.study.curves import Curve, Scatter, curves_of, scatters_of
from circuitwise.study.effects import Effect, effects_of, gather
from circuitwise.study.measurement import Experiment, InterventionType, Measurement
from circuitwise.study.question import Question
from circuitwise.study.steering import steers
from circuitwise.study.swapping import swaps
from circuitwise.study.written import written_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Interventions:
    """What was done to a behaviour's circuit and what came of it."""

    n_prompts: int
    """Prompts that were acted on."""
    n_groups: int
    """Groups that they fall into: what intervals are drawn over."""
    baseline: Interval
    """The logit difference of the untouched model."""
    probability: Interval
    """Its probability of the right answer."""
    contrast: Interval | None
    """The same logit difference on the contrast prompts; None without these."""
    effects: tuple[Effect, ...]
    """One for every kind of intervention, aim and strength."""
    curves: tuple[Curve, ...]
    """Steering, over its strength."""
    scatters: tuple[Scatter, ...]
    """Predicted against measured."""
    capability: tuple[Capability, ...]
    """Neutral text under steering, one for every strength."""

    def as_json(self) -> dict[str, Json]:
        """Everything by name, for a file."""
        return written_fields(self)

    def find(self, intervention_type: InterventionType, aim: str = "circuit", strength: float | None = None) -> Effect:
        """One of the effects."""
        for effect in self.effects:
            if (effect.intervention_type, effect.aim) == (intervention_type, aim) and strength in (
                None,
                effect.strength,
            ):
                return effect
        known = ", ".join(sorted({f"{each.intervention_type} of {each.aim}" for each in self.effects})) or "nothing"
        raise RequestError(f"There is no {intervention_type} of {aim}. Measured were {known}.")


def act(
    replacement: Replacement,
    experiment: Experiment,
    aims: Sequence[Aim],
    question: Question,
    backdrop: Backdrop,
    how: InterventionChoice = USUAL,
) -> list[Measurement]:
    """The rows of one experiment on one prompt; none of patching where the prompt has no contrast."""
    match experiment:
        case "ablation":
            deeds = list(ablations(aims, question, how))
        case "patching":
            deeds = list(swaps(aims, question, how))
        case "steering":
            deeds = list(steers(replacement, aims, question, backdrop, how))
    return perform(replacement, question, deeds)


def summarise(
    rows: Iterable[Measurement],
    aims: Sequence[Aim],
    neutral: Iterable[NeutralRow] = (),
    *,
    how: Bootstrap = Bootstrap(seed=789),
) -> Interventions:
    """What the rows of all prompts and experiments come to."""
    gathered = gather(rows)
    effects = effects_of(gathered, aims, how)
    prompts = gathered.prompts
    groups = [gathered.groups[number] for number in prompts]
    contrast = [gathered.contrasts[number] for number in prompts if number in gathered.contrasts]
    paired = [gathered.groups[number] for number in prompts if number in gathered.contrasts]
    return Interventions(
        n_prompts=len(prompts),
        n_groups=len(set(groups)),
        baseline=bootstrap([gathered.baselines[number][0] for number in prompts], clusters=groups, how=how),
        probability=bootstrap([gathered.baselines[number][1] for number in prompts], clusters=groups, how=how),
        contrast=bootstrap(contrast, clusters=paired, how=how) if contrast else None,
        effects=effects,
        curves=curves_of(gathered, aims, how),
        scatters=scatters_of(gathered, effects, aims),
        capability=capability(neutral, how),
    )
