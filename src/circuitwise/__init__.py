"""Find the circuit behind a behaviour of a language model, prove it by intervention, watch it change in training."""

from circuitwise.attribution.attribute import Budget as Budget
from circuitwise.attribution.attribute import attribute as attribute
from circuitwise.attribution.attribute import attribute_many as attribute_many
from circuitwise.attribution.heads import HeadShares as HeadShares
from circuitwise.attribution.heads import heads as heads
from circuitwise.circuit.aggregate import aggregate as aggregate
from circuitwise.circuit.aggregatesaving import load_aggregate as load_aggregate
from circuitwise.circuit.aggregatesaving import save_aggregate as save_aggregate
from circuitwise.circuit.aggregatetables import aggregate_network as aggregate_network
from circuitwise.circuit.aggregation import Aggregate as Aggregate
from circuitwise.circuit.aggregation import Aggregation as Aggregation
from circuitwise.circuit.compare import Comparison as Comparison
from circuitwise.circuit.compare import Origins as Origins
from circuitwise.circuit.compare import compare as compare
from circuitwise.circuit.influence import influence as influence
from circuitwise.circuit.paths import Path as Path
from circuitwise.circuit.paths import strongest_paths as strongest_paths
from circuitwise.circuit.prune import Circuit as Circuit
from circuitwise.circuit.prune import Prune as Prune
from circuitwise.circuit.prune import prune as prune
from circuitwise.circuit.saving import load_circuit as load_circuit
from circuitwise.circuit.saving import save_circuit as save_circuit
from circuitwise.circuit.scores import Scores as Scores
from circuitwise.circuit.scores import scores as scores
from circuitwise.circuit.supernodes import Grouping as Grouping
from circuitwise.circuit.supernodes import Supernode as Supernode
from circuitwise.circuit.supernodes import supernodes as supernodes
from circuitwise.dictionaries import BatchTopK as BatchTopK
from circuitwise.dictionaries import Dictionary as Dictionary
from circuitwise.dictionaries import Firing as Firing
from circuitwise.dictionaries import JumpReLU as JumpReLU
from circuitwise.dictionaries import ReLU as ReLU
from circuitwise.dictionaries import TopK as TopK
from circuitwise.dictionaries import Transcoders as Transcoders
from circuitwise.dictionaries import load_transcoders as load_transcoders
from circuitwise.dictionaries import random_transcoders as random_transcoders
from circuitwise.dictionaries import save_transcoders as save_transcoders
from circuitwise.edits import EVERYWHERE as EVERYWHERE
from circuitwise.edits import LAST as LAST
from circuitwise.edits import At as At
from circuitwise.edits import Edit as Edit
from circuitwise.edits import Freeze as Freeze
from circuitwise.edits import From as From
from circuitwise.edits import MeanOver as MeanOver
from circuitwise.edits import Only as Only
from circuitwise.edits import Patch as Patch
from circuitwise.edits import ResampleFrom as ResampleFrom
from circuitwise.edits import Scale as Scale
from circuitwise.edits import Set as Set
from circuitwise.edits import Steer as Steer
from circuitwise.errors import ArtifactError as ArtifactError
from circuitwise.errors import CircuitwiseError as CircuitwiseError
from circuitwise.errors import DictionaryError as DictionaryError
from circuitwise.errors import ModelError as ModelError
from circuitwise.errors import PromptError as PromptError
from circuitwise.errors import RequestError as RequestError
from circuitwise.evidence import Agreement as Agreement
from circuitwise.evidence import Claim as Claim
from circuitwise.evidence import EdgeTrial as EdgeTrial
from circuitwise.evidence import Evidence as Evidence
from circuitwise.evidence import FeatureTrial as FeatureTrial
from circuitwise.evidence import Importance as Importance
from circuitwise.evidence import Mediates as Mediates
from circuitwise.evidence import examine_edges as examine_edges
from circuitwise.evidence import examine_features as examine_features
from circuitwise.evidence import importance as importance
from circuitwise.evidence import judge as judge
from circuitwise.evidence import matched_features as matched_features
from circuitwise.evidence import observe as observe
from circuitwise.evidence import predict_effects as predict_effects
from circuitwise.features import Examples as Examples
from circuitwise.features import Survey as Survey
from circuitwise.features import feature_page as feature_page
from circuitwise.features import load_survey as load_survey
from circuitwise.features import promoted_tokens as promoted_tokens
from circuitwise.features import save_survey as save_survey
from circuitwise.features import survey as survey
from circuitwise.graph import Graph as Graph
from circuitwise.graph import Kind as Kind
from circuitwise.graph import load_graph as load_graph
from circuitwise.graph import save_graph as save_graph
from circuitwise.graph import to_networkx as to_networkx
from circuitwise.graph import to_pandas as to_pandas
from circuitwise.graph import write_graphml as write_graphml
from circuitwise.interchange import S4 as S4
from circuitwise.interchange import Document as Document
from circuitwise.interchange import Export as Export
from circuitwise.interchange import Problem as Problem
from circuitwise.interchange import TracerExport as TracerExport
from circuitwise.interchange import read_document as read_document
from circuitwise.interchange import read_json as read_json
from circuitwise.interchange import read_pt as read_pt
from circuitwise.interchange import s4_network as s4_network
from circuitwise.interchange import validate as validate
from circuitwise.interchange import write_document as write_document
from circuitwise.interchange import write_json as write_json
from circuitwise.interchange import write_pt as write_pt
from circuitwise.interchange import write_s4 as write_s4
from circuitwise.intervention import Case as Case
from circuitwise.intervention import Generation as Generation
from circuitwise.intervention import Outcome as Outcome
from circuitwise.intervention import intervene as intervene
from circuitwise.intervention import intervene_many as intervene_many
from circuitwise.model import Frozen as Frozen
from circuitwise.model import Model as Model
from circuitwise.model import Padded as Padded
from circuitwise.model import Pass as Pass
from circuitwise.model import Sampling as Sampling
from circuitwise.model import fingerprint as fingerprint
from circuitwise.model import freeze as freeze
from circuitwise.model import generate as generate
from circuitwise.model import load_model as load_model
from circuitwise.model import pad as pad
from circuitwise.model import probe as probe
from circuitwise.model import rebuild as rebuild
from circuitwise.model import run as run
from circuitwise.model import tokenize as tokenize
from circuitwise.model.tokens import text_ids as text_ids
from circuitwise.model.tokens import token_text as token_text
from circuitwise.patching.circuits import EdgeCircuit as EdgeCircuit
from circuitwise.patching.circuits import drop_dangling as drop_dangling
from circuitwise.patching.circuits import greedy as greedy
from circuitwise.patching.circuits import top as top
from circuitwise.patching.edges import attribute_sources as attribute_sources
from circuitwise.patching.edges import edges as edges
from circuitwise.patching.integrate import IntegratedGradients as IntegratedGradients
from circuitwise.patching.integrate import MeanEmbedding as MeanEmbedding
from circuitwise.patching.integrate import OtherPrompt as OtherPrompt
from circuitwise.patching.integrate import Zeros as Zeros
from circuitwise.patching.integrate import integrate as integrate
from circuitwise.patching.pairs import Pair as Pair
from circuitwise.patching.patch import Denoise as Denoise
from circuitwise.patching.patch import Noise as Noise
from circuitwise.patching.patch import patch as patch
from circuitwise.patching.patchmap import Component as Component
from circuitwise.patching.patchmap import PatchMap as PatchMap
from circuitwise.patching.rules import EAP as EAP
from circuitwise.patching.rules import EAPIG as EAPIG
from circuitwise.patching.rules import RelP as RelP
from circuitwise.patching.running import Corrupted as Corrupted
from circuitwise.patching.running import EdgeRuns as EdgeRuns
from circuitwise.patching.running import MeanOf as MeanOf
from circuitwise.patching.running import run_edges as run_edges
from circuitwise.patching.saving import FoundEdges as FoundEdges
from circuitwise.patching.saving import load_edges as load_edges
from circuitwise.patching.saving import save_edges as save_edges
from circuitwise.patching.scores import EdgeScores as EdgeScores
from circuitwise.patching.scores import SourceScores as SourceScores
from circuitwise.patching.wiring import Wiring as Wiring
from circuitwise.patching.wiring import wiring as wiring
from circuitwise.planted import Planted as Planted
from circuitwise.planted import PlantedPair as PlantedPair
from circuitwise.planted import PlantedPrompt as PlantedPrompt
from circuitwise.planted import plant_agreement as plant_agreement
from circuitwise.planted import plant_decoy as plant_decoy
from circuitwise.planted import plant_induction as plant_induction
from circuitwise.planted import plant_two_hop as plant_two_hop
from circuitwise.planted import shuffled as shuffled
from circuitwise.prompts import Item as Item
from circuitwise.quality import Quality as Quality
from circuitwise.quality import measure_quality as measure_quality
from circuitwise.replacement import Fit as Fit
from circuitwise.replacement import Replacement as Replacement
from circuitwise.storage import Artifact as Artifact
from circuitwise.storage import Provenance as Provenance
from circuitwise.storage import Table as Table
from circuitwise.storage import peek_artifact as peek_artifact
from circuitwise.storage import read_artifact as read_artifact
from circuitwise.storage import read_table as read_table
from circuitwise.storage import write_artifact as write_artifact
from circuitwise.storage import write_table as write_table
from circuitwise.study import Plan as Plan
from circuitwise.study import Run as Run
from circuitwise.study import Study as Study
from circuitwise.suites import Suite as Suite
from circuitwise.suites import make_suite as make_suite
from circuitwise.suites import read_suite as read_suite
from circuitwise.suites import write_suite as write_suite
from circuitwise.targets import Difference as Difference
from circuitwise.targets import Direction as Direction
from circuitwise.targets import FeatureTarget as FeatureTarget
from circuitwise.targets import Salient as Salient
from circuitwise.targets import Token as Token
from circuitwise.training import L0 as L0
from circuitwise.training import L1 as L1
from circuitwise.training import Autoencoder as Autoencoder
from circuitwise.training import CrossLayer as CrossLayer
from circuitwise.training import PerLayer as PerLayer
from circuitwise.training import Reading as Reading
from circuitwise.training import Recipe as Recipe
from circuitwise.training import Revival as Revival
from circuitwise.training import Schedule as Schedule
from circuitwise.training import Skip as Skip
from circuitwise.training import train as train
from circuitwise.vocabulary import Feature as Feature
from circuitwise.vocabulary import Head as Head
from circuitwise.vocabulary import Site as Site

__all__ = [
    "Aggregate",
    "Aggregation",
    "Agreement",
    "Artifact",
    "ArtifactError",
    "At",
    "Autoencoder",
    "BatchTopK",
    "Budget",
    "Case",
    "Circuit",
    "CircuitwiseError",
    "Claim",
    "Comparison",
    "Component",
    "Corrupted",
    "CrossLayer",
    "Denoise",
    "Dictionary",
    "DictionaryError",
    "Difference",
    "Direction",
    "Document",
    "EAP",
    "EAPIG",
    "EVERYWHERE",
    "EdgeCircuit",
    "EdgeRuns",
    "EdgeScores",
    "EdgeTrial",
    "Edit",
    "Evidence",
    "Examples",
    "Export",
    "Feature",
    "FeatureTarget",
    "FeatureTrial",
    "Firing",
    "Fit",
    "FoundEdges",
    "Freeze",
    "From",
    "Frozen",
    "Generation",
    "Graph",
    "Grouping",
    "Head",
    "HeadShares",
    "Importance",
    "IntegratedGradients",
    "Item",
    "JumpReLU",
    "Kind",
    "L0",
    "L1",
    "LAST",
    "MeanEmbedding",
    "MeanOf",
    "MeanOver",
    "Mediates",
    "Model",
    "ModelError",
    "Noise",
    "Only",
    "Origins",
    "OtherPrompt",
    "Outcome",
    "Padded",
    "Pair",
    "Pass",
    "Patch",
    "PatchMap",
    "Path",
    "PerLayer",
    "Plan",
    "Planted",
    "PlantedPair",
    "PlantedPrompt",
    "Problem",
    "PromptError",
    "Provenance",
    "Prune",
    "Quality",
    "ReLU",
    "Reading",
    "Recipe",
    "RelP",
    "Replacement",
    "RequestError",
    "ResampleFrom",
    "Revival",
    "Run",
    "S4",
    "Salient",
    "Sampling",
    "Scale",
    "Schedule",
    "Scores",
    "Set",
    "Site",
    "Skip",
    "SourceScores",
    "Steer",
    "Study",
    "Suite",
    "Supernode",
    "Survey",
    "Table",
    "Token",
    "TopK",
    "TracerExport",
    "Transcoders",
    "Wiring",
    "Zeros",
    "aggregate",
    "aggregate_network",
    "attribute",
    "attribute_many",
    "attribute_sources",
    "compare",
    "drop_dangling",
    "edges",
    "examine_edges",
    "examine_features",
    "feature_page",
    "fingerprint",
    "freeze",
    "generate",
    "greedy",
    "heads",
    "importance",
    "influence",
    "integrate",
    "intervene",
    "intervene_many",
    "judge",
    "load_aggregate",
    "load_circuit",
    "load_edges",
    "load_graph",
    "load_model",
    "load_survey",
    "load_transcoders",
    "make_suite",
    "matched_features",
    "measure_quality",
    "observe",
    "pad",
    "patch",
    "peek_artifact",
    "plant_agreement",
    "plant_decoy",
    "plant_induction",
    "plant_two_hop",
    "predict_effects",
    "probe",
    "promoted_tokens",
    "prune",
    "random_transcoders",
    "read_artifact",
    "read_document",
    "read_json",
    "read_pt",
    "read_suite",
    "read_table",
    "rebuild",
    "run",
    "run_edges",
    "s4_network",
    "save_aggregate",
    "save_circuit",
    "save_edges",
    "save_graph",
    "save_survey",
    "save_transcoders",
    "scores",
    "shuffled",
    "strongest_paths",
    "supernodes",
    "survey",
    "text_ids",
    "to_networkx",
    "to_pandas",
    "token_text",
    "tokenize",
    "top",
    "train",
    "validate",
    "wiring",
    "write_artifact",
    "write_document",
    "write_graphml",
    "write_json",
    "write_pt",
    "write_s4",
    "write_suite",
    "write_table",
]
