"""Weights in a few bits: what is unpacked is the nearest that the bits allow, and nothing is lost in the packing."""

import pytest
import torch

from circuitwise.dictionaries.quantised import FEWEST_BITS, MOST_BITS, Packed, pack, packed_bytes, unpack
from circuitwise.errors import RequestError

EVERY_SIZE = range(FEWEST_BITS, MOST_BITS + 1)


def some_matrix(n_columns: int = 37) -> torch.Tensor:
    return torch.randn(11, n_columns, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("bits", EVERY_SIZE)
def test_levels_come_back_as_they_were_packed(bits: int) -> None:
    highest = 2 ** (bits - 1) - 1
    levels = torch.randint(-highest, highest + 1, (5, 23), generator=torch.Generator().manual_seed(bits))
    levels[:, 0] = highest  # the longest weight sets the step, so that a step of two is found
    packed = pack(2.0 * levels, bits)
    assert packed.levels.shape == (5, packed_bytes(23, bits))
    assert torch.equal(unpack(packed), 2.0 * levels)


@pytest.mark.parametrize("bits", EVERY_SIZE)
def test_the_packing_is_the_binary_numbers_one_after_the_other(bits: int) -> None:
    highest = 2 ** (bits - 1) - 1
    packed = pack(some_matrix(), bits)
    for row, stored in enumerate(packed.levels):
        text = "".join(f"{byte:08b}" for byte in stored.tolist())
        numbers = [int(text[start : start + bits], 2) - highest for start in range(0, 37 * bits, bits)]
        torch.testing.assert_close(unpack(packed)[row], torch.tensor(numbers) * packed.step[row], rtol=0, atol=0)


def test_more_bits_change_less_and_eight_next_to_nothing() -> None:
    matrix = some_matrix(576)
    changes = [
        float((unpack(pack(matrix, bits)) - matrix).square().sum() / matrix.square().sum()) for bits in EVERY_SIZE
    ]
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] < 1e-4
    assert changes[MOST_BITS - 2 - FEWEST_BITS] < 2e-3


def test_no_weight_is_further_from_its_level_than_half_a_step_unless_it_was_cut() -> None:
    matrix, bits = some_matrix(), 6
    packed = pack(matrix, bits)
    longest = packed.step[:, None] * (2 ** (bits - 1) - 1)
    within = matrix.abs() <= longest
    assert ((unpack(packed) - matrix).abs() <= packed.step[:, None] / 2 * 1.0001)[within].all()
    assert (unpack(packed).abs() == longest)[~within].all()


def test_the_step_is_no_worse_than_one_that_cuts_nothing() -> None:
    matrix, bits = some_matrix(), 3
    uncut = matrix.abs().amax(1) / 3
    plain = (matrix / uncut[:, None]).round() * uncut[:, None]
    found = unpack(pack(matrix, bits))
    assert ((found - matrix).square().sum(1) <= (plain - matrix).square().sum(1) * 1.0001).all()


def test_a_row_of_zeros_stays_zero() -> None:
    matrix = some_matrix()
    matrix[4] = 0
    assert torch.equal(unpack(pack(matrix, 6))[4], torch.zeros(37))


@pytest.mark.parametrize("bits", [1, 9, 0, -3])
def test_other_numbers_of_bits_are_refused(bits: int) -> None:
    with pytest.raises(RequestError, match=f"cannot be kept in {bits} bits. Choose 2 to 8"):
        pack(some_matrix(), bits)


def test_a_packed_matrix_says_how_long_its_rows_are() -> None:
    packed = pack(some_matrix(), 5)
    assert isinstance(packed, Packed)
    assert (packed.n_columns, packed.bits, packed_bytes(37, 5)) == (37, 5, 24)
