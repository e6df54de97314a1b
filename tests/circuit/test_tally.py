"""Sums are those of exact fractions, whatever the order in which they came."""

import random
from fractions import Fraction

import torch

from circuitwise.circuit.tally import Tally


def of(number: int) -> torch.Tensor:
    return torch.tensor([number])


def test_sums_lose_nothing_to_rounding_and_do_not_know_the_order():
    draws = random.Random(0)
    values = [draws.gauss(0, 1) * 10 ** draws.randint(-12, 6) for _ in range(400)]
    exact = sum(map(Fraction, values))
    squares = sum(Fraction(value) ** 2 for value in values)
    for _ in range(5):
        draws.shuffle(values)
        tally = Tally()
        for value in values:
            tally.add(of(3), torch.tensor([value], dtype=torch.float64))
        assert float(tally.total) == float(exact)
        spread = float(squares / len(values) - (exact / len(values)) ** 2) ** 0.5
        assert abs(float(tally.over(len(values)).spread) / spread - 1) < 1e-9


def test_items_are_kept_in_the_order_of_their_numbers_and_absent_ones_count_as_zero():
    tally = Tally()
    tally.add(torch.tensor([4, 9]), torch.tensor([1.0, -2.0]))
    tally.add(torch.tensor([2, 9]), torch.tensor([3.0, 4.0]))
    tally.add(torch.tensor([9]), torch.tensor([0.0]))
    assert tally.keys.tolist() == [2, 4, 9] and len(tally) == 3
    assert tally.total.tolist() == [3.0, 1.0, 2.0]
    assert tally.count.tolist() == [1, 1, 2]
    signed = tally.over(4)
    assert signed.mean.tolist() == [0.75, 0.25, 0.5]
    assert signed.agreement.tolist() == [1.0, 1.0, 0.5]
    torch.testing.assert_close(signed.spread, torch.tensor([27 / 16, 3 / 16, 19 / 4]).double().sqrt())
