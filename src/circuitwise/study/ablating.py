"""Ablation of one prompt: features set to zero, and to minus alpha times their activation."""

from collections.abc import Iterator, Sequence

from circuitwise.edits import Scale
from circuitwise.study.acting import Act
from circuitwise.study.aims import Aim, InterventionChoice
from circuitwise.study.measurement import InterventionType
from circuitwise.study.question import Question


def ablations(aims: Sequence[Aim], question: Question, how: InterventionChoice) -> Iterator[Act]:
    """Every aim and its controls, ablated and inhibited where they are in the prompt."""
    kinds: tuple[tuple[InterventionType, float], ...] = (
        ("ablation_zero", 0.0),
        ("ablation_inhibit", -how.inhibition),
    )
    for aim in aims:
        for intervention_type, factor in kinds:
            for control, nodes in aim.arms:
                placed = question.places(nodes)
                yield Act(
                    intervention_type=intervention_type,
                    aim=aim.label,
                    kind=aim.kind,
                    control=control,
                    strength=-factor or None,
                    placed=placed,
                    edits=[Scale(feature, factor, at) for feature, at in placed],
                    predicted=intervention_type == "ablation_zero" and not control,
                )
