"""Plane selection against brute force over all subsets, by lstsq and by non-negative lstsq."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import nnls

from bitwright.models.errors import InputError
from bitwright.models.layers import (
    Activations,
    PlaneStatistics,
    best_selections,
    integer_quantiser,
    lasso_selections,
    power_of_two_selections,
)

BITS = 5


def bits_of(x: np.ndarray, bits: int = BITS) -> np.ndarray:
    u = np.rint(x).clip(0, (1 << bits) - 1).astype(int)
    return (u[:, None] >> np.arange(bits) & 1).astype(float)


def samples(kind: str) -> np.ndarray:
    rng = np.random.default_rng(1)
    if kind == "half_normal":
        return np.abs(rng.normal(size=3000)) * 9
    if kind == "wrapping":  # beyond the top: what saturation is for
        return np.abs(rng.normal(size=3000)) * 30
    if kind == "few":  # planes that always agree, and one that is never set
        return rng.choice(np.array([0.0, 3.0, 4.2, 19.0]), 500)
    # Of 18 = 10010 and 3 = 00011, planes 0 and 1 alone would need a negative coefficient.
    values = rng.choice(np.array([18.0, 3.0, 9.0, 31.0]), 3000, p=[0.4, 0.4, 0.15, 0.05])
    return values + rng.uniform(-0.4, 0.4, 3000)


@pytest.mark.parametrize("kind", ["half_normal", "wrapping", "few", "negative"])
@pytest.mark.parametrize("scale", [1.0, 0.75])
def test_the_best_subset_is_that_of_brute_force(kind: str, scale: float) -> None:
    x = samples(kind)
    statistics = PlaneStatistics.of(Activations.of(x), scale, BITS)
    bits, y = bits_of(x / scale), x / scale
    found = {len(s.planes): s for s in best_selections(statistics)}
    best = np.inf
    for k in range(1, BITS + 1):
        every = {s: nnls(bits[:, s], y)[1] ** 2 / len(y) for s in combinations(range(BITS), k)}
        if min(every.values()) < best * (1 - 1e-9) - 1e-12:
            best = min(every.values())
            assert found[k].mse == pytest.approx(best, abs=1e-10)
            assert every[found[k].planes] == pytest.approx(best, abs=1e-10)
            expected = nnls(bits[:, found[k].planes], y)[0]
            assert found[k].coefficients == pytest.approx(expected, abs=1e-6)
        else:  # not one more plane helps, with coefficients of at least 0
            assert k not in found


def test_some_unconstrained_solutions_are_negative() -> None:
    """Or the test above would say nothing about the constraint."""
    x = samples("negative")
    bits = bits_of(x)
    solutions = [
        np.linalg.lstsq(bits[:, s], x, rcond=None)[0]
        for k in range(1, BITS + 1)
        for s in combinations(range(BITS), k)
    ]
    assert any((s < -0.1).any() for s in solutions)


def test_powers_of_two_are_no_worse_than_rounding() -> None:
    statistics = PlaneStatistics.of(Activations.of(samples("half_normal")), 1.0, BITS)
    general = {len(s.planes): s for s in best_selections(statistics)}
    for power in power_of_two_selections(statistics):
        assert (np.exp2(np.rint(np.log2(power.coefficients))) == power.coefficients).all()
        least = general[len(power.planes)]
        rounded = np.exp2(np.rint(np.log2(least.coefficients)))
        assert least.mse <= power.mse <= statistics.mse(least.planes, rounded)


def test_powers_of_two_of_one_subset_are_those_of_brute_force() -> None:
    statistics = PlaneStatistics.of(Activations.of(samples("wrapping")), 1.0, 3)
    found = power_of_two_selections(statistics)
    powers = np.exp2(np.arange(-3, 8))
    for power in found:
        grids = np.meshgrid(*[powers] * len(power.planes))
        every = np.stack([g.ravel() for g in grids], axis=1)
        for planes in combinations(range(3), len(power.planes)):
            assert power.mse <= min(statistics.mse(planes, c) for c in every) + 1e-12


def test_the_lasso_shrinks_and_least_squares_does_not() -> None:
    x = samples("half_normal")
    statistics = PlaneStatistics.of(Activations.of(x), 1.0, BITS)
    best = {len(s.planes): s for s in best_selections(statistics)}
    found = lasso_selections(statistics, fit_intercept=False)
    assert len(found) > 1
    for lasso in found:
        k = len(lasso.shrunk.planes)
        assert lasso.shrunk.coefficients.sum() < lasso.refitted.coefficients.sum()
        assert lasso.shrunk.mse > lasso.refitted.mse >= best[k].mse - 1e-12
        assert lasso.loss > 0
    # With an intercept that is then dropped, as the authors have it, no better.
    for lasso in lasso_selections(statistics):
        assert lasso.shrunk.mse > best[len(lasso.shrunk.planes)].mse * 1.01


def test_the_lasso_of_grouped_samples_is_that_of_all_samples() -> None:
    from sklearn.linear_model import Lasso

    x = samples("wrapping")
    statistics = PlaneStatistics.of(Activations.of(x), 1.0, BITS)
    (found,) = lasso_selections(statistics, [0.5])
    lasso = Lasso(0.5, positive=True).fit(bits_of(x), x)
    assert np.flatnonzero(lasso.coef_).tolist() == list(found.shrunk.planes)
    assert found.shrunk.coefficients == pytest.approx(lasso.coef_[lasso.coef_ > 0], abs=1e-3)
    with pytest.raises(InputError, match="not all above 0"):
        lasso_selections(statistics, [0.5, 0.0])


def test_integer_coefficients_cost_a_tenth_of_a_decibel_at_most() -> None:
    statistics = PlaneStatistics.of(Activations.of(samples("half_normal")), 1.0, BITS)
    for selection in best_selections(statistics):
        made = integer_quantiser(statistics, selection)
        real = np.ldexp(np.array(made.coefficients, float), -made.fraction_bits)
        assert statistics.mse(made.planes, real) <= selection.mse * 10**0.01
        fixed = integer_quantiser(statistics, selection, 6)
        assert fixed.coefficients == tuple(np.rint(selection.coefficients * 64).astype(int))
    with pytest.raises(InputError, match="become 0 with -9 fraction bits"):
        integer_quantiser(statistics, selection, -9)
