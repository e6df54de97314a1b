"""Weights in a few bits: every row of a matrix in whole steps of its own size, packed without gaps.

    row = step * level        level = -(2^(bits-1) - 1) ... 2^(bits-1) - 1

The step of a row is the one of a few candidates that changes the row least: the longest weights may be cut a little.
Levels lie one after the other as ``bits`` bits each, the highest first; a row begins at a whole byte.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from circuitwise.errors import RequestError

FEWEST_BITS, MOST_BITS = 2, 8
"""How many bits a weight may have."""
CUTS = tuple(0.5 + 0.05 * step for step in range(11))
"""Shares of a row's longest weight that are tried as the longest that is kept."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packed:
    """A matrix in a few bits a weight."""

    levels: UInt8[Tensor, "row byte"]
    """All levels, packed."""
    step: Float[Tensor, " row"]
    """The size of one level in each row."""
    n_columns: int
    """Weights of a row."""
    bits: int
    """Bits of a weight."""


def check_bits(bits: int) -> None:
    """Refuse a number of bits that cannot be."""
    if not FEWEST_BITS <= bits <= MOST_BITS:
        raise RequestError(f"Weights cannot be kept in {bits} bits. Choose {FEWEST_BITS} to {MOST_BITS}; 6 is good.")


def packed_bytes(n_columns: int, bits: int) -> int:
    """How many bytes a row takes."""
    return -(-n_columns * bits // 8)


def pack(matrix: Float[Tensor, "row column"], bits: int) -> Packed:
    """The matrix in so many bits a weight."""
    check_bits(bits)
    weights = matrix.float().cpu()
    highest = 2 ** (bits - 1) - 1
    step = _best_step(weights, highest)
    levels = (weights / step[:, None]).round().clamp(-highest, highest) + highest
    places = np.arange(bits - 1, -1, -1, dtype=np.uint8)
    each = (levels.to(torch.uint8).numpy()[:, :, None] >> places) & 1
    packed = np.packbits(each.reshape(len(weights), -1), axis=1)
    return Packed(levels=torch.from_numpy(packed), step=step, n_columns=weights.shape[1], bits=bits)


def unpack(packed: Packed) -> Float[Tensor, "row column"]:
    """The matrix that was packed, each weight the nearest that the bits allow."""
    n_rows, bits = len(packed.levels), packed.bits
    each = np.unpackbits(packed.levels.numpy(), axis=1, count=packed.n_columns * bits)
    levels = np.zeros((n_rows, packed.n_columns), dtype=np.uint8)
    for place in range(bits):
        levels |= each[:, place::bits] << np.uint8(bits - 1 - place)
    highest = 2 ** (bits - 1) - 1
    return (torch.from_numpy(levels).float() - highest) * packed.step[:, None]


def _best_step(weights: Float[Tensor, "row column"], highest: int) -> Float[Tensor, " row"]:
    """For each row the step that changes it least; a row of zeros has a step of one."""
    longest = weights.abs().amax(1)
    longest = torch.where(longest > 0, longest, torch.full_like(longest, float(highest)))
    best = longest / highest
    least = torch.full_like(best, torch.inf)
    for cut in CUTS:
        step = longest * cut / highest
        kept = (weights / step[:, None]).round().clamp(-highest, highest) * step[:, None]
        change = (kept - weights).square().sum(1)
        best = torch.where(change < least, step, best)
        least = torch.minimum(change, least)
    return best
