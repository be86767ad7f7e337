"""Quantisers to grids that are not even, minifloats above all: exact steps, then a table of values.

A minifloat is an integer times a power of two, so a tensor of them is an integer tensor whose
values have gaps. `quantise` makes it from any edge with a `Threshold`, which counts the steps
between neighbouring values, and a `Lookup`, which gives each count its value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import IntArray, Interval, IntType, Lookup, Rounding, Threshold
from bitwright.models.graph.codebooks import minifloat_table
from bitwright.models.lower.edges import MAX_LEVELS, Edge, append, check_unlimited


@dataclass(frozen=True)
class Grid:
    """y = the value nearest to x / unit, which means unit * y; beyond the ends it saturates.

    unit: one for all channels, or one each. values: ascending integers; the distance of two
    neighbours divides the one nearer to zero, as it does in a minifloat. rounding: half_even means
    that half-way between two neighbours the one wins that is an even multiple of their distance
    (a minifloat's even mantissa), floor that the lower neighbour always does.
    """

    unit: tuple[Fraction, ...]
    values: tuple[int, ...]
    rounding: Rounding
    name: str

    def units(self, edge: Edge) -> tuple[Fraction, ...]:
        """The unit of every channel of an edge. Raises UnsupportedError for another number."""
        channels = edge.value.channels
        if len(self.unit) == 1:
            return self.unit * channels
        if len(self.unit) != channels:
            raise UnsupportedError(
                f"has {len(self.unit)} scales for {channels} channels: use a per-tensor scale"
            )
        return edge.in_order(self.unit)

    def steps(self) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """Twice the x / unit at which each value but the first begins, and if that belongs to it.

        In floor, a value begins at itself.
        """
        twice, belongs = [], []
        for low, high in zip(self.values[:-1], self.values[1:], strict=True):
            if self.rounding == "floor":
                twice.append(2 * high)
                belongs.append(True)
            else:
                twice.append(low + high)
                belongs.append(high // (high - low) % 2 == 0)
        return tuple(twice), tuple(belongs)


def minifloat_grid(
    exponent_bits: int,
    mantissa_bits: int,
    largest: Fraction,
    unit: tuple[Fraction, ...],
    rounding: Rounding,
    signed: bool,
) -> Grid:
    """The grid of a minifloat whose numbers end at `largest` units, as where codes mean NaN."""
    table = minifloat_table(exponent_bits, mantissa_bits)
    values = sorted({int(v) for v in table if abs(int(v)) <= largest and (signed or v >= 0)})
    return Grid(unit, tuple(values), rounding, f"E{exponent_bits}M{mantissa_bits}")


def quantise(edge: Edge | None, name: str, grid: Grid) -> Edge:
    """The edge after a quantiser to a grid: `<name>_codes`, then the values themselves.

    The codes are the values' numbers, 0 for the value 0, so that a signed grid has signed codes.

    Raises UnsupportedError for the network's input (None), whose port has one distance between all
    values and cannot round to a grid that has several; and for more than MAX_LEVELS thresholds.
    """
    if edge is None:
        raise UnsupportedError(
            f"quantises the network's input to {grid.name}, and a port's values are evenly spaced: "
            "put a QuantIdentity with an integer quantiser in front of it"
        )
    check_unlimited(edge)
    channels, levels = edge.value.channels, len(grid.values) - 1
    if levels * channels > MAX_LEVELS:
        raise UnsupportedError(
            f"needs {channels} x {levels} thresholds, above the limit of {MAX_LEVELS}: use fewer "
            "bits or channels"
        )
    unit = grid.units(edge)
    scale = [s / u for s, u in zip(edge.scale, unit, strict=True)]
    offset = [o / u for o, u in zip(edge.offset, unit, strict=True)]
    lowest = -sum(v < 0 for v in grid.values)
    kind = IntType.holding(lowest, lowest + levels)
    codes = append(
        edge, f"{name}_codes", _threshold(scale, offset, grid, lowest, edge.interval), kind
    )
    numbers = np.clip(np.arange(kind.min, kind.max + 1) - lowest, 0, levels)
    made = append(codes, name, Lookup(np.array(grid.values)[None, numbers], kind.min))
    return replace(made, scale=unit, offset=(Fraction(0),) * channels, quantised=True)


def _threshold(
    scale: Sequence[Fraction],
    offset: Sequence[Fraction],
    grid: Grid,
    lowest: int,
    interval: Interval,
) -> Threshold:
    """The `Threshold` that counts the grid's steps at or below scale[c] * x + offset[c]."""
    twice, belongs = (np.array(part, dtype=object) for part in grid.steps())
    rows, base, step = [], [], []
    for c, (s, o) in enumerate(zip(scale, offset, strict=True)):
        least, most = int(interval.low[c]), int(interval.high[c])
        # |s| * x' + o >= twice / 2 with x' = +-x, times the common denominator: all integers.
        target = (twice * o.denominator - 2 * o.numerator) * s.denominator
        if s == 0:
            reached = int(((target < 0) | ((target == 0) & belongs.astype(bool))).sum())
            rows.append(np.full(len(twice), most + 1, dtype=object))
            base.append(lowest + reached)
            step.append(1)
            continue
        slope = 2 * o.denominator * abs(s.numerator)
        row = np.where(belongs.astype(bool), -(-target // slope), target // slope + 1)
        if s < 0:  # falling: count from the top, over x >= "the first x that is too large"
            row = (1 - row)[::-1]
        rows.append(np.clip(row, least, most + 1))
        base.append(lowest if s > 0 else lowest + len(twice))
        step.append(1 if s > 0 else -1)
    thresholds: IntArray = np.stack(rows).astype(np.int64)
    return Threshold(thresholds, np.array(base), np.array(step))
