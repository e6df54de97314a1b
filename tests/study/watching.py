"""Studies that are watched: what they tell of the time left, and how much memory they take, in processes of their own.

Their clock counts the processor's time, not the world's, so that other work on the machine does not count.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.study.material import ALONE, write_plan

WATCH = """
import json, sys, time
from circuitwise.study import clock
clock.monotonic = time.process_time
from circuitwise.memory import peak_resident
from circuitwise.study.study import Study
told, start = [], time.process_time()
def tell(each):
    told.append([time.process_time() - start, each.stage, each.done, each.wanted, each.seconds_left])
Study.load(sys.argv[1]).run(sys.argv[2], progress=tell)
json.dump({"seconds": time.process_time() - start, "peak": peak_resident(), "told": told}, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a study said at a moment."""

    at: float
    """Seconds since its start."""
    stage: str
    """Which stage it was in."""
    done: int
    """Prompts that were through with it..."""
    wanted: int
    """...of so many."""
    left: float | None
    """Seconds that it said were left."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a study was like."""

    seconds: float
    """How long it took."""
    peak: int
    """The most memory of the whole process, in bytes."""
    told: list[Told]
    """All that it said."""

    def ratios(self) -> list[tuple[float, float, float]]:
        """Of everything that was said: when, for how long it stood, and how many times as long it said as it took."""
        ends = [*(each.at for each in self.told[1:]), self.seconds]
        return [
            (each.at, end - each.at, each.left / max(self.seconds - each.at, 1e-9))
            for each, end in zip(self.told, ends, strict=True)
            if each.left is not None
        ]

    def share_right(self, *, after: float = 0.0, factor: float = 2.0) -> float:
        """The share of the time, from some share of it on, in which what was said was right within a factor."""
        stood = [(span, ratio) for at, span, ratio in self.ratios() if at >= after * self.seconds]
        right = sum(span for span, ratio in stood if 1 / factor <= ratio <= factor)
        return right / sum(span for span, _ in stood)

    def ends(self) -> list[tuple[int, int]]:
        """How far every stretch of progress came."""
        stretches: list[list[Told]] = []
        for each in self.told:
            if not stretches or each.done <= stretches[-1][-1].done:
                stretches.append([])
            stretches[-1].append(each)
        return [(stretch[-1].done, stretch[-1].wanted) for stretch in stretches]

    def by_stage(self) -> dict[str, tuple[float, float]]:
        """The lowest and the highest ratio of each stage."""
        found: dict[str, list[float]] = {}
        for stage, some in groupby(zip(self.told, self.ratios(), strict=True), lambda pair: pair[0].stage):
            found.setdefault(stage, []).extend(ratio for _, (_, _, ratio) in some)
        return {stage: (round(min(some), 2), round(max(some), 2)) for stage, some in found.items()}


def watch(folder: Path, n_train: int, n_test: int) -> Watched:
    """A study of all stages with a graph for every training prompt."""
    folder.mkdir()
    plan = write_plan(folder, n_train=n_train, n_test=n_test)
    plan.write_text(plan.read_text("utf-8").replace("n_prompts = 4", 'n_prompts = "all"'), "utf-8")
    command = [sys.executable, "-c", WATCH, str(plan), str(folder / "run")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=ALONE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return Watched(found["seconds"], found["peak"], [Told(*each) for each in found["told"]])
