"""Aggregates in files: an artifact of the kind ``aggregate`` that reads back exactly as it was written.

Nodes and edges are columns of tensors; roles are numbered, and their names stand in the header.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor

from circuitwise.circuit.aggregatetables import edge_columns, node_columns
from circuitwise.circuit.aggregation import Aggregate, Aggregation, MeanEdges, Positions
from circuitwise.circuit.roles import RoleNode
from circuitwise.circuit.tally import Signed
from circuitwise.errors import ArtifactError, RequestError
from circuitwise.graph.graph import FOREIGN, Kind
from circuitwise.storage import Json, Provenance, read_artifact, write_artifact
from circuitwise.storage.jsontext import canonical_json
from circuitwise.vocabulary import integers

KIND = "aggregate"
"""The kind of these artifacts."""
VERSION = 1
"""The version of their layout."""

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_PLACES = ("nodes.kind", "nodes.layer", "nodes.role", "nodes.index")
_ENDS = ("edges.target", "edges.source")
_SIGNED = ("", "_spread", "_agreement")
_OF_NODES = ("frequency", "activation", *(f"{name}{part}" for name in ("effect", "direct") for part in _SIGNED))
_OF_EDGES = ("frequency", "together", *(f"weight{part}" for part in _SIGNED))
_SHARES = ("frequency", "effect_agreement", "direct_agreement", "weight_agreement")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class _Header:
    """What an aggregate says in words."""

    model: str
    """``Aggregate.model``"""
    transcoders: str
    """``Aggregate.transcoders``"""
    n_layers: Annotated[int, Field(ge=0)]
    """``Aggregate.n_layers``"""
    n_prompts: Annotated[int, Field(ge=1)]
    """``Aggregate.n_prompts``"""
    misfit: bool
    """``Aggregate.misfit``"""
    positions: Positions
    """``Aggregate.positions``"""
    roles: tuple[str, ...]
    """Every role's name."""
    how: Aggregation
    """``Aggregate.how``"""


_ADAPTER = TypeAdapter(_Header)


def save_aggregate(aggregate: Aggregate, path: Path | str, provenance: Provenance | None = None) -> str:
    """Write the aggregate, all or nothing, and return its checksum."""
    roles = sorted({node.role for node in aggregate.nodes})
    header: dict[str, Json] = {
        "model": aggregate.model,
        "transcoders": aggregate.transcoders,
        "n_layers": aggregate.n_layers,
        "n_prompts": aggregate.n_prompts,
        "misfit": aggregate.misfit,
        "positions": aggregate.positions,
        "roles": list(roles),
        "how": asdict(aggregate.how),
    }
    places = [(node.kind, node.layer, roles.index(node.role), node.index) for node in aggregate.nodes]
    tensors = {
        **{name: torch.tensor(column) for name, column in zip(_PLACES, zip(*places, strict=True), strict=True)},
        "edges.target": aggregate.edges.target,
        "edges.source": aggregate.edges.source,
        **{f"nodes.{name}": column for name, column in node_columns(aggregate).items()},
        **{f"edges.{name}": column for name, column in edge_columns(aggregate).items()},
    }
    return write_artifact(path, kind=KIND, version=VERSION, header=header, tensors=tensors, provenance=provenance)


def load_aggregate(path: Path | str) -> Aggregate:
    """The aggregate in a file that ``save_aggregate`` wrote."""
    artifact, file = read_artifact(path, kind=KIND, version=VERSION), Path(path)
    words = _read_header(artifact.header, file)
    columns = {name: tensor.clone() for name, tensor in artifact.tensors.items()}
    fault = next(_faults(columns, words), None)
    if fault is not None:
        raise ArtifactError(f"{file} holds an aggregate that cannot be: {fault}. Get the file anew or make it again.")
    kinds, layers, roles, indices = (integers(columns[name]) for name in _PLACES)
    places = zip(map(Kind, kinds), layers, map(words.roles.__getitem__, roles), indices, strict=True)
    return Aggregate(
        model=words.model,
        transcoders=words.transcoders,
        n_layers=words.n_layers,
        n_prompts=words.n_prompts,
        misfit=words.misfit,
        positions=words.positions,
        how=words.how,
        nodes=tuple(RoleNode(*place) for place in places),
        frequency=columns["nodes.frequency"],
        activation=columns["nodes.activation"],
        direct=_signed(columns, "nodes.direct"),
        effect=_signed(columns, "nodes.effect"),
        edges=MeanEdges(
            target=columns["edges.target"],
            source=columns["edges.source"],
            weight=_signed(columns, "edges.weight"),
            together=columns["edges.together"],
            frequency=columns["edges.frequency"],
        ),
    )


def _signed(columns: Mapping[str, Tensor], name: str) -> Signed:
    return Signed(mean=columns[name], spread=columns[f"{name}_spread"], agreement=columns[f"{name}_agreement"])


def _read_header(header: Mapping[str, Json], path: Path) -> _Header:
    try:
        return _ADAPTER.validate_json(canonical_json(header, what=f"The header of {path}"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except RequestError as error:  # numbers that no aggregation has
        reason = str(error)
    raise ArtifactError(f"The header of {path} cannot be understood: {reason.rstrip('.')}. Get the file anew.")


def _faults(columns: Mapping[str, Tensor], words: _Header) -> Iterator[str]:
    """Every way in which the columns contradict themselves or the header."""
    of_nodes = [*_PLACES, *(f"nodes.{name}" for name in _OF_NODES)]
    of_edges = [*_ENDS, *(f"edges.{name}" for name in _OF_EDGES)]
    if set(columns) != {*of_nodes, *of_edges}:
        yield f"{', '.join(sorted(set(columns) ^ {*of_nodes, *of_edges}))} is missing or does not belong there"
        return
    n_nodes = len(columns["nodes.kind"].flatten())
    for names, length in ((of_nodes, n_nodes), (of_edges, len(columns["edges.target"].flatten()))):
        for name in names:
            column, whole = columns[name], name in (*_PLACES, *_ENDS)
            if column.shape != (length,) or column.dtype != (torch.int64 if whole else torch.float64):
                yield f"{name} is {column.dtype} of shape {tuple(column.shape)}, one number for each of {length} is due"
                return
    limits = {
        "nodes.kind": (0, len(Kind) - 1),
        "nodes.layer": (-1, words.n_layers),
        "nodes.role": (0, len(words.roles) - 1),
        "nodes.index": (FOREIGN, 2**62),
        **dict.fromkeys(_ENDS, (0, n_nodes - 1)),
    }
    for name, column in columns.items():
        lowest, highest = (0, 1) if name.split(".")[1] in _SHARES else limits.get(name, (-1e300, 1e300))
        if len(column) and not bool(((column >= lowest) & (column <= highest)).all()):
            yield f"{name} has a number that is not from {lowest} to {highest}"
    edge = columns["edges.target"] * max(n_nodes, 1) + columns["edges.source"]
    if not bool((edge[1:] > edge[:-1]).all()):
        yield "its edges are not in the order of targets and sources, each once"
