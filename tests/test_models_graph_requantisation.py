"""Thresholds from rational quantisers and their dyadic twins, checked at every integer."""

from fractions import Fraction

import numpy as np
import pytest

from bitwright.models.graph import (
    Interval,
    IntType,
    Rounding,
    Threshold,
    as_requantize,
    derive_threshold,
)
from bitwright.models.graph.reference import _requantize, _threshold

ROUND = {
    "half_even": round,
    "half_up": lambda y: (y + Fraction(1, 2)).__floor__(),
    "floor": lambda y: y.__floor__(),
}


def interval(low: int, high: int, channels: int = 1) -> Interval:
    return Interval(np.full(channels, low, object), np.full(channels, high, object))


def steps(op: Threshold, low: int, high: int) -> list[int]:
    every = np.arange(low, high + 1)
    return [int(v) for v in _threshold(op, low, high)(every[:, None])[:, 0]]


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor"])
@pytest.mark.parametrize(
    "scale",
    [Fraction(1, 2), Fraction(1, 4), Fraction(3, 8), Fraction(1), Fraction(5, 2), Fraction(7, 23),
     Fraction(-1, 2), Fraction(-3, 7), Fraction(0), Fraction(float(np.float32(0.0731)))],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("offset", [Fraction(0), Fraction(1, 2), Fraction(-5, 4), Fraction(40)])
def test_threshold_equals_the_rational_quantiser_everywhere(
    rounding: Rounding, scale: Fraction, offset: Fraction
) -> None:
    low, high = -70, 70
    op = derive_threshold([scale], [offset], -4, 11, rounding, interval(low, high))
    expected = [min(max(ROUND[rounding](scale * x + offset), -4), 11) for x in range(low, high + 1)]
    assert steps(op, low, high) == expected
    wrong = Threshold(op.thresholds + 1, op.base, op.step)
    if len(set(expected)) > 1:
        assert steps(wrong, low, high) != expected  # the comparison can fail


@pytest.mark.parametrize("kind", [IntType(1, False), IntType(3, True), IntType(8, False)], ids=str)
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("rounding", ["half_even", "floor"])
def test_requantize_equals_the_threshold_everywhere_or_is_none(
    kind: IntType, narrow: bool, rounding: Rounding
) -> None:
    dice = np.random.default_rng(kind.width)
    low, high = -900, 1100
    lowest = -kind.max if narrow and kind.signed else kind.min
    found = 0
    for trial in range(40):
        scale = Fraction(1, 1 << trial) if trial < 12 else Fraction(float(dice.normal(0, 0.05)))
        offset = Fraction(0) if trial < 12 else Fraction(float(dice.normal(0, 3)))
        op = derive_threshold([scale], [offset], lowest, kind.max, rounding, interval(low, high))
        other = as_requantize(op, kind, interval(low, high))
        if other is None:
            continue
        found += 1
        every = np.arange(low, high + 1)[:, None]
        made = _requantize(other, kind, high)(every)[:, 0]
        assert [int(v) for v in made] == steps(op, low, high)
    assert found >= 35  # rational scales always have a dyadic twin, but for saturation


def test_power_of_two_scales_become_one_shift() -> None:
    kind = IntType(4, False)
    op = derive_threshold([Fraction(1, 8)], [Fraction(0)], 0, 15, "half_even", interval(-99, 200))
    other = as_requantize(op, kind, interval(-99, 200))
    assert other is not None
    assert (other.multiplier[0], other.shift, other.rounding) == (1, 3, "half_even")


def test_saturation_elsewhere_than_the_type_has_no_requantiser() -> None:
    op = derive_threshold([Fraction(1, 8)], [Fraction(0)], 0, 9, "half_even", interval(-99, 200))
    assert as_requantize(op, IntType(4, False), interval(-99, 200)) is None


def test_channels_share_one_shift() -> None:
    scales = [Fraction(1, 4), Fraction(-3, 64), Fraction(0), Fraction(1, 1024)]
    many = interval(-500, 500, 4)
    op = derive_threshold(scales, [Fraction(1, 3)] * 4, -8, 7, "half_even", many)
    other = as_requantize(op, IntType(4, True), many)
    assert other is not None
    every = np.repeat(np.arange(-500, 501)[:, None], 4, axis=1)
    assert np.array_equal(
        _requantize(other, IntType(4, True), 500)(every), _threshold(op, -500, 500)(every)
    )


def test_sixteen_bit_outputs_are_exact_too() -> None:
    kind = IntType(16, True)
    reach = interval(-(1 << 20), 1 << 20)
    scale = Fraction(float(np.float32(0.0301)))
    op = derive_threshold([scale], [Fraction(0)], kind.min, kind.max, "half_even", reach)
    other = as_requantize(op, kind, reach)
    assert other is not None
    every = np.arange(-(1 << 20), (1 << 20) + 1)[:, None]
    wide = np.searchsorted(op.thresholds[0], every[:, 0], side="right") + op.base[0]
    assert np.array_equal(_requantize(other, kind, 1 << 20)(every)[:, 0], wide)
