"""How much of a study is done, and how long the rest takes.

    time left = sum over kinds of work: what is left x seconds for one

Seconds for one are those that the kind has taken so far, what is longer ago counting less: machines have other things
to do at times. A kind that has not been met yet takes what its price says: what was done so far tells how long a pass
of the model takes or, where all of it was Python's work, how fast the machine is. Prices are right within a factor of
two or so; what costs most is tried early (``Work.foretaste``).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from circuitwise.study.plan import Stage
from circuitwise.study.prices import Price

MEMORY = 0.95
"""How much less a measurement counts after the next one of its kind: about the last twenty make the rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a study is."""

    behaviour: str
    """What it is working on."""
    stage: Stage
    """In which stage."""
    done: int
    """Prompts that are through with it."""
    wanted: int
    """Prompts that there are."""
    seconds_left: float | None
    """Until the end of the whole study, about; None while nothing was measured."""


Tell = Callable[[Progress], None]


class Clock:
    """Work of several kinds: what is ahead, what was done, and how long it took."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        """Nothing is ahead yet."""
        self._prices = prices
        self._later, self._now = Counter[str](), Counter[str]()
        self._made, self._seconds = defaultdict[str, float](float), defaultdict[str, float](float)

    def expect(self, work: Mapping[str, int]) -> None:
        """So much work of each kind is ahead."""
        self._later.update(work)

    def begin(self, work: Mapping[str, int]) -> None:
        """Some of that comes now; what came before is over, whether it was done or not."""
        self._later.subtract(work)
        self._now = Counter(work)

    def is_new(self, kind: str) -> bool:
        """Whether work of a kind is ahead of which nothing was done yet."""
        return self._later[kind] > 0 and not self._made[kind]

    def forgo(self, kind: str, n: int = 1) -> None:
        """Some work need not be done, or was done before."""
        self._now[kind] = max(0, self._now[kind] - n)

    @contextmanager
    def measuring(self, kind: str, n: int = 1) -> Generator[None]:
        """So much work is done while the block runs."""
        start = monotonic()
        yield
        self._seconds[kind] = MEMORY * self._seconds[kind] + monotonic() - start
        self._made[kind] = MEMORY * self._made[kind] + n
        self.forgo(kind, n)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes; None while nothing was measured."""
        if not any(self._made.values()):
            return None
        costs = self._costs()
        ahead = self._now + self._later
        return sum((n * self._seconds_for_one(kind, costs) for kind, n in ahead.items()), 0.0)

    def _costs(self) -> tuple[float, float]:
        """What a pass takes, and how many times as long as its price what Python does takes."""
        taken = sum(self._seconds.values())
        passes = sum(n * self._prices[kind].passes for kind, n in self._made.items())
        python = sum(n * self._prices[kind].seconds for kind, n in self._made.items())
        return (0.0, taken / python) if taken < python else ((taken - python) / passes, 1.0)

    def _seconds_for_one(self, kind: str, costs: tuple[float, float]) -> float:
        if made := self._made[kind]:
            return self._seconds[kind] / made
        price, (a_pass, slowness) = self._prices[kind], costs
        return price.passes * a_pass + price.seconds * slowness
