"""One row of an experiment: a prompt, what was done to it, and what became of its two answers.

    effect = baseline - intervened          in the logit difference, and in the probability of the right answer

The first eleven fields are those of S4's ``InterventionResult``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from circuitwise.errors import ArtifactError

Experiment = Literal["ablation", "patching", "steering"]
EXPERIMENTS: tuple[Experiment, ...] = get_args(Experiment)
"""What is done to prompts; each has its own table."""
InterventionType = Literal[
    "ablation_zero",
    "ablation_inhibit",
    "patching",
    "patching_layer",
    "patching_everything",
    "steering_amplify",
    "steering_insert",
]
"""What was done, as it stands in tables."""
AimKind = Literal["feature", "supernode", "circuit", "layer", "everything"]
Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one intervention did to one prompt."""

    prompt_idx: int
    """The prompt's place in its split."""
    prompt: str
    """The prompt."""
    baseline_logit_diff: float
    """The logit of the right answer less that of the wrong one."""
    intervened_logit_diff: float
    """The same under the intervention."""
    effect_size: float
    """Baseline less intervened."""
    relative_effect: float | None
    """The effect over the size of the baseline; None where that is zero. Never average it over prompts."""
    intervention_type: InterventionType
    """What was done."""
    layer: str
    """The layers of what was changed, apart by spaces; empty where that is everything or nothing."""
    features_intervened: str
    """What was changed and where in the prompt, apart by spaces; empty where nothing of it is in this prompt."""
    correct_token: str
    """The scored token of the right answer."""
    incorrect_token: str
    """That of the wrong one."""
    aim: str
    """What was aimed at: a feature with its role, a supernode's label, ``circuit``."""
    kind: AimKind
    """Which of these it is."""
    control: str = ""
    """Empty for the aim itself; ``feature 1``, ... for features drawn in its place, ``position`` for another place."""
    strength: float | None = None
    """Of steering, in mean activations; of inhibition, alpha."""
    baseline_probability: float
    """Of the right answer's scored token."""
    intervened_probability: float
    """The same under the intervention."""
    probability_effect: float
    """Baseline less intervened."""
    frozen_effect: float | None = None
    """The effect on the logit difference with everything frozen: what edges from the feature to the answers say."""
    group: str = ""
    """The prompt's group."""

    def row(self) -> dict[str, Cell]:
        """The fields by name, in their order."""
        return asdict(self)


COLUMNS = tuple(each.name for each in fields(Measurement))
"""The columns of a table of measurements, in their order."""


def measurement_of(row: Mapping[str, Any]) -> Measurement:
    """The measurement whose fields were written as a row."""
    if set(row) != set(COLUMNS):
        odd = ", ".join(sorted(set(row) ^ set(COLUMNS)))
        raise ArtifactError(f"A measurement does not have the columns that are expected ({odd}). Run the stage again.")
    return Measurement(**row)
