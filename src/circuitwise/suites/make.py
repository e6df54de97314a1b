"""The built-in suites, made for a tokenizer.

Families (a lemma, four countries, a context, a first number) are drawn for one split or the other as a whole; then
every family gives one minimal pair in turn until there are enough. Which pairs there are depends on the tokenizer,
since both prompts must have equally many tokens, and so must both answers; the same tokenizer and seed give the same
suite to the byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from circuitwise.errors import RequestError
from circuitwise.prompts import Encode, Item, Split
from circuitwise.suites.arithmetic import arithmetic
from circuitwise.suites.block import Block, Families, Maker
from circuitwise.suites.capitals import capitals
from circuitwise.suites.grammar import grammar
from circuitwise.suites.sentiment import sentiment
from circuitwise.suites.suite import Suite, Thresholds

SEED = 42
"""What is drawn with unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """A built-in suite before it is made."""

    description: str
    """What is asked."""
    maker: Maker
    """Makes its families."""
    thresholds: Thresholds = Thresholds()
    """When a model counts as showing it."""
    n_train: int = 80
    """Prompts to find a circuit on, unless told otherwise."""
    n_test: int
    """Prompts to test it on."""
    n_pairs: int = 1
    """Minimal pairs that a family gives before another family is drawn."""


BEHAVIOURS: Mapping[str, Behaviour] = {
    "grammar": Behaviour(
        description="A verb agrees with the number of its subject: “The dogs” are, not is.",
        maker=grammar,
        n_test=20,
    ),
    "capitals": Behaviour(
        description="The capital of a country is its own: “The capital of France is” Paris, not Rome.",
        maker=capitals,
        n_train=84,
        n_test=36,
        n_pairs=6,
    ),
    "sentiment": Behaviour(
        description="What was said of a thing decides the word for it: “Everyone hated the meal. It was” terrible.",
        maker=sentiment,
        thresholds=Thresholds(margin=1.5, share=0.75),
        n_test=40,
        n_pairs=2,
    ),
    "arithmetic": Behaviour(
        description="Two two-digit numbers are added: “34 + 25 =” 59, not 58.", maker=arithmetic, n_test=20
    ),
}
"""The built-in suites."""


def make_suite(
    name: str, encode: Encode, *, seed: int = SEED, n_train: int | None = None, n_test: int | None = None
) -> Suite:
    """A built-in suite for the tokenizer that ``encode`` stands for."""
    behaviour = behaviour_of(name)
    n_train = behaviour.n_train if n_train is None else n_train
    wanted = _n_pairs(n_train), _n_pairs(behaviour.n_test if n_test is None else n_test)
    families = [family for family in behaviour.maker(encode, Random(seed)) if family]
    tested, trained = _divide(families, wanted, behaviour.n_pairs)
    items = [*_take(name, "train", trained, wanted[0]), *_take(name, "test", tested, wanted[1])]
    return Suite(name=name, items=tuple(items), thresholds=behaviour.thresholds, description=behaviour.description)


def behaviour_of(name: str) -> Behaviour:
    """The built-in suite of that name, before it is made."""
    if name not in BEHAVIOURS:
        raise RequestError(
            f"There is no built-in suite “{name}”. Choose {', '.join(BEHAVIOURS)}, or read one of yours."
        )
    return BEHAVIOURS[name]


def _n_pairs(n_prompts: int) -> int:
    if n_prompts < 2 or n_prompts % 2:
        raise RequestError(f"{n_prompts} prompts are no whole number of minimal pairs. Ask for 2, 4, 6, ...")
    return n_prompts // 2


def _divide(families: Families, wanted: tuple[int, int], n_pairs: int) -> tuple[Families, Families]:
    """Families to test on and to train on: as many as give that many pairs, or all in proportion if they are few."""
    n_train, n_test = (-(-pairs // n_pairs) for pairs in wanted)
    if n_train + n_test > len(families):
        n_test = max(1, round(len(families) * wanted[1] / sum(wanted)))
        n_train = len(families) - n_test
    return families[:n_test], families[n_test : n_test + n_train]


def _take(name: str, split: Split, families: Families, wanted: int) -> list[Item]:
    """The items of that many pairs, one from each family in turn."""
    deepest = max(map(len, families), default=0)
    in_turn = [family[turn] for turn in range(deepest) for family in families if turn < len(family)]
    if len(in_turn) < wanted:
        raise RequestError(
            f"This tokenizer allows for {2 * len(in_turn)} prompts of the split “{split}” in the suite “{name}”, but "
            f"{2 * wanted} were asked for. Ask for fewer, or for more of the other split."
        )
    chosen: list[Block] = in_turn[:wanted]
    return [item for block in chosen for item in block.items(name, split)]
