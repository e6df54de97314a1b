"""One prompt as interventions take it: its tokens, its minimal pair, its two answers, and where roles are in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from circuitwise.circuit.roles import RoleNode, Roles, resolve_roles
from circuitwise.edits import At, From
from circuitwise.model.model import Model
from circuitwise.model.tokens import n_excluded, text_ids, token_text, tokenize
from circuitwise.prompts import Item, tokenize_item
from circuitwise.targets import Difference
from circuitwise.vocabulary import Feature

Ids = tuple[int, ...]
Placed = tuple[Feature, At]
"""A feature and the positions of a prompt where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt with two answers that are told apart by the next token."""

    number: int
    """Its place in its split."""
    text: str
    """The prompt."""
    tokens: Ids
    """What the scored tokens follow: the prompt, and what both answers share."""
    contrast: Ids | None = None
    """The same of its minimal pair, of equal length, where it has one."""
    difference: Difference
    """The scored tokens."""
    correct: str = ""
    """The right one in words."""
    incorrect: str = ""
    """The wrong one in words."""
    group: str = ""
    """The word, entity or context that it shares with others: prompts of one group are not independent."""
    first: int = 0
    """The first position that holds features."""
    roles: Roles = field(default_factory=dict[str, int])
    """Positions with a name; those that count from the end need none."""

    def places(self, nodes: Iterable[RoleNode]) -> list[Placed]:
        """The features among nodes, each where it is here; what would be before the prompt is left out."""
        found: list[Placed] = []
        for node in nodes:
            if (pos := self.positions(node)) is not None and node.feature is not None:
                found.append((node.feature, pos))
        return found

    def positions(self, node: RoleNode) -> At | None:
        """Where a node is in this prompt; None where the prompt is too short for it."""
        n_pos = len(self.tokens)
        ((_, place),) = resolve_roles([node], self.roles, n_pos=n_pos)
        match place:
            case int():
                wanted: Sequence[int] = (place if place >= 0 else n_pos + place,)
            case At(positions=positions):
                wanted = positions
            case From():
                wanted = range(n_pos)
        here = [pos for pos in wanted if self.first <= pos < n_pos]
        return At(*here) if here else None

    @property
    def other(self) -> "Question | None":
        """The minimal pair in its place, with the same two answers."""
        return None if self.contrast is None else replace(self, tokens=self.contrast, contrast=self.tokens)


def question_of(model: Model, number: int, item: Item, roles: Roles | None = None) -> Question:
    """An item of a suite as a question."""
    tokens = tokenize_item(item, lambda text: text_ids(model, text))
    correct, incorrect = tokens.scored
    return Question(
        number=number,
        text=item.prompt,
        tokens=tokens.scored_prompt,
        contrast=tokens.scored_contrast,
        difference=Difference(correct, incorrect),
        correct=token_text(model, correct),
        incorrect=token_text(model, incorrect),
        group=item.group,
        first=n_excluded(model, tokenize(model, tokens.scored_prompt)),
        roles=roles or {},
    )
