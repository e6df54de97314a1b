"""The time left is what is ahead times what it has taken so far."""

import pytest

from circuitwise.study.clock import Clock
from circuitwise.study.prices import Price

PRICES = {
    "baseline": Price(passes=1.0, seconds=0.001),
    "graphs": Price(passes=13.0, seconds=0.002),
    "evidence": Price(passes=31.0, seconds=0.1),
}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock takes for the time, as its only entry."""
    time = [0.0]
    monkeypatch.setattr("circuitwise.study.clock.monotonic", lambda: time[0])
    return time


def spend(clock: Clock, kind: str, seconds: float, now: list[float], n: int = 1) -> None:
    with clock.measuring(kind, n):
        now[0] += seconds


def test_time_left_follows_what_was_measured(now: list[float]) -> None:
    clock = Clock(PRICES)
    clock.expect({"baseline": 10, "graphs": 4})
    assert clock.seconds_left is None
    clock.begin({"baseline": 10})
    spend(clock, "baseline", 2.002, now, n=2)
    assert clock.seconds_left == pytest.approx(8 * 1.001 + 4 * (13 * 1.0 + 0.002))
    clock.begin({"graphs": 4})  # eight of the first kind were not done after all
    spend(clock, "graphs", 3.0, now)
    assert clock.seconds_left == pytest.approx(3 * 3.0)
    clock.forgo("graphs", 3)
    assert clock.seconds_left == 0


def test_where_passes_take_no_time_python_does(now: list[float]) -> None:
    clock = Clock(PRICES)
    clock.expect({"baseline": 10, "evidence": 5})
    clock.begin({"baseline": 10})
    spend(clock, "baseline", 10 * 0.0005, now, n=10)  # on a machine that is twice as fast
    assert clock.seconds_left == pytest.approx(5 * 0.1 / 2)


def test_what_is_longer_ago_counts_less(now: list[float]) -> None:
    clock = Clock(PRICES)
    clock.expect({"evidence": 200})
    clock.begin({"evidence": 200})
    for seconds in (*[1.0] * 50, *[3.0] * 50):  # the machine has other things to do from now on
        spend(clock, "evidence", seconds, now)
    assert clock.seconds_left == pytest.approx(100 * 3, rel=0.1)


def test_work_that_is_ahead_and_was_never_done_is_new() -> None:
    clock = Clock(PRICES)
    clock.expect({"evidence": 3, "graphs": 2})
    assert clock.is_new("evidence") and not clock.is_new("steering")
    with clock.measuring("evidence"):
        pass
    assert not clock.is_new("evidence") and clock.is_new("graphs")
    clock.begin({"graphs": 2})
    assert not clock.is_new("graphs")
