"""What a study runs on: its model and dictionaries, opened when they are first needed, and their checksums."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from circuitwise.dictionaries.drawn import random_transcoders
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.dictionaries.shipped import shipped_for
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import RequestError
from circuitwise.features.survey import transcoders_checksum
from circuitwise.model.fingerprint import fingerprint
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.replacement import Replacement
from circuitwise.storage import Json
from circuitwise.study.plan import Plan

RANDOM = "random"
"""The name that asks for drawn dictionaries; nothing found with them is a finding."""
N_FEATURES, FIRING = 1024, 32
"""Features that are drawn for a layer, and how many of them fire at a position."""
VERSION = 1
"""Results of an older version are computed again."""


class Opened:
    """A model and dictionaries by the names in a plan, or those that are given."""

    def __init__(self, plan: Plan, model: Model | None = None, replacement: Replacement | None = None) -> None:
        """Nothing is opened yet but what is given."""
        self.plan = plan
        self._model = replacement.model if replacement is not None else model
        self._replacement = replacement

    @cached_property
    def model(self) -> Model:
        """The model."""
        return load_model(self.plan.model) if self._model is None else self._model

    @cached_property
    def replacement(self) -> Replacement:
        """The model with dictionaries."""
        if self._replacement is not None:
            return self._replacement
        name, layers = named_set(self.plan), self.plan.layers or ()
        if layers and max(layers) >= self.model.n_layers:
            raise RequestError(
                f"The study asks for the dictionaries of layer {max(layers)}, but {self.model.name} has layers 0 to "
                f"{self.model.n_layers - 1}."
            )
        if name == RANDOM:
            return Replacement(self.model, self._draw(), allow_misfit=True)
        found = load_transcoders(name, layers=self.plan.layers, device=self.model.device)
        return Replacement(self.model, found, allow_misfit=self.plan.allow_misfit)

    @cached_property
    def model_key(self) -> Mapping[str, Json]:
        """What every result depends on."""
        model = self.model
        checksum = fingerprint(model)
        return {"version": VERSION, "model": checksum, "dtype": str(model.dtype), "device": model.device.type}

    @cached_property
    def key(self) -> Mapping[str, Json]:
        """The same with the dictionaries."""
        found = self.replacement.transcoders
        return {**self.model_key, "transcoders": transcoders_checksum(found), "layers": [each.layer for each in found]}

    def _draw(self) -> Transcoders:
        model, seed = self.model, self.plan.seeds.torch
        drawn = random_transcoders(model.n_layers, model.d_model, n_features=N_FEATURES, firing=FIRING, seed=seed)
        wanted = range(model.n_layers) if self.plan.layers is None else self.plan.layers
        return replace(drawn, layers=tuple(each for each in drawn if each.layer in wanted))


def named_set(plan: Plan) -> str:
    """The name of the dictionaries that a plan asks for, or of those that are shipped for its model."""
    chosen = plan.transcoders if plan.transcoders is not None else shipped_for(plan.model)
    if chosen is None:
        raise RequestError(
            f"No dictionaries are shipped for the model “{plan.model}”. Name a set as transcoders in the plan, or by "
            f"--transcoders: `circuitwise models` lists published ones; “{RANDOM}” draws some, to try things out."
        )
    return chosen
