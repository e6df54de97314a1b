"""Nodes without a prompt: what a feature, token or error is on many prompts, with a role instead of a position.

- ``FromEnd``   the role is the distance from the end: ``-1`` is the last position, on prompts of any length
- ``ByName``    the caller names positions of each prompt, such as ``{"subject": 3, "last": 5}``; the rest is ``other``
- ``Anywhere``  no roles: a feature is one node, wherever it fires

What stands nowhere in the prompt (the bias, the target, weak errors of a long prompt together) has the empty role.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from circuitwise.edits import EVERYWHERE, At, Positions
from circuitwise.errors import RequestError
from circuitwise.graph.graph import FOREIGN, Graph, Kind
from circuitwise.vocabulary import Feature, integers

OTHER = "other"
"""The role of positions that the caller did not name."""

Roles = Mapping[str, int]
"""Named positions of one prompt; negative ones count from its end."""


@dataclass(frozen=True, slots=True)
class FromEnd:
    """Positions are counted from the end of each prompt."""


@dataclass(frozen=True, slots=True)
class ByName:
    """Positions have the names that the caller gives them."""

    roles: Callable[[Graph], Roles]
    """The named positions of a graph's prompt."""


@dataclass(frozen=True, slots=True)
class Anywhere:
    """Positions are left out."""


Placing = FromEnd | ByName | Anywhere
"""What stands for a position."""
FROM_END = FromEnd()
"""What usually does."""


@dataclass(frozen=True, slots=True, order=True)
class RoleNode:
    """A node of many prompts."""

    kind: Kind
    """What it stands for."""
    layer: int
    """A feature's or error's layer; -1 for tokens, the bias and errors elsewhere; the target's own."""
    role: str
    """Where it is; empty for anywhere and nowhere."""
    index: int
    """A feature's number; -1 for none, ``FOREIGN`` for another tool's features, all of a place together."""

    @property
    def feature(self) -> Feature | None:
        """The feature that it is, if it is one."""
        return Feature(self.layer, self.index) if self.kind == Kind.FEATURE and self.index >= 0 else None

    def __str__(self) -> str:
        at = f"@{self.role}" if self.role else ""
        match self.kind:
            case Kind.FEATURE if self.index >= 0:
                return f"{Feature(self.layer, self.index)}{at}"
            case Kind.FEATURE | Kind.ERROR:
                foreign = f"foreign {self.kind.name.lower()}" if self.index == FOREIGN else "error"
                return f"L{self.layer} {foreign}{at}" if self.layer >= 0 else "errors elsewhere"
            case Kind.TOKEN:
                return f"token{at}"
            case Kind.BIAS | Kind.TARGET:
                return self.kind.name.lower()


def role_nodes(graph: Graph, placing: Placing) -> list[RoleNode]:
    """What every node of a graph is without its prompt; nodes that differ by position alone may become one."""
    roles = [*_roles(graph, placing), ""]  # the last one is for those without a position
    nodes = graph.nodes
    columns = (integers(nodes.kind), integers(nodes.layer), integers(nodes.pos), integers(nodes.index))
    found: list[RoleNode] = []
    for number, layer, pos, index in zip(*columns, strict=True):
        kind = Kind(number)
        kept = index if kind == Kind.FEATURE else FOREIGN if index == FOREIGN else -1
        found.append(RoleNode(kind, layer, "" if kind == Kind.TARGET else roles[pos], kept))
    return found


def resolve_roles(
    nodes: Iterable[RoleNode], roles: Roles | None = None, *, n_pos: int | None = None
) -> list[tuple[Feature, int | Positions]]:
    """The features among nodes, each where it is on a prompt: with these named positions, and of this length.

    Roles that count from the end hold for prompts of any length, and no role means everywhere; neither needs the rest.
    """
    named = {} if roles is None else dict(roles)
    return [(node.feature, _place(node, named, n_pos)) for node in nodes if node.feature is not None]


def _place(node: RoleNode, roles: Roles, n_pos: int | None) -> int | Positions:
    if not node.role:
        return EVERYWHERE
    if node.role in roles:
        return roles[node.role]
    if node.role == OTHER and n_pos is not None:
        taken = {pos % n_pos for pos in roles.values()}
        free = [pos for pos in range(n_pos) if pos not in taken]
        if free:
            return At(*free)
    if node.role.startswith("-") and node.role[1:].isdigit():
        return int(node.role)
    known = ", ".join(f"“{name}”" for name in roles) or "none"
    raise RequestError(
        f"{node} has the role “{node.role}”, but the named positions of this prompt are {known}. Name the position of "
        f"every role; “{OTHER}” asks for the prompt's length (n_pos) and for a position without a name."
    )


def _roles(graph: Graph, placing: Placing) -> list[str]:
    """The role of every position."""
    match placing:
        case FromEnd():
            return [str(pos - graph.n_pos) for pos in range(graph.n_pos)]
        case Anywhere():
            return [""] * graph.n_pos
        case ByName(roles=named):
            return _named(graph, named(graph))


def _named(graph: Graph, named: Roles) -> list[str]:
    roles = [OTHER] * graph.n_pos
    for name, pos in named.items():
        if not -graph.n_pos <= pos < graph.n_pos:
            raise RequestError(
                f"The role “{name}” is to be at position {pos}, but “{graph.prompt}” has {graph.n_pos} tokens, 0 to "
                f"{graph.n_pos - 1}."
            )
        if not name or name == OTHER or roles[pos] != OTHER:
            raise RequestError(
                f"Position {pos} of “{graph.prompt}” cannot be called “{name}”: names are not empty, not “{OTHER}”, "
                f"and every position has one at most. Choose another name."
            )
        roles[pos] = name
    return roles
