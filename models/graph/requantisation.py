"""Exact requantisation: from a real-valued quantiser to `Threshold`, and on to `Requantize`.

A quantiser of an accumulator is a monotone step function of an integer, so the list of integers at
which it steps says everything about it. `derive_threshold` finds that list in exact rational
arithmetic; `as_requantize` looks for the cheapest multiply, add and shift that steps at exactly the
same integers, and returns None rather than something close.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import GraphError
from bitwright.models.graph.codecs import IntArray
from bitwright.models.graph.ops import Requantize, Rounding, Threshold
from bitwright.models.graph.ranges import Interval
from bitwright.models.graph.types import IntType

_MAX_SHIFT = 40
_EXACT = 1 << 60  # products stay below this, so that the search is exact in int64


def derive_threshold(
    scale: Sequence[Fraction],
    offset: Sequence[Fraction],
    low: int,
    high: int,
    rounding: Rounding,
    interval: Interval,
) -> Threshold:
    """The `Threshold` equal to clip(round(scale[c] * x + offset[c]), low, high) for integers x.

    scale, offset: one exact rational per channel, in units of the output's integers; a scale may be
    negative (batch-norm) or zero. interval: the x that can occur; steps outside it are moved to
    its edge, which changes nothing that can happen and keeps the constants small.

    For output k to be reached with a positive scale, scale*x + offset must be at least k - 1/2
    (half_up), at least k (floor), or for half_even at least k - 1/2 when k is even and more than
    k - 1/2 when k is odd, because a tie goes to the even neighbour.
    """
    levels = range(low + 1, high + 1)
    rows, base, step = [], [], []
    for c, (s, o) in enumerate(zip(scale, offset, strict=True)):
        least, most = int(interval.low[c]), int(interval.high[c])
        if s == 0:
            rows.append(np.full(len(levels), most + 1, dtype=object))
            base.append(min(max(_round(o, rounding), low), high))
            step.append(1)
            continue
        row = _first_reached(s, o, levels, rounding)
        if s < 0:  # falling: count from the top, over x >= "the first x that is too large"
            row = (-row + 1)[::-1]
        rows.append(np.clip(row, least, most + 1))
        base.append(low if s > 0 else high)
        step.append(1 if s > 0 else -1)
    try:
        table = np.stack(rows).astype(np.int64)
    except OverflowError:
        raise GraphError("a threshold needs more than 63 bits: use fewer bits") from None
    return Threshold(table, np.array(base, dtype=np.int64), np.array(step, dtype=np.int64))


def _first_reached(
    scale: Fraction, offset: Fraction, levels: range, rounding: Rounding
) -> npt.NDArray[np.object_]:
    """For each level the first x (scale > 0) that reaches it; for scale < 0, minus the last."""
    k = np.array(levels, dtype=object)
    half = 0 if rounding == "floor" else 1
    # |scale|*x' >= k - half/2 - offset with x' = +-x, times the common denominator: all integers.
    slope = abs(scale.numerator) * 2 * offset.denominator
    target = (2 * k - half) * scale.denominator * offset.denominator
    target = target - offset.numerator * 2 * scale.denominator
    at_least = -(-target // slope)
    if rounding != "half_even":
        return np.asarray(at_least)
    more_than = target // slope + 1
    return np.where(k % 2 == 0, at_least, more_than)


def _round(x: Fraction, rounding: Rounding) -> int:
    match rounding:
        case "half_even":
            return round(x)
        case "half_up":
            return (x + Fraction(1, 2)).__floor__()
        case "floor":
            return x.__floor__()


def as_requantize(op: Threshold, kind: IntType, interval: Interval) -> Requantize | None:
    """A `Requantize` with a small shift that equals `op` wherever x can lie, or None.

    kind: the output's type, to which a requantiser saturates. interval: the x that can occur.
    None where saturating to the type (or its narrow form) would cut elsewhere than `op` does, or
    where no multiplier steps at the same integers.
    """
    channels = [_Steps.of_channel(op, c, interval) for c in range(len(op.base))]
    lowest = {c.lowest for c in channels if c.floor_occurs and not c.constant}
    narrow = kind.signed and lowest == {-kind.max}
    if not lowest <= {-kind.max if narrow else kind.min}:
        return None
    if not {c.highest for c in channels if c.ceiling_occurs and not c.constant} <= {kind.max}:
        return None
    roundings: tuple[Rounding, ...] = ("floor", "half_even")  # the cheaper one first
    for rounding in roundings:
        slopes = _slopes(channels, rounding)
        fits = []
        for channel, slope in zip(channels, slopes, strict=True):
            if (fit := channel.fit(slope, rounding)) is None:
                break
            fits.append(fit)
        else:
            shift = max(s for _, _, s in fits)
            multiplier = np.array([m << (shift - s) for m, _, s in fits])
            bias = np.array([b << (shift - s) for _, b, s in fits])
            return Requantize(multiplier, bias, shift, rounding, narrow)
    return None


@dataclass(frozen=True, slots=True)
class _Steps:
    """One channel as a rising step function: level[j] is reached at `yes[j]`, not yet at `no[j]`.

    Only steps that the interval of x can tell apart are kept, each with the two integers that
    prove it. `sign` is -1 where the channel falls and x was therefore negated.
    """

    sign: int
    lowest: int
    highest: int
    floor_occurs: bool
    ceiling_occurs: bool
    yes: IntArray  # x at which yes_level is reached
    yes_level: IntArray
    no: IntArray  # x at which no_level is not yet reached
    no_level: IntArray

    @classmethod
    def of_channel(cls, op: Threshold, c: int, interval: Interval) -> "_Steps":
        low, high, at = int(interval.low[c]), int(interval.high[c]), op.thresholds[c]
        lowest, sign = int(op.base[c]), int(op.step[c])
        if sign < 0:
            low, high, at, lowest = -high, -low, (1 - at)[::-1], lowest - len(at)
        level = lowest + 1 + np.arange(len(at))
        reached, missed = at <= high, at > low
        return cls(
            sign=sign,
            lowest=lowest,
            highest=lowest + len(at),
            floor_occurs=bool(missed[0]),
            ceiling_occurs=bool(reached[-1]),
            yes=np.maximum(at[reached], low),
            yes_level=level[reached],
            no=np.minimum(at[missed] - 1, high),
            no_level=level[missed],
        )

    @property
    def constant(self) -> bool:
        """Whether only one level can occur."""
        both = len(self.yes_level) and len(self.no_level)  # ascending, and without gaps
        return not both or bool(self.yes_level[-1] < self.no_level[0])

    def fit(self, slope: float, rounding: Rounding) -> tuple[int, int, int] | None:
        """(multiplier, bias, shift) making exactly these steps, at the smallest shift found."""
        if self.constant:
            return 0, int(self.yes_level[-1]) if len(self.yes_level) else self.lowest, 0
        # What fits at one shift fits, doubled, at the next: search for the smallest by bisection.
        best, least, most = None, 0, _MAX_SHIFT
        while least <= most:
            shift = (least + most) // 2
            found = self._fit_at(slope, shift, rounding)
            if found is None:
                least = shift + 1
            else:
                best, most = (self.sign * found[0], found[1], shift), shift - 1
        return best

    def _fit_at(self, slope: float, shift: int, rounding: Rounding) -> tuple[int, int] | None:
        centre = round(slope * 2**shift)
        largest = int(max(np.abs(self.yes).max(), np.abs(self.no).max(), 1))
        if 2 * (centre + 1) * largest >= _EXACT or abs(self.highest) << (shift + 2) >= _EXACT:
            return None
        for m in (centre, centre + 1, centre - 1):
            # Doubled, so that the half of half_even is an integer too.
            least = -((2 * m * self.yes - _target(self.yes_level, shift, rounding)) // 2)
            most = (_target(self.no_level, shift, rounding) - 1 - 2 * m * self.no) // 2
            low, high = int(least.max()), int(most.min())
            if m > 0 and low <= high:
                return m, _roundest(low, high)
        return None


def _slopes(channels: Sequence[_Steps], rounding: Rounding) -> npt.NDArray[np.float64]:
    """For each channel the real slope that leaves the bias the widest choice (it is concave)."""
    half = 0.0 if rounding == "floor" else 0.5
    slopes = np.zeros(len(channels))
    found = [i for i, c in enumerate(channels) if not c.constant]
    if not found:
        return slopes
    chosen = [channels[i] for i in found]
    yes, yes_level = _stacked([c.yes for c in chosen]), _stacked([c.yes_level for c in chosen])
    no, no_level = _stacked([c.no for c in chosen]), _stacked([c.no_level for c in chosen])

    def room(slope: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        upper = (no_level - half - slope[:, None] * no).min(axis=1)
        made: npt.NDArray[np.float64] = upper - (yes_level - half - slope[:, None] * yes).max(
            axis=1
        )
        return made

    # More than one level in less than one step of x needs a steeper slope than one to one.
    low, high = np.zeros(len(chosen)), np.array([c.highest - c.lowest + 1.0 for c in chosen])
    for _ in range(120):
        third = (high - low) / 3
        rises = room(low + third) < room(high - third)
        low, high = np.where(rises, low + third, low), np.where(rises, high, high - third)
    slopes[found] = (low + high) / 2
    return slopes


def _stacked(rows: Sequence[IntArray]) -> IntArray:
    """Rows of different lengths as one array, their last element repeated."""
    made = np.empty((len(rows), max(len(row) for row in rows)), dtype=np.int64)
    for one, row in zip(made, rows, strict=True):
        one[: len(row)], one[len(row) :] = row, row[-1]
    return made


def _target(level: IntArray, shift: int, rounding: Rounding) -> IntArray:
    """What 2 * (multiplier * x + bias) must at least be for `level` to be reached."""
    if rounding == "floor":
        return level << (shift + 1)
    return ((2 * level - 1) << shift) + level % 2


def _roundest(low: int, high: int) -> int:
    """The integer in low..high with the most trailing zero bits, which costs the least to add."""
    if low <= 0 <= high:
        return 0
    step = 1
    while -(-low // (2 * step)) * 2 * step <= high:
        step *= 2
    return -(-low // step) * step
