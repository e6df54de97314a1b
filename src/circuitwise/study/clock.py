"""How much of a study is done, and how long the rest takes.

    time left = sum over kinds of work: what is left x seconds for one

Seconds for one are those that the kind has taken so far, what is longer ago counting less: machines have other things
to do at times. A kind that has not been met yet is taken to cost as much more or less than those that have as its price
says: prices are how many times as long as one pass of the model over a prompt its work took with SmolLM2 and its
dictionaries. With other models they are wrong by several times, so what costs most is tried early (``Work.foretaste``).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from circuitwise.study.capability import NEUTRAL
from circuitwise.study.measurement import EXPERIMENTS
from circuitwise.study.plan import Plan, Stage

PRICES: Mapping[str, float] = {
    "baseline": 1,
    "features": 2,
    "graphs": 13,
    "circuit": 2,
    "backdrop": 1,
    "ablation": 14,
    "patching": 5,
    "steering": 9,
    "neutral": 14,
    "importance": 1,
    "evidence": 31,
}
"""What one prompt costs, in passes of the model."""
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

    def __init__(self) -> None:
        """Nothing is ahead yet."""
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
        paid = sum(PRICES[kind] * n for kind, n in self._made.items())
        if not paid:
            return None
        scale = sum(self._seconds.values()) / paid
        ahead = self._now + self._later
        return sum((n * self._rate(kind, scale) for kind, n in ahead.items()), 0.0)

    def _rate(self, kind: str, scale: float) -> float:
        made = self._made[kind]
        return self._seconds[kind] / made if made else PRICES[kind] * scale


def work_ahead(plan: Plan, stage: Stage, n_train: int, n_test: int) -> Mapping[str, int]:
    """How much work of each kind a stage is for so many prompts."""
    n_graphs = n_train if plan.graphs.n_prompts is None else min(n_train, plan.graphs.n_prompts)
    match stage:
        case "baseline" | "features":
            return {stage: n_train + n_test}
        case "graphs" | "circuit":
            return {stage: n_graphs}
        case "interventions":
            each = min(n_train, plan.importance.prompts) + min(n_test, plan.importance.prompts)
            runs = dict.fromkeys(EXPERIMENTS, n_test)
            return {"backdrop": n_train, **runs, "neutral": len(NEUTRAL), "importance": each}
        case "evidence":
            return {"evidence": n_test}
