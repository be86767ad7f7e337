"""Number formats as codebooks: tables of integers, and the nearest entry for every real weight.

Every format here is a set of integers times one constant, so the multiply-accumulate behind it
stays an exact integer one.
"""

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import InputError
from bitwright.models.graph.codecs import Codebook, IntArray

Reals = npt.NDArray[np.float64]


def minifloat_table(exponent_bits: int, mantissa_bits: int) -> IntArray:
    """The values of a signed ExMy minifloat as integers, by code; shape (2^(1 + x + y),).

    One unit is 2^(1 - bias - y) with bias 2^(x-1) - 1 (arXiv 2311.12359): subnormals, no infinity
    and no NaN, so that the top binade holds numbers and the format saturates. E2M1 is 0, 1, 2, 3,
    4, 6, 8, 12 in halves. The sign is the code's highest bit, and minus zero is zero.

    Raises InputError for a format of no exponent bits, or above 8 bits.
    """
    if exponent_bits < 1 or mantissa_bits < 0 or 1 + exponent_bits + mantissa_bits > 8:
        raise InputError(
            f"E{exponent_bits}M{mantissa_bits} is not a minifloat of 2 to 8 bits with a sign and "
            "at least one exponent bit"
        )
    code = np.arange(1 << (exponent_bits + mantissa_bits))
    exponent, mantissa = code >> mantissa_bits, code & ((1 << mantissa_bits) - 1)
    normal = ((1 << mantissa_bits) + mantissa) << np.maximum(exponent - 1, 0)
    positive = np.where(exponent == 0, mantissa, normal)
    return np.concatenate([positive, -positive])


def power_table(bits: int, power: float, largest: int) -> IntArray:
    """A signed power grid (PowerQuant): the integers nearest to sign(i) |i/n|^(1/power) * largest.

    i runs over the codes of a two's complement number, n is its largest. power 1 is the uniform
    grid; below 1 the entries crowd around zero. Raises InputError for a power that is not above 0.
    """
    if power <= 0 or not 2 <= bits <= 8:
        raise InputError(
            f"a power grid of {bits} bits with power {power}: use 2..8 bits, power > 0"
        )
    n = (1 << (bits - 1)) - 1
    code = np.arange(1 << bits)
    number = np.clip(np.where(code > n, code - (1 << bits), code), -n, n)
    grid = np.sign(number) * (np.abs(number) / n) ** (1.0 / power) * largest
    return np.asarray(np.rint(grid), dtype=np.int64)


def nearest(weights: npt.ArrayLike, table: IntArray, scale: float) -> Codebook:
    """The codebook whose entries, times `scale`, are nearest to real weights (inputs, outputs)."""
    real = np.asarray(weights, dtype=np.float64) / scale
    order = np.argsort(table, kind="stable")
    values = table[order].astype(np.float64)
    above = np.clip(np.searchsorted(values, real), 1, len(values) - 1)
    closer = real - values[above - 1] <= values[above] - real
    return Codebook(order[np.where(closer, above - 1, above)], table[None, :])


def best_scale(weights: npt.ArrayLike, table: IntArray, candidates: int = 200) -> float:
    """The scale of least squared error for a table, searched on an even grid of clipping points."""
    real = np.asarray(weights, dtype=np.float64)
    largest = float(np.abs(real).max())
    if not np.isfinite(largest) or largest == 0:
        raise InputError("weights that are all zero, or not finite, have no scale")
    tried = largest * np.linspace(0.2, 1.0, candidates) / float(np.abs(table).max())
    errors = [_error(real, table, scale) for scale in tried]
    return float(tried[int(np.argmin(errors))])


def _error(real: Reals, table: IntArray, scale: float) -> float:
    made = table[nearest(real, table, scale).indices]
    return float(((real - made * scale) ** 2).sum())
