"""Labels of a survey on the nodes of a graph."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from circuitwise.circuit.prune import Circuit
from circuitwise.cli.graphfiles import Subject, file_kind, graph_of
from circuitwise.dictionaries.shipped import shipped_survey
from circuitwise.errors import RequestError
from circuitwise.features.saving import load_survey
from circuitwise.features.survey import Survey
from circuitwise.graph.graph import Graph, Kind
from circuitwise.storage import peek_artifact
from circuitwise.vocabulary import Feature, integers

SurveyFolder = Annotated[
    Path | None,
    typer.Option("--survey", metavar="FOLDER", help="Label features from this survey of their dictionaries."),
]


def open_labels(subject: Subject, path: Path, folder: Path) -> tuple[Subject, Survey]:
    """The graph or circuit in a file with a survey's labels on its features, and the survey."""
    graph = graph_of(subject)
    places = features_of(graph)
    found = load_survey(folder, layers={feature.layer for _, feature in places})
    _check(graph, path, found, folder)
    names = found.labels([feature for _, feature in places])
    labels = {number: names[feature] for number, feature in places if feature in names}
    labelled = replace(graph, labels=labels | dict(graph.labels))  # what somebody wrote on a node stays
    return (replace(subject, graph=labelled) if isinstance(subject, Circuit) else labelled), found


def shipped_labels(subject: Subject, path: Path) -> Subject:
    """The same with labels, if it was made with dictionaries whose survey came along."""
    folder = shipped_survey(graph_of(subject).transcoders)
    if folder is None:
        return subject
    try:
        return open_labels(subject, path, folder)[0]
    except RequestError:  # made with an earlier version of these dictionaries
        return subject


def features_of(graph: Graph) -> Sequence[tuple[int, Feature]]:
    """Every feature node with its feature."""
    nodes = integers(graph.nodes.where(Kind.FEATURE))
    layers, indices = integers(graph.nodes.layer[nodes]), integers(graph.nodes.index[nodes])
    pairs = zip(nodes, layers, indices, strict=True)
    return [(number, Feature(layer, index)) for number, layer, index in pairs if index >= 0]


def _check(graph: Graph, path: Path, found: Survey, folder: Path) -> None:
    """Refuse a survey of other dictionaries: by checksum where the graph has one, else by name."""
    provenance = peek_artifact(path).provenance if file_kind(path) == "artifact" else None
    source = None if provenance is None else provenance.dictionary
    if source is not None and source.sha256 is not None:
        same = source.sha256 == found.origin.transcoders_sha256
    else:
        same = graph.transcoders == found.origin.transcoders
    if not same:
        raise RequestError(
            f"{folder} is a survey of “{found.origin.transcoders}”, but {path} was made with “{graph.transcoders}”: "
            "their features have nothing to do with each other. Name the survey of the graph's dictionaries."
        )
