"""Which prompts take part is drawn by the seed, with minimal pairs together."""

from pathlib import Path

from circuitwise.study.work import choose_suite
from tests.study.material import small_suite


def test_fewer_prompts_are_drawn_in_pairs_and_more_begin_with_the_same(tmp_path: Path) -> None:
    suite = small_suite(tmp_path)
    whole = choose_suite(suite, suite.thresholds, {"train": None, "test": 100}, 42)
    assert [item.prompt for item in whole.items] == [item.prompt for item in suite.items]
    four, six = (choose_suite(suite, suite.thresholds, {"train": n, "test": 2}, 42) for n in (4, 6))
    assert len(four.train) == 4 and len(four.test) == 2 and six.train[:4] == four.train
    prompts = {item.prompt for item in four.items}
    assert {item.contrast_prompt for item in four.items} == prompts
    assert all(item.place == "" for item in four.items)
    drawn = [choose_suite(suite, suite.thresholds, {"train": 2, "test": 2}, seed).train for seed in range(8)]
    assert len({items[0].prompt for items in drawn}) > 1
