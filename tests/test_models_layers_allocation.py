"""Rate allocation by ILP and Lagrangian against brute force over all choices."""

from itertools import product

import numpy as np
import pytest

from bitwright.models.errors import InputError
from bitwright.models.layers import BitQuantiser, Curve, Point, allocate


def random_curves(seed: int, layers: int = 4) -> list[Curve]:
    """Curves whose points are neither convex nor always falling, some of them missing."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(layers):
        points = {}
        for kind in ("bitplanes", "uniform"):
            mses = rng.random(4) * 0.25 ** np.arange(4)
            points[kind] = tuple(
                Point(kind, BitQuantiser.uniform(1.0, k + 1), float(mse), -10 * np.log10(mse))
                for k, mse in enumerate(mses)
                if kind == "uniform" or k == 0 or rng.random() < 0.7
            )
        count = int(rng.integers(1, 40)) * 16
        made.append(Curve(points["bitplanes"], points["uniform"], 1.0, rng.random() + 0.1, count))
    return made


def cost(curves: list[Curve], points: tuple[Point, ...]) -> int:
    return sum(c.activations * p.bits for c, p in zip(curves, points, strict=True))


def noise(curves: list[Curve], points: tuple[Point, ...], weights: list[float]) -> float:
    return sum(w * p.mse / c.energy for w, c, p in zip(weights, curves, points, strict=True))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kinds", [("bitplanes",), ("bitplanes", "uniform")])
def test_both_are_what_brute_force_finds(seed: int, kinds: tuple) -> None:
    curves = random_curves(seed)
    weights = [1.0, 0.25, 3.0, 1.0]
    every = list(product(*(curve.points(kinds) for curve in curves)))
    total = sum(curve.activations for curve in curves)
    for rate in (1.0, 1.4, 2.0, 2.7, 4.0):
        ilp = allocate(curves, rate, kinds=kinds, sensitivities=weights)
        best = min(noise(curves, c, weights) for c in every if cost(curves, c) <= rate * total)
        assert ilp.distortion == pytest.approx(best, rel=1e-9)
        assert ilp.distortion == pytest.approx(noise(curves, ilp.points, weights), rel=1e-12)
        assert ilp.rate == pytest.approx(cost(curves, ilp.points) / total)
        assert ilp.rate <= rate
        assert ilp.multiplier is None

        found = allocate(curves, rate, method="lagrangian", kinds=kinds, sensitivities=weights)
        assert found.rate <= rate
        assert found.distortion >= best * (1 - 1e-9)
        price = found.multiplier
        assert price is not None
        # Optimal at its price, and so at the rate that it reaches.
        priced = min(noise(curves, c, weights) + price * cost(curves, c) for c in every)
        own = found.distortion + price * cost(curves, found.points)
        assert own == pytest.approx(priced, rel=1e-9)
        spent = cost(curves, found.points)
        at_its_rate = min(noise(curves, c, weights) for c in every if cost(curves, c) <= spent)
        assert found.distortion == pytest.approx(at_its_rate, rel=1e-9)


def test_the_lagrangian_can_leave_budget_that_the_ilp_uses() -> None:
    """Or the two would be one method: there are points that no price of a bit selects."""
    pairs = [
        (allocate(c, 2.0).distortion, allocate(c, 2.0, method="lagrangian").distortion)
        for c in map(random_curves, range(6))
    ]
    assert any(ilp < lagrangian * 0.99 for ilp, lagrangian in pairs)


def test_equal_layers_share_equally_and_small_differences_count() -> None:
    uniform = tuple(
        Point("uniform", BitQuantiser.uniform(1.0, k), 1e-9 * 4.0**-k, 90.0) for k in range(1, 7)
    )
    large = Point("uniform", BitQuantiser.uniform(1.0, 1), 0.5, 3.0)
    curves = [Curve((), uniform, 1.0, 1.0, 100) for _ in range(3)]
    curves.append(Curve((), (large,), 1.0, 1.0, 100))
    chosen = allocate(curves, 2.5).points
    assert [p.bits for p in chosen] == [3, 3, 3, 1]


def test_a_rate_is_read_as_people_write_it() -> None:
    points = tuple(
        Point("uniform", BitQuantiser.uniform(1.0, k), 4.0**-k, 6.0 * k) for k in (1, 2, 3)
    )
    curves = [Curve((), points, 1.0, 1.0, 7), Curve((), points, 1.0, 1.0, 3)]
    assert allocate(curves, 2.3).rate == 2.3  # 2.3 * 10 is 22.999999999999996 in floating point


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0.99}, r"rate of 0\.99 bits .* below the 1 that"),
        ({"rate": 2.0, "sensitivities": [1.0]}, "sensitivity above 0 for each"),
        ({"rate": 2.0, "sensitivities": [1.0, 1.0, 0.0, 1.0]}, "sensitivity above 0 for each"),
        ({"rate": 2.0, "kinds": ()}, "no points of the kinds"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        allocate(random_curves(0), **arguments)


def test_no_layers_are_refused() -> None:
    with pytest.raises(InputError, match="at least one curve"):
        allocate([], 2.0)
