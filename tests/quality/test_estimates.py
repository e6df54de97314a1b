"""Shares are ratios of means, and have no number where there is nothing to share."""

import pytest

from circuitwise.evidence.intervals import Bootstrap, Ratio, bootstrap
from circuitwise.quality.estimates import Estimate, mean, mean_of, recovered

NOTHING = Estimate(value=None, low=None, high=None)


def test_a_share_is_the_ratio_of_means_with_the_interval_of_that_ratio() -> None:
    without = [5.0 + 0.1 * number for number in range(12)]
    spliced = [2.5 + 0.05 * number for number in range(12)]
    model = [2.0] * 12
    found = recovered(without, spliced, model)
    ratio = Ratio(top=(1.0, -1.0, 0.0), bottom=(1.0, 0.0, -1.0))
    expected = bootstrap(without, spliced, model, statistic=ratio, how=Bootstrap())
    assert found.value == pytest.approx((mean(without) - mean(spliced)) / (mean(without) - 2))
    assert (found.low, found.high) == (expected.low, expected.high) and str(found) == "0.782 [0.76, 0.80]"


def test_where_nothing_is_lost_nothing_can_be_recovered() -> None:
    assert recovered([2.0] * 3, [2.5] * 3, [2.0] * 3) == NOTHING
    assert recovered([1.9] * 3, [2.5] * 3, [2.0] * 3) == NOTHING
    assert str(NOTHING) == "none" and mean_of([]) == NOTHING


def test_a_loss_that_may_as_well_be_none_gives_no_bounds() -> None:
    found = recovered([2.0, 3.0, 1.5], [2.0, 2.0, 2.0], [2.0, 2.0, 2.0])
    assert found.value == pytest.approx(1) and found.low is None and found.high is None


def test_two_numbers_have_a_mean_and_no_interval() -> None:
    assert mean_of([1.0, 2.0]) == Estimate(value=1.5, low=None, high=None)
    three = mean_of([1.0, 2.0, 3.0])
    assert three.low is not None and three.high is not None and three.low < 2 < three.high
