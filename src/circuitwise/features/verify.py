"""Whether a survey's activations are what the model and its dictionaries compute."""

from collections.abc import Sequence

import torch
from torch import Tensor

from circuitwise.errors import RequestError
from circuitwise.features.examples import Contexts, window_start
from circuitwise.features.survey import TOKENS_PER_RUN, Survey, read_inputs
from circuitwise.features.tally import encode_sequences
from circuitwise.replacement import Replacement
from circuitwise.vocabulary import Feature


@torch.no_grad()
def verify(survey: Survey, replacement: Replacement, features: Sequence[Feature]) -> float:
    """The largest difference between a stored activation of these features and a fresh encode; 0 where all agree.

    Sequences run in the same batches as in the survey, so on the same machine they agree to the bit.
    """
    dictionaries = {dictionary.layer: dictionary for dictionary in replacement.transcoders}
    for feature in features:
        if feature.layer not in survey.layers or feature.layer not in dictionaries:
            raise RequestError(f"The survey and the set do not both have {feature}. Name a feature that both have.")
    worst = 0.0
    step = max(1, TOKENS_PER_RUN // survey.sequences.shape[1])
    for start in range(0, len(survey.sequences), step):
        inputs = read_inputs(replacement, survey.sequences[start : start + step], survey.origin.precision)
        for feature in features:
            dictionary, layer = dictionaries[feature.layer], survey.layers[feature.layer]
            fired = encode_sequences(dictionary, inputs[dictionary.read], survey.origin.n_excluded)
            mine = fired.feature == feature.index
            fresh = torch.zeros(fired.n_sequences, fired.n_pos)
            fresh[fired.sequence[mine].cpu(), fired.pos[mine].cpu()] = fired.value[mine].cpu()
            for contexts in (layer.strongest, layer.sampled):
                worst = max(worst, _difference(survey, contexts, feature.index, fresh, start))
    return worst


def _difference(survey: Survey, contexts: Contexts, row: int, fresh: Tensor, start: int) -> float:
    """How far the stored contexts of a feature that lie in some sequences are from its activations there."""
    sequence = contexts.sequence[row] - start
    here = (contexts.sequence[row] >= 0) & (sequence >= 0) & (sequence < len(fresh))
    if not bool(here.any()):
        return 0.0
    first = window_start(contexts.pos[row, here], survey.how, fresh.shape[1])
    columns = first[:, None] + torch.arange(contexts.window.shape[2])
    found = fresh[sequence[here].long()[:, None], columns.long()]
    return float((found - contexts.window[row, here]).abs().max())
