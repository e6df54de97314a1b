"""What is acted on, and the features that are drawn in its place."""

import pytest

from circuitwise.circuit.supernodes import Supernode
from circuitwise.errors import RequestError
from circuitwise.study.aims import InterventionChoice, choose_aims
from circuitwise.study.backdrop import Backdrop, Often
from circuitwise.vocabulary import Feature
from tests.study.asked import node

MEMBERS = tuple(node(Feature(1, index), "-1") for index in range(3))
BACKDROP = Backdrop(
    n_prompts=10,
    places={(1, "-1"): {index: Often(0.5, float(index)) for index in range(30)}},
)


def test_controls_fire_at_the_same_place_with_the_nearest_activation():
    how = InterventionChoice(near=4, controls=3)
    aims = choose_aims(MEMBERS, (), {MEMBERS[0]: 1.5}, BACKDROP, how)
    assert [(aim.label, aim.kind) for aim in aims] == [
        ("circuit", "circuit"),
        ("L1F0@-1", "feature"),
        ("L1F1@-1", "feature"),
        ("L1F2@-1", "feature"),
    ]
    assert [aim.predicted for aim in aims] == [None, 1.5, None, None]
    for aim in aims:
        assert len(aim.controls) == 3
        for control in aim.controls:
            assert len(set(control)) == len(aim.members)
            assert {each.index for each in control if each is not None} <= {3, 4, 5, 6}
    singles = [control for aim in aims[1:2] for control in aim.controls]
    assert len(set(singles)) == 3  # another one each time


def test_the_seed_governs_the_draw_and_nothing_else_does():
    drawn = [choose_aims(MEMBERS, (), {}, BACKDROP, InterventionChoice(seed=seed))[0].controls for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_supernodes_with_the_strongest_direct_effect_come_first():
    groups = [
        Supernode(label=name, members=MEMBERS[:2], sign=1, direct=direct)
        for name, direct in (("weak", 0.1), ("strong", -3.0), ("middle", 1.0))
    ]
    aims = choose_aims(MEMBERS, groups, {}, BACKDROP, InterventionChoice(supernodes=2, features=1))
    assert [aim.label for aim in aims] == ["circuit", "strong", "middle", "L1F0@-1"]


def test_a_place_without_other_features_has_no_control():
    alone = Backdrop(n_prompts=10, places={(1, "-1"): {0: Often(1.0, 1.0)}})
    (circuit, *_) = choose_aims(MEMBERS[:1], (), {}, alone)
    assert circuit.controls == ()
    both = Backdrop(n_prompts=10, places={(1, "-1"): {0: Often(1.0, 1.0), 9: Often(1.0, 2.0)}})
    (circuit, *_) = choose_aims(MEMBERS[:2], (), {}, both)
    assert circuit.arms[1] == ("feature 1", [node(Feature(1, 9), "-1")])


@pytest.mark.parametrize(
    "wrong", [{"features": 0}, {"controls": -1}, {"strengths": ()}, {"strengths": (2.0, 1.0)}, {"inhibition": 0.0}]
)
def test_what_cannot_be_done_is_refused(wrong):
    with pytest.raises(RequestError):
        InterventionChoice(**wrong)
    with pytest.raises(RequestError, match="no feature to act on"):
        choose_aims((), (), {}, BACKDROP)
