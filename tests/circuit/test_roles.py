"""A role is what the caller or the distance from the end says, and leads to a position of another prompt."""

import pytest

from circuitwise.circuit.roles import FROM_END, Anywhere, ByName, RoleNode, resolve_roles, role_nodes
from circuitwise.edits import EVERYWHERE, At
from circuitwise.errors import RequestError
from circuitwise.graph import FOREIGN, Kind
from circuitwise.vocabulary import Feature
from tests.circuit.drawn import twelve
from tests.graphs import with_weak_errors


def names(placing) -> list[str]:
    return [str(node) for node in role_nodes(twelve(), placing)]


def test_roles_count_from_the_end():
    assert names(FROM_END) == [
        *("L0F5@-2", "L0F5@-1", "L1F2@-1", "L2F7@-1", "L0 error@-2", "L0 error@-1", "L1 error@-1"),
        *("token@-2", "token@-1", "bias", "target", "target"),
    ]


def test_without_roles_a_feature_is_one_node_wherever_it_fires():
    assert names(Anywhere())[:2] == ["L0F5", "L0F5"]
    assert names(Anywhere())[7:10] == ["token", "token", "bias"]


def test_named_positions_have_their_names_and_the_others_are_other():
    assert names(ByName(lambda _: {"last": -1}))[:3] == ["L0F5@other", "L0F5@last", "L1F2@last"]


def test_what_other_tools_know_and_what_is_elsewhere_keeps_a_name():
    assert str(RoleNode(Kind.FEATURE, 3, "-1", FOREIGN)) == "L3 foreign feature@-1"
    assert RoleNode(Kind.FEATURE, 3, "-1", FOREIGN).feature is None
    assert "errors elsewhere" in [str(node) for node in role_nodes(with_weak_errors(), FROM_END)]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"subject": 2}, "role “subject” is to be at position 2, but “made by hand” has 2 tokens, 0 to 1"),
        ({"subject": 1, "last": -1}, "cannot be called “last”"),
        ({"": 0}, "cannot be called “”"),
        ({"other": 0}, "cannot be called “other”"),
    ],
)
def test_positions_that_are_not_there_or_have_two_names_are_refused(roles, message):
    with pytest.raises(RequestError, match=message):
        role_nodes(twelve(), ByName(lambda _: roles))


def test_roles_lead_to_the_positions_of_another_prompt():
    def resolved(role: str, *given, **more):
        found = resolve_roles([RoleNode(Kind.FEATURE, 1, role, 4), RoleNode(Kind.BIAS, -1, "", -1)], *given, **more)
        assert [feature for feature, _ in found] == [Feature(1, 4)]
        return found[0][1]

    assert resolved("-3") == -3
    assert resolved("") == EVERYWHERE
    assert resolved("subject", {"subject": 3, "last": 5}) == 3
    assert resolved("other", {"subject": 3, "last": -1}, n_pos=5) == At(0, 1, 2)
    with pytest.raises(RequestError, match="L1F4@subject has the role “subject”, but .* are “last”"):
        resolved("subject", {"last": 5})
    with pytest.raises(RequestError, match="prompt's length"):
        resolved("other", {"subject": 3})
    with pytest.raises(RequestError, match="a position without a name"):
        resolved("other", {"subject": 0}, n_pos=1)
