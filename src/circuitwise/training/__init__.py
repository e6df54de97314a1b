"""Training dictionaries: transcoders and sparse autoencoders of all layers from one pass over text."""

from circuitwise.training.progress import Progress as Progress
from circuitwise.training.recipe import L0 as L0
from circuitwise.training.recipe import L1 as L1
from circuitwise.training.recipe import Autoencoder as Autoencoder
from circuitwise.training.recipe import CrossLayer as CrossLayer
from circuitwise.training.recipe import PerLayer as PerLayer
from circuitwise.training.recipe import Reading as Reading
from circuitwise.training.recipe import Recipe as Recipe
from circuitwise.training.recipe import Revival as Revival
from circuitwise.training.recipe import Schedule as Schedule
from circuitwise.training.recipe import Skip as Skip
from circuitwise.training.recipe import Sparsity as Sparsity
from circuitwise.training.recipe import Wiring as Wiring
from circuitwise.training.text import HubText as HubText
from circuitwise.training.train import prepare_text as prepare_text
from circuitwise.training.train import train as train

__all__ = [
    "Autoencoder",
    "CrossLayer",
    "HubText",
    "L0",
    "L1",
    "PerLayer",
    "Progress",
    "Reading",
    "Recipe",
    "Revival",
    "Schedule",
    "Skip",
    "Sparsity",
    "Wiring",
    "prepare_text",
    "train",
]
