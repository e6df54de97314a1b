"""An aggregate reads back exactly as it was written, and a file that cannot be one names itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from circuitwise.circuit.aggregate import aggregate
from circuitwise.circuit.aggregatesaving import KIND, VERSION, load_aggregate, save_aggregate
from circuitwise.circuit.aggregation import Aggregate, Aggregation
from circuitwise.circuit.roles import Anywhere, ByName
from circuitwise.errors import ArtifactError
from circuitwise.graph import load_graph
from circuitwise.storage import Provenance, peek_artifact, read_artifact, write_artifact
from tests.circuit.recurring import ALL, assert_same_aggregate, random_prompts


def found() -> Aggregate:
    return aggregate(random_prompts(8))


MAKES: dict[str, Callable[[], Aggregate]] = {
    "with defaults": found,
    "without roles": lambda: aggregate(random_prompts(3), placing=Anywhere(), how=ALL),
    "with names": lambda: aggregate(random_prompts(3), placing=ByName(lambda _: {"größe": 0}), how=ALL),
    "without edges": lambda: aggregate(random_prompts(2), how=Aggregation(edge_as="weight", edge=99.0)),
}


@pytest.mark.parametrize("name", MAKES)
def test_an_aggregate_reads_back_as_it_was_written(tmp_path: Path, name: str):
    made = MAKES[name]()
    save_aggregate(made, tmp_path / "ein Kreis")
    assert_same_aggregate(load_aggregate(tmp_path / "ein Kreis"), made)


def test_the_order_of_the_graphs_does_not_show_in_the_file(tmp_path: Path):
    first = save_aggregate(found(), tmp_path / "first")
    second = aggregate(random_prompts(8)[::-1])
    assert save_aggregate(second, tmp_path / "second", Provenance.now(seeds={"prompt": 42})) == first
    provenance = peek_artifact(tmp_path / "second").provenance
    assert provenance is not None and provenance.seeds == {"prompt": 42}


def test_an_aggregate_is_not_taken_for_a_graph(tmp_path: Path):
    save_aggregate(found(), tmp_path / "aggregate")
    with pytest.raises(ArtifactError, match="holds “aggregate”, but “graph” was expected"):
        load_graph(tmp_path / "aggregate")


Change = Callable[[dict[str, Any], dict[str, torch.Tensor]], object]
CHANGES: dict[str, Change] = {
    "a column too few": lambda _, tensors: tensors.pop("nodes.effect"),
    "a column too many": lambda _, tensors: tensors.update({"nodes.more": torch.zeros(1)}),
    "a frequency too few": lambda _, tensors: tensors.update({"nodes.frequency": tensors["nodes.frequency"][1:]}),
    "a frequency above one": lambda _, tensors: tensors["nodes.frequency"].fill_(1.5),
    "an effect that is no number": lambda _, tensors: tensors["nodes.effect"].fill_(torch.nan),
    "a weight without end": lambda _, tensors: tensors["edges.weight"].fill_(torch.inf),
    "an edge from nowhere": lambda _, tensors: tensors["edges.source"].fill_(10**6),
    "edges in disorder": lambda _, tensors: tensors["edges.target"].copy_(tensors["edges.target"].flip(0)),
    "ends that are not whole": lambda _, tensors: tensors.update({"edges.target": tensors["edges.target"].double()}),
    "a node of no kind": lambda _, tensors: tensors["nodes.kind"].fill_(9),
    "a role without a name": lambda header, _: header.update(roles=[]),
    "no thresholds": lambda header, _: header.pop("how"),
    "a threshold that is none": lambda header, _: header["how"].update(frequency=2.0),
    "another way to place": lambda header, _: header.update(positions="somewhere"),
    "no prompt": lambda header, _: header.update(n_prompts=0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_cannot_be_an_aggregate_names_itself(tmp_path: Path, change: str):
    path = tmp_path / "große Datei"
    save_aggregate(found(), path)
    artifact = read_artifact(path, kind=KIND, version=VERSION)
    header, tensors = dict(artifact.header), {name: tensor.clone() for name, tensor in artifact.tensors.items()}
    CHANGES[change](header, tensors)
    write_artifact(path, kind=KIND, version=VERSION, header=header, tensors=tensors)
    with pytest.raises(ArtifactError, match="große Datei"):
        load_aggregate(path)
