"""What a feature means: the tokens that it promotes, where it fires on a text, a label, pages, other tools' files."""

from circuitwise.features.examples import Examples as Examples
from circuitwise.features.exchange import neuronpedia_value as neuronpedia_value
from circuitwise.features.exchange import read_neuronpedia_feature as read_neuronpedia_feature
from circuitwise.features.exchange import read_tracer_feature as read_tracer_feature
from circuitwise.features.exchange import write_neuronpedia_feature as write_neuronpedia_feature
from circuitwise.features.exchange import write_tracer_features as write_tracer_features
from circuitwise.features.labels import Label as Label
from circuitwise.features.page import feature_page as feature_page
from circuitwise.features.profile import Context as Context
from circuitwise.features.profile import Profile as Profile
from circuitwise.features.promoted import Promoted as Promoted
from circuitwise.features.promoted import promoted_tokens as promoted_tokens
from circuitwise.features.saving import check_belongs as check_belongs
from circuitwise.features.saving import load_survey as load_survey
from circuitwise.features.saving import save_survey as save_survey
from circuitwise.features.survey import Survey as Survey
from circuitwise.features.survey import survey as survey
from circuitwise.features.verify import verify as verify

__all__ = [
    "Context",
    "Examples",
    "Label",
    "Profile",
    "Promoted",
    "Survey",
    "check_belongs",
    "feature_page",
    "load_survey",
    "neuronpedia_value",
    "promoted_tokens",
    "read_neuronpedia_feature",
    "read_tracer_feature",
    "save_survey",
    "survey",
    "verify",
    "write_neuronpedia_feature",
    "write_tracer_features",
]
