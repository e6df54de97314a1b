"""Patching of one prompt through its minimal pair: features take the values that they have on the contrast prompt.

Controls: other features of the same places, and the same features at another position of the prompt. Beside these the
whole MLP output of every single feature's layer, and the whole prompt, which gives the contrast's own difference.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from circuitwise.edits import At, Patch
from circuitwise.study.acting import Act
from circuitwise.study.aims import Aim, InterventionChoice
from circuitwise.study.question import Ids, Placed, Question
from circuitwise.vocabulary import Site


def swaps(aims: Sequence[Aim], question: Question, how: InterventionChoice) -> Iterator[Act]:
    """Every aim and its controls, whole layers, and everything; nothing without a contrast."""
    if (contrast := question.contrast) is None:
        return
    for aim in aims:
        arms = [(control, question.places(nodes)) for control, nodes in aim.arms]
        arms.append(("position", _elsewhere(question, arms[0][1], how.seed)))
        for control, placed in arms:
            yield Act(
                intervention_type="patching",
                aim=aim.label,
                kind=aim.kind,
                control=control,
                placed=placed,
                edits=[Patch(feature, contrast, at) for feature, at in placed],
            )
    for layer in sorted({node.layer for aim in aims if aim.kind == "feature" for node in aim.members}):
        edits = [Patch(Site(layer, "mlp_out"), contrast)]
        yield Act(intervention_type="patching_layer", aim=f"L{layer}", kind="layer", edits=edits)
    yield everything(contrast)


def everything(contrast: Ids) -> Act:
    """The whole prompt becomes its contrast."""
    edits = [Patch(Site(0, "resid_pre"), contrast)]
    return Act(intervention_type="patching_everything", aim="everything", kind="everything", edits=edits)


def _elsewhere(question: Question, placed: Sequence[Placed], seed: int) -> list[Placed]:
    """The same features at other positions, each drawn among those where it is not."""
    draws = np.random.default_rng([seed, question.number])
    found: dict[Placed, None] = {}
    for feature, at in placed:
        others = [pos for pos in range(question.first, len(question.tokens)) if pos not in at.positions]
        if others:
            found[feature, At(others[int(draws.integers(len(others)))])] = None
    return list(found)
