"""Rate-distortion curves: the published comparison, the baseline's clip, and who wins where."""

import math

import numpy as np
import pytest

from bitwright.models.errors import InputError
from bitwright.models.layers import (
    Activations,
    BitQuantiser,
    best_step,
    full_scale_step,
    rate_distortion,
)


@pytest.fixture(scope="module")
def half_normal() -> Activations:
    x = np.abs(np.random.default_rng(0).normal(size=100_000))
    return Activations.of(np.minimum(x, 4.35))


def test_half_normal_data_as_in_the_literature(half_normal: Activations) -> None:
    """Planes of a 5-bit source whose full scale is 4.35 sigma, which is the peak of the PSNR too.

    The figures move with the full scale, which decides how much of the source small values use.
    """
    curve = rate_distortion(half_normal, full_scale_step(half_normal, 5), 5)
    assert curve.peak == 4.35
    planes = {p.bits: p for p in curve.bitplanes}
    for bits, decibels, uniform in [(4, 33.5, 37.1), (3, 26.0, 31.6), (2, 19.5, 26.0)]:
        assert planes[bits].psnr == pytest.approx(decibels, abs=0.3)
        assert curve.baseline(bits).psnr == pytest.approx(uniform, abs=0.3)
        assert curve.winner(planes[bits]) == "uniform"


def test_searching_the_sources_scale_does_not_make_planes_win(half_normal: Activations) -> None:
    """Nor is a low full scale the reason: at every scale, dropping planes loses to best clip."""
    for scale in np.geomspace(0.03, 0.14, 6).astype(np.float32):
        curve = rate_distortion(half_normal, float(scale), 5)
        planes = {p.bits: p for p in curve.bitplanes}
        assert all(planes[k].mse > curve.baseline(k).mse for k in (2, 3, 4) if k in planes)


def test_bit_planes_win_where_values_are_sums_of_few_powers() -> None:
    x = np.random.default_rng(0).choice(np.array([0.0, 1.0, 16.0, 17.0]), 1000) * 0.5
    curve = rate_distortion(Activations.of(x), 0.5, 5)
    point = curve.at_rate(2)
    assert (point.quantiser.planes, point.mse) == ((0, 4), 0.0)
    assert curve.winner(point) == "bitplanes"
    assert curve.baseline(2).mse > 0
    assert [p.bits for p in curve.bitplanes] == [1, 2]  # no more planes can help


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["half_normal", "exponential", "integers"])
def test_the_baseline_has_the_best_clip(kind: str, bits: int) -> None:
    rng = np.random.default_rng(2)
    x = {
        "half_normal": np.abs(rng.normal(size=1500)),
        "exponential": rng.exponential(size=1500),
        "integers": rng.integers(0, 23, 1500) * 0.125,
    }[kind]
    data = Activations.of(x)

    def mse(step: float) -> float:
        quantiser = BitQuantiser.uniform(float(np.float32(step)), bits)
        return float(np.mean((quantiser.integers(x) * quantiser.unit - x) ** 2))

    found = mse(best_step(data, bits))
    unclipped = x.max() / ((1 << bits) - 1)
    others = [mse(step) for step in np.linspace(0.02, 2.2, 900) * unclipped]
    assert found <= min(others) * 1.001
    assert found < mse(unclipped) or found == pytest.approx(0, abs=1e-12) or kind == "integers"
    power = best_step(data, bits, power_of_two=True)
    assert math.frexp(power)[0] == 0.5
    assert mse(power) == min(mse(2.0**e) for e in range(-12, 4))


@pytest.mark.parametrize("coefficients", ["general", "power_of_two", "lasso"])
def test_all_points_are_what_their_quantisers_do(half_normal: Activations, coefficients) -> None:
    curve = rate_distortion(half_normal, 0.125, 6, coefficients=coefficients, peak=5.0)
    assert [p.bits for p in curve.uniform] == [1, 2, 3, 4, 5, 6]
    assert curve.bitplanes
    for point in (*curve.bitplanes, *curve.uniform):
        made = point.quantiser.integers(half_normal.values) * point.quantiser.unit
        mse = half_normal.mean((made - half_normal.values) ** 2)
        assert point.mse == mse
        assert point.psnr == pytest.approx(10 * math.log10(25 / mse))
        if coefficients == "power_of_two":
            assert all(c & (c - 1) == 0 for c in point.quantiser.coefficients)


def test_exact_selection_is_no_worse_than_the_others(half_normal: Activations) -> None:
    scale = full_scale_step(half_normal, 5)
    assert np.float32(scale) == scale
    general = rate_distortion(half_normal, scale, 5)
    for other in ("power_of_two", "lasso"):
        for point in rate_distortion(half_normal, scale, 5, coefficients=other).bitplanes:
            # 0.1 dB is what rounding to integers may cost.
            assert general.at_rate(point.bits).psnr >= point.psnr - 0.1


def test_a_full_scale_of_a_power_of_two_reaches_the_peak() -> None:
    data = Activations.of([0.3, 3.1])
    assert full_scale_step(data, 4, power_of_two=True) == 0.25
    assert full_scale_step(data, 5, power_of_two=True) == 0.125


def test_bad_arguments_are_refused(half_normal: Activations) -> None:
    with pytest.raises(InputError, match=r"peak of 0\.0 is not above 0"):
        rate_distortion(half_normal, 0.125, 4, peak=0.0)
    with pytest.raises(InputError, match="source of 17 bits"):
        rate_distortion(half_normal, 0.125, 17)
    with pytest.raises(InputError, match="uniform quantiser of 0 bits"):
        best_step(half_normal, 0)
