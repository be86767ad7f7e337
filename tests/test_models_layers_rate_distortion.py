"""Samples, bit quantisers and the choice of points on a curve."""

import math

import numpy as np
import pytest

from bitwright.models.errors import InputError
from bitwright.models.layers import Activations, BitQuantiser, Curve, Point, bottleneck_ops


def point(kind: str, bits: int, mse: float) -> Point:
    psnr = -10 * math.log10(mse) if mse else math.inf
    return Point(kind, BitQuantiser.uniform(1.0, bits), mse, psnr)


CURVE = Curve(
    bitplanes=(point("bitplanes", 1, 0.3), point("bitplanes", 3, 0.0)),
    uniform=(point("uniform", 1, 0.2), point("uniform", 2, 0.05), point("uniform", 3, 0.01)),
    peak=1.0,
    energy=0.5,
)


def test_batches_are_joined_with_their_counts() -> None:
    data = Activations.joined([np.array([[0.0, 2.0], [2.0, 1.0]]), np.array([2.0, 0.5])])
    assert data.values.tolist() == [0.0, 0.5, 1.0, 2.0]
    assert data.counts.tolist() == [1, 1, 1, 3]
    assert data.peak == 2.0
    assert data.energy == pytest.approx((0.25 + 1 + 3 * 4) / 6)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "0 distinct activations"),
        ([0.0, 0.0], "none above 0"),
        ([1.0, -0.5], "go down to -0.5"),
        ([1.0, math.nan], "NaN or infinity"),
        ([1.0, math.inf], "NaN or infinity"),
    ],
)
def test_samples_that_say_nothing_are_refused(samples: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Activations.of(samples)


def test_it_rounds_ties_to_even_and_saturates_before_taking_bits() -> None:
    quantiser = BitQuantiser(0.5, 3, (1, 2), (5, 9), 1)
    x = np.array([0.25, 0.75, 1.25, 3.25, 3.75, 4.0, 100.0, -3.0])
    # 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, 6.5 -> 6, 7.5 -> 8, which would wrap around to 0
    assert quantiser.source(x).tolist() == [0, 2, 2, 6, 7, 7, 7, 0]
    assert quantiser.integers(x).tolist() == [0, 5, 5, 14, 14, 14, 14, 0]
    assert quantiser.unit == 0.25
    assert (quantiser.bits, quantiser.value_bits) == (2, 4)


def test_the_operations_make_the_same_integers() -> None:
    quantiser = BitQuantiser(1.0, 6, (0, 3, 5), (7, 2, 11))
    planes, lookup = bottleneck_ops(quantiser)
    assert planes.planes == (0, 3, 5)
    assert lookup.table.tolist() == [[0, 7, 2, 9, 11, 18, 13, 20]]
    u = np.arange(64)
    packed = (u & 1) | (u >> 3 & 1) << 1 | (u >> 5 & 1) << 2
    assert (lookup.table[0, packed] == quantiser.integers(u.astype(float))).all()


def test_a_uniform_quantiser_is_one_of_all_planes() -> None:
    quantiser = BitQuantiser.uniform(0.25, 4)
    x = np.linspace(0, 5, 1000)
    assert (quantiser.integers(x) == np.rint(x / 0.25).clip(0, 15)).all()
    _, lookup = bottleneck_ops(quantiser)
    assert lookup.table.tolist() == [list(range(16))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 4, (0,), (1,)), "not above 0"),
        ((math.nan, 4, (0,), (1,)), "not above 0"),
        ((0.1, 4, (0,), (1,)), "not a float32"),
        ((1.0, 0, (0,), (1,)), "source of 0 bits"),
        ((1.0, 17, (0,), (1,)), "source of 17 bits"),
        ((1.0, 4, (), ()), "not ascending"),
        ((1.0, 4, (4,), (1,)), "not ascending"),
        ((1.0, 4, (2, 1), (1, 2)), "not ascending"),
        ((1.0, 4, (1, 2), (1,)), "one integer above 0 for each"),
        ((1.0, 4, (1, 2), (1, 0)), "one integer above 0 for each"),
        ((1.0, 4, (1, 2), (1, 1 << 24)), "do not fit float32"),
    ],
)
def test_impossible_quantisers_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BitQuantiser(*arguments)


def test_points_are_measured_with_integer_coefficients_and_saturation() -> None:
    data = Activations.of([0.0, 1.0, 2.0, 9.0])
    measured = Point.measured("bitplanes", BitQuantiser(1.0, 2, (1,), (5,), 1), data, 9.0)
    assert measured.mse == pytest.approx((0 + 1 + 0.25 + 6.5**2) / 4)
    assert measured.psnr == pytest.approx(10 * math.log10(81 / measured.mse))
    exact = Point.measured("uniform", BitQuantiser.uniform(1.0, 4), data, 9.0)
    assert (exact.mse, exact.psnr) == (0.0, math.inf)


def test_the_target_is_a_rate_or_a_floor() -> None:
    assert CURVE.at_rate(2.5).mse == 0.3
    assert CURVE.at_rate(2.5, ("bitplanes", "uniform")).mse == 0.05
    assert CURVE.at_psnr(6.0).bits == 3
    assert CURVE.at_psnr(6.0, ("bitplanes", "uniform")).mse == 0.2
    with pytest.raises(InputError, match="keeps no bit"):
        CURVE.at_rate(0.5)
    with pytest.raises(InputError, match=r"reaches a PSNR of 25 dB, the best 20\.0"):
        CURVE.at_psnr(25.0, ("uniform",))


def test_the_baseline_wins_draws() -> None:
    assert [CURVE.winner(p) for p in CURVE.bitplanes] == ["uniform", "bitplanes"]
    assert CURVE.winner(point("bitplanes", 2, 0.05)) == "uniform"
