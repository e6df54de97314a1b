"""The time left is what is ahead times what it has taken so far."""

import time

import pytest

from circuitwise.study.clock import PRICES, Clock, work_ahead
from circuitwise.study.plan import STAGES, Chosen, Plan


def test_time_left_follows_what_was_measured() -> None:
    clock = Clock()
    clock.expect({"baseline": 10, "graphs": 4})
    assert clock.seconds_left is None
    clock.begin({"baseline": 10})
    start = time.monotonic()
    with clock.measuring("baseline", 2):
        time.sleep(0.02)
    one = (time.monotonic() - start) / 2
    expected = 8 * one + 4 * one * PRICES["graphs"] / PRICES["baseline"]
    assert clock.seconds_left == pytest.approx(expected, rel=0.1)
    clock.begin({"graphs": 4})  # eight of the first kind were not done after all
    start = time.monotonic()
    with clock.measuring("graphs"):
        time.sleep(0.03)
    assert clock.seconds_left == pytest.approx(3 * (time.monotonic() - start), rel=0.1)
    clock.forgo("graphs", 3)
    assert clock.seconds_left == 0


def test_what_is_longer_ago_counts_less(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("circuitwise.study.clock.monotonic", lambda: now)
    clock = Clock()
    clock.expect({"evidence": 200})
    clock.begin({"evidence": 200})
    for seconds in (*[1.0] * 50, *[3.0] * 50):  # the machine has other things to do from now on
        with clock.measuring("evidence"):
            now += seconds
    assert clock.seconds_left == pytest.approx(100 * 3, rel=0.1)


def test_work_that_is_ahead_and_was_never_done_is_new() -> None:
    clock = Clock()
    clock.expect({"evidence": 3, "graphs": 2})
    assert clock.is_new("evidence") and not clock.is_new("steering")
    with clock.measuring("evidence"):
        pass
    assert not clock.is_new("evidence") and clock.is_new("graphs")
    clock.begin({"graphs": 2})
    assert not clock.is_new("graphs")


def test_every_kind_of_work_has_a_price() -> None:
    plan = Plan(name="x", suites=(Chosen(suite="capitals"),))
    ahead = {kind: n for stage in STAGES for kind, n in work_ahead(plan, stage, 80, 30).items()}
    assert set(ahead) == set(PRICES) and ahead["graphs"] == 20 and ahead["evidence"] == 30 and ahead["baseline"] == 110
