"""Dictionaries: transcoders and sparse autoencoders, one class for all kinds and one reader for each file format."""

from circuitwise.dictionaries.activations import Activation as Activation
from circuitwise.dictionaries.activations import BatchTopK as BatchTopK
from circuitwise.dictionaries.activations import JumpReLU as JumpReLU
from circuitwise.dictionaries.activations import ReLU as ReLU
from circuitwise.dictionaries.activations import TopK as TopK
from circuitwise.dictionaries.dictionary import Dictionary as Dictionary
from circuitwise.dictionaries.dictionary import Firing as Firing
from circuitwise.dictionaries.dictionary import Kind as Kind
from circuitwise.dictionaries.drawn import random_transcoders as random_transcoders
from circuitwise.dictionaries.loading import READERS as READERS
from circuitwise.dictionaries.loading import load_transcoders as load_transcoders
from circuitwise.dictionaries.native import save_transcoders as save_transcoders
from circuitwise.dictionaries.references import PUBLISHED as PUBLISHED
from circuitwise.dictionaries.references import Published as Published
from circuitwise.dictionaries.references import Reference as Reference
from circuitwise.dictionaries.references import parse_reference as parse_reference
from circuitwise.dictionaries.shipped import SHIPPED as SHIPPED
from circuitwise.dictionaries.shipped import Shipped as Shipped
from circuitwise.dictionaries.transcoders import Transcoders as Transcoders

__all__ = [
    "Activation",
    "BatchTopK",
    "Dictionary",
    "Firing",
    "JumpReLU",
    "Kind",
    "PUBLISHED",
    "Published",
    "READERS",
    "ReLU",
    "Reference",
    "SHIPPED",
    "Shipped",
    "TopK",
    "Transcoders",
    "load_transcoders",
    "parse_reference",
    "random_transcoders",
    "save_transcoders",
]
