"""Graphs in the formats of other tools: Neuronpedia and circuit-tracer, both ways, and their validation."""

from circuitwise.interchange.circuittracer import read_pt as read_pt
from circuitwise.interchange.document import Document as Document
from circuitwise.interchange.document import write_document as write_document
from circuitwise.interchange.ptwriting import TracerExport as TracerExport
from circuitwise.interchange.ptwriting import write_pt as write_pt
from circuitwise.interchange.reading import read_document as read_document
from circuitwise.interchange.reading import read_json as read_json
from circuitwise.interchange.s4 import S4 as S4
from circuitwise.interchange.s4 import s4_network as s4_network
from circuitwise.interchange.s4 import write_s4 as write_s4
from circuitwise.interchange.shapes import Problem as Problem
from circuitwise.interchange.validation import validate as validate
from circuitwise.interchange.writing import Export as Export
from circuitwise.interchange.writing import write_json as write_json

__all__ = [
    "Document",
    "Export",
    "Problem",
    "S4",
    "TracerExport",
    "read_document",
    "read_json",
    "read_pt",
    "s4_network",
    "validate",
    "write_document",
    "write_json",
    "write_pt",
    "write_s4",
]
