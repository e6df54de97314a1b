"""Where everything lies in a run's folder: the paths that the behaviour studies of S4 name."""

from circuitwise.prompts import Split
from circuitwise.study.measurement import Experiment

PLAN, MANIFEST, PROMPTS = "plan.toml", "manifest.json", "data/prompts"


def baseline_file(behaviour: str, split: Split) -> str:
    """Every prompt's log-probabilities."""
    return f"data/results/baseline_{behaviour}_{split}.csv"


def metrics_file(split: Split) -> str:
    """The baselines of all behaviours."""
    return f"data/results/baseline_metrics_{split}.json"


def layer_file(behaviour: str, split: Split, layer: int, name: str) -> str:
    """One array of a layer's features."""
    return f"transcoder_features/{behaviour}/layer_{layer:02d}/{behaviour}_{split}_{name}.npy"


def layer_meta_file(behaviour: str, split: Split, layer: int) -> str:
    """What a layer's arrays are."""
    return f"transcoder_features/{behaviour}/layer_{layer:02d}/{behaviour}_{split}_layer_meta.json"


def features_file(behaviour: str, split: Split) -> str:
    """The features of all layers in a few numbers, and which sample is which."""
    return f"transcoder_features/{behaviour}/{behaviour}_{split}_summary.json"


def graph_file(behaviour: str, number: int) -> str:
    """One prompt's graph."""
    return f"attribution_graphs/{behaviour}/prompts/{number:04d}.graph"


def graphs_file(behaviour: str) -> str:
    """Every prompt's graph in a few numbers."""
    return f"attribution_graphs/{behaviour}/prompts.json"


def circuit_file(behaviour: str) -> str:
    """The aggregate of all graphs."""
    return f"attribution_graphs/{behaviour}/circuit.safetensors"


def supernodes_file(behaviour: str) -> str:
    """Its supernodes and members."""
    return f"attribution_graphs/{behaviour}/supernodes.json"


def intervention_file(behaviour: str, experiment: Experiment) -> str:
    """What one experiment did to every prompt."""
    return f"interventions/{behaviour}/intervention_{experiment}_{behaviour}.csv"


def interventions_file(behaviour: str) -> str:
    """What all experiments come to."""
    return f"interventions/{behaviour}/intervention_{behaviour}_summary.json"


def importance_file(behaviour: str, layer: int) -> str:
    """Every feature of a layer against the logit difference."""
    return f"interventions/{behaviour}/feature_importance_layer_{layer}.csv"


def importances_file(behaviour: str) -> str:
    """The features that were tested again."""
    return f"interventions/{behaviour}/feature_importance_summary.json"


def evidence_file(behaviour: str) -> str:
    """The claims and their verdicts."""
    return f"evidence/{behaviour}.json"
