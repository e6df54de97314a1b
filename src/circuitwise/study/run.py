"""A run: the folder that a study fills, read as values; nothing is read before it is asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from circuitwise.circuit.aggregatesaving import load_aggregate
from circuitwise.errors import ArtifactError
from circuitwise.evidence.intervals import Bootstrap
from circuitwise.graph import Graph, load_graph
from circuitwise.prompts import Item, Split
from circuitwise.storage.jsontext import parse_json
from circuitwise.study.baseline import Baseline, judge_rows, row_of
from circuitwise.study.circuits import BehaviourCircuit, circuit_of
from circuitwise.study.features import FeatureUse, LayerUse
from circuitwise.study.graphs import PromptGraph
from circuitwise.study.importances import Importances
from circuitwise.study.interventions import Interventions
from circuitwise.study.layout import (
    MANIFEST,
    PLAN,
    PROMPTS,
    baseline_file,
    circuit_file,
    evidence_file,
    features_file,
    graph_file,
    graphs_file,
    importances_file,
    intervention_file,
    interventions_file,
    layer_file,
)
from circuitwise.study.measurement import Experiment
from circuitwise.study.plan import Plan, Stage
from circuitwise.study.planfile import reread_plan
from circuitwise.study.proof import Proof
from circuitwise.study.restore import restore
from circuitwise.study.tablefiles import read_rows
from circuitwise.study.work import Failure
from circuitwise.suites import Suite, read_suite
from circuitwise.suites.files import suite_files

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """How far a stage of a behaviour is."""

    done: int = 0
    """Prompts that went through it."""
    failures: tuple[Failure, ...] = ()
    """Prompts that did not."""
    finished: bool = False
    """Whether its results are all there."""
    problem: str = ""
    """Why there are none, where that cannot be mended by going on."""
    seconds: float = 0.0
    """How long it took, over all attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a run says about itself: the only file with times."""

    name: str
    """The study's name."""
    model: str
    """The model's name."""
    model_sha256: str
    """The checksum of its weights."""
    transcoders: str = ""
    """The dictionaries' name; empty where no stage needed any."""
    transcoders_sha256: str = ""
    """The checksum of their weights."""
    misfit: bool = False
    """Whether the dictionaries failed to reconstruct the model and were let through."""
    seeds: Mapping[str, int]
    """Every seed by name."""
    versions: Mapping[str, str]
    """Of circuitwise, Python, torch and transformers."""
    machine: str
    """System, processor, cores and memory; never a host's name."""
    started: str
    """When it was first begun, in UTC."""
    finished: str | None = None
    """When all its stages were done, in UTC."""
    peak_bytes: int = 0
    """The most main memory that an attempt took, over all attempts."""
    behaviours: Mapping[str, Mapping[Stage, StageState]] = field(default_factory=dict[str, Any])
    """Every behaviour with its stages."""
    made: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many results of each kind the last attempt had to compute."""


@dataclass(frozen=True, slots=True, init=False)
class Run:
    """A folder that a study filled; what was not run yet is None or empty."""

    folder: Path
    """Where."""

    def __init__(self, folder: Path | str) -> None:
        object.__setattr__(self, "folder", Path(folder))

    @classmethod
    def load(cls, folder: Path | str) -> "Run":
        """The run in a folder."""
        found = cls(Path(folder))
        if not (found.folder / MANIFEST).is_file():
            raise ArtifactError(f"{folder} holds no run: there is no {MANIFEST}. Name the folder of a study.")
        return found

    @property
    def plan(self) -> Plan:
        """What was asked for."""
        return reread_plan(self.folder / PLAN)

    @property
    def manifest(self) -> Manifest:
        """What it says about itself."""
        return restore(Manifest, self._json(MANIFEST))

    @property
    def behaviours(self) -> tuple[str, ...]:
        """The suites' names, in the plan's order."""
        return tuple(self.manifest.behaviours)

    def suite(self, behaviour: str) -> Suite:
        """The prompts that took part, with their thresholds."""
        return read_suite(suite_files(behaviour, self.folder / PROMPTS)[0])

    def items(self, behaviour: str, split: Split) -> tuple[Item, ...]:
        """The prompts of a split."""
        return self.suite(behaviour).split(split)

    def baseline(self, behaviour: str, split: Split) -> Baseline | None:
        """Whether the model shows the behaviour."""
        if not (path := self.folder / baseline_file(behaviour, split)).is_file():
            return None
        rows, draws = [row_of(row) for row in read_rows(path)], Bootstrap(seed=self.plan.seeds.torch)
        return judge_rows(rows, behaviour, split, self.suite(behaviour).thresholds, how=draws)

    def features(self, behaviour: str, split: Split) -> FeatureUse | None:
        """What fires; the arrays stay in their files until they are touched."""
        if not (self.folder / features_file(behaviour, split)).is_file():
            return None
        told = self._json(features_file(behaviour, split))
        return FeatureUse(
            behaviour=behaviour,
            split=split,
            positions=told["positions"],
            n_prompts=told["n_prompts"],
            samples=tuple((number, pos) for number, pos in told["samples"]),
            layers={meta["layer"]: self._layer(behaviour, split, meta) for meta in told["layers"]},
        )

    def graphs(self, behaviour: str) -> tuple[PromptGraph, ...]:
        """What is known of every prompt's graph."""
        if not (self.folder / graphs_file(behaviour)).is_file():
            return ()
        return tuple(restore(PromptGraph, row) for row in self._json(graphs_file(behaviour)))

    def graph(self, behaviour: str, number: int) -> Graph:
        """The graph of one training prompt."""
        return load_graph(self.folder / graph_file(behaviour, number))

    def circuit(self, behaviour: str) -> BehaviourCircuit | None:
        """What recurs in them."""
        path = self.folder / circuit_file(behaviour)
        return circuit_of(load_aggregate(path), behaviour, self.plan.circuit) if path.is_file() else None

    def interventions(self, behaviour: str) -> Interventions | None:
        """What was done to the circuit, and what came of it."""
        return self._restored(Interventions, interventions_file(behaviour))

    def measurements(self, behaviour: str, experiment: Experiment) -> Iterator[dict[str, str]]:
        """What one experiment did to every prompt, as it stands in the table."""
        return read_rows(self.folder / intervention_file(behaviour, experiment))

    def importances(self, behaviour: str) -> Importances | None:
        """Every feature's association with the logit difference."""
        return self._restored(Importances, importances_file(behaviour))

    def proof(self, behaviour: str) -> Proof | None:
        """What is shown about the circuit."""
        return self._restored(Proof, evidence_file(behaviour))

    def _restored(self, kind: type[Value], name: str) -> Value | None:
        return restore(kind, self._json(name)) if (self.folder / name).is_file() else None

    def _json(self, name: str) -> Any:
        path = self.folder / name
        try:
            return parse_json(path.read_bytes(), what=str(path))
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read ({error.strerror}). Run the stage again.") from error

    def _layer(self, behaviour: str, split: Split, meta: Mapping[str, Any]) -> LayerUse:
        def array(name: str) -> NDArray[Any]:
            path = self.folder / layer_file(behaviour, split, meta["layer"], name)
            try:
                return np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise ArtifactError(f"{path} cannot be read ({error}). Run the stage again.") from error

        return LayerUse(
            layer=meta["layer"],
            frequency=array("feature_frequencies"),
            mean=array("feature_means"),
            maximum=array("feature_maxima"),
            top_indices=array("top_k_indices"),
            top_values=array("top_k_values"),
            n_firing=meta["n_firing"],
        )
