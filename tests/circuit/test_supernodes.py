"""Features that were split in two are found together; what has nothing to do with each other stays apart."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from circuitwise.circuit.aggregate import aggregate
from circuitwise.circuit.aggregation import Aggregate, Aggregation
from circuitwise.circuit.prune import Prune
from circuitwise.circuit.roles import Anywhere
from circuitwise.circuit.supernodes import Grouping, Supernode, likeness, supernodes
from circuitwise.errors import RequestError
from circuitwise.graph import Graph
from circuitwise.planted.assembly import NOISE
from circuitwise.planted.planted import Planted
from circuitwise.replacement import Replacement
from circuitwise.vocabulary import Feature
from tests.circuit.drawn import FEATURE, TARGET, TOKEN, Link, Place, graph_of
from tests.circuit.recurring import ALL, graphs_of, numbers_of, planted_graphs, planted_prompts, random_prompts
from tests.planted.recovery import plant

KEPT = 0.3
"""What a split feature keeps of its decoder; its copy has the rest."""


def split(planted: Planted, feature: Feature) -> tuple[Replacement, Feature]:
    """The same model with a dictionary in which two features do what one did; and the second of them."""
    replacement = planted.replacement
    layers = list(replacement.transcoders.layers)
    old = layers[feature.layer]
    decoder = torch.cat([old.decoder, old.decoder[[feature.index]] * (1 - KEPT)])
    decoder[feature.index] *= KEPT
    layers[feature.layer] = replace(
        old,
        encoder=torch.cat([old.encoder, old.encoder[[feature.index]]]),
        encoder_bias=torch.cat([old.encoder_bias, old.encoder_bias[[feature.index]]]),
        decoder=decoder,
    )
    transcoders = replace(replacement.transcoders, layers=tuple(layers))
    return Replacement(replacement.model, transcoders), Feature(feature.layer, old.n_features)


@cache
def of_planted(name: str) -> Aggregate:
    return aggregate(planted_graphs(name), placing=Anywhere())


@pytest.mark.parametrize("name", ["plural subject", "say is"])
def test_a_feature_that_was_split_in_two_is_one_supernode(name: str):
    planted = plant("agreement", NOISE)
    feature = planted.features[name]
    replacement, copy = split(planted, feature)
    how = Aggregation(prune=Prune(nodes=0.97))  # the smaller part of a feature is soon cut
    found = aggregate(graphs_of(replacement, "agreement"), placing=Anywhere(), how=how)
    assert {node.feature for node in found.nodes} > {*planted.true_features, copy}
    (group,) = supernodes(found, labels={feature: name, copy: name})
    assert {member.feature for member in group.members} == {feature, copy}
    assert (group.label, group.sign) == (name, 1)
    whole = of_planted("agreement")
    expected = float(whole.direct.mean[numbers_of(whole)[str(feature)]])
    assert group.direct == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", ["agreement", "decoy"])
def test_features_that_play_different_parts_stay_apart(name: str):
    found = of_planted(name)
    assert sum(node.feature is not None for node in found.nodes) == len(plant(name, NOISE).true_features)
    assert len(planted_prompts(name)) == found.n_prompts
    assert supernodes(found) == ()


def twins(weights: tuple[float, float, float], layer: int = 0) -> Graph:
    """Two features that read the same token; the second has a weight of its own into F5 and into the target."""
    places: list[Place] = [(TOKEN, -1, 0, 1), (FEATURE, 0, 0, 1), (FEATURE, layer, 0, 2), (FEATURE, 2, 0, 5)]
    links: list[Link] = [(1, 0, 1.0), (2, 0, weights[0]), (3, 1, 1.0), (3, 2, weights[1]), (4, 1, 1.0)]
    links += [(4, 2, weights[2]), (4, 3, 1.0)]
    return graph_of([*places, (TARGET, 3, 0, -1)], links)


def grouped(graph: Graph, how: Grouping | None = None) -> tuple[Supernode, ...]:
    return supernodes(aggregate([graph], placing=Anywhere(), how=ALL), how or Grouping())


def test_likeness_is_the_mean_cosine_of_what_two_features_read_and_write():
    found = aggregate([twins((2.0, 3.0, -1.0))], placing=Anywhere(), how=ALL)
    table = likeness(found, torch.tensor([0, 1]))
    assert float(table[0, 1]) == pytest.approx((1 + (3 - 1) / (2 * 10) ** 0.5) / 2)
    assert table.diagonal().tolist() == pytest.approx([1, 1])


def test_copies_join_whatever_their_size_and_opposites_and_distant_ones_never_do():
    assert [group.label for group in grouped(twins((2.0, 3.0, 3.0)))] == ["L0F1, L0F2"]
    assert grouped(twins((2.0, -3.0, -3.0))) == ()
    assert len(grouped(twins((2.0, 3.0, 3.0), layer=1), Grouping(span=1))) == 1
    assert grouped(twins((2.0, 3.0, 3.0), layer=1), Grouping(span=0)) == ()
    assert grouped(twins((2.0, 3.0, 2.0)), Grouping(likeness=1.0)) == ()
    assert len(grouped(twins((2.0, 3.0, 3.0)), Grouping(likeness=1.0))) == 1
    (group,) = grouped(twins((1.0, 1.0, 1.0)))
    assert (group.sign, group.direct) == (1, 2.0)


def test_groups_hold_what_they_promise_and_do_not_depend_on_the_order_of_the_graphs():
    graphs = random_prompts(12)
    how = Grouping(likeness=0.3, span=1)
    found = aggregate(graphs, placing=Anywhere(), how=ALL)
    groups = supernodes(found, how)
    assert len(groups) > 1
    places = numbers_of(found)
    for group in groups:
        numbers = torch.tensor([places[str(member)] for member in group.members])
        layers = [member.layer for member in group.members]
        assert float(likeness(found, numbers).min()) >= 0.3 - 1e-5
        assert max(layers) - min(layers) <= 1
        assert set(found.effect.mean[numbers].sign().tolist()) == {float(group.sign)}
    members = [member for group in groups for member in group.members]
    assert len(members) == len(set(members))
    assert supernodes(aggregate(graphs[::-1], placing=Anywhere(), how=ALL), how) == groups


def five() -> Graph:
    """Five features that are alike."""
    places: list[Place] = [(TOKEN, -1, 0, 1), *((FEATURE, 0, 0, index) for index in range(5)), (TARGET, 3, 0, -1)]
    links: list[Link] = [(index, 0, 1.0) for index in range(1, 6)] + [(6, index, 1.0) for index in range(1, 6)]
    return graph_of(places, links)


def test_only_the_strongest_features_are_compared_and_one_alone_is_no_group():
    assert [group.label for group in grouped(five(), Grouping(at_most=2))] == ["L0F0, L0F1"]
    assert grouped(graph_of([(TOKEN, -1, 0, 1), (TARGET, 3, 0, -1)], [(1, 0, 1.0)])) == ()


def test_a_long_name_is_cut():
    assert grouped(five())[0].label == "L0F0, L0F1, L0F2 and 2 more"


@pytest.mark.parametrize("wrong", [{"likeness": 0.0}, {"likeness": 1.5}, {"span": -1}, {"at_most": 1}])
def test_a_grouping_that_groups_nothing_is_refused(wrong):
    with pytest.raises(RequestError, match=str(next(iter(wrong.values())))):
        Grouping(**wrong)
