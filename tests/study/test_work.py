"""Which prompts take part is drawn by the seed, with minimal pairs together."""

from pathlib import Path

from circuitwise.errors import RequestError
from circuitwise.study.clock import Clock
from circuitwise.study.opening import Opened
from circuitwise.study.prices import prices_of
from circuitwise.study.store import Store
from circuitwise.study.work import Work, choose_suite
from tests.study.material import small_plan, small_suite


def test_fewer_prompts_are_drawn_in_pairs_and_more_begin_with_the_same(tmp_path: Path) -> None:
    suite = small_suite(tmp_path)
    whole = choose_suite(suite, suite.thresholds, {"train": None, "test": 100}, 42)
    assert [item.prompt for item in whole.items] == [item.prompt for item in suite.items]
    four, six = (choose_suite(suite, suite.thresholds, {"train": n, "test": 2}, 42) for n in (4, 6))
    assert len(four.train) == 4 and len(four.test) == 2 and six.train[:4] == four.train
    prompts = {item.prompt for item in four.items}
    assert {item.contrast_prompt for item in four.items} == prompts
    assert [item.place for item in four.test] == [f"Line {n} of data/prompts/tiny_test.jsonl" for n in (1, 2)]
    drawn = [choose_suite(suite, suite.thresholds, {"train": 2, "test": 2}, seed).train for seed in range(8)]
    assert len({items[0].prompt for items in drawn}) > 1


def test_one_result_of_a_later_stage_is_made_early_and_only_where_that_stage_comes(tmp_path: Path) -> None:
    plan = small_plan(tmp_path)
    clock, made = Clock(prices_of(plan)), list[str]()
    suite, opened = small_suite(tmp_path), Opened(plan)
    store = Store(tmp_path, clock)
    work = Work(plan=plan, suite=suite, opened=opened, folder=tmp_path, store=store, tell=lambda _: None)
    work.foretaste("evidence", lambda: made.append("not wanted"))
    clock.expect({"evidence": 6})

    def fail() -> None:
        raise RequestError("its own stage says so")

    work.foretaste("evidence", fail)
    work.foretaste("evidence", lambda: store.json("evidence", 1, lambda: made.append("once")))
    work.foretaste("evidence", lambda: made.append("twice"))
    assert made == ["once"] and work.failures == []
