"""Number formats as integer tables, against their definitions in floating point."""

import numpy as np
import pytest

from bitwright.models.errors import InputError
from bitwright.models.graph import decode
from bitwright.models.graph.codebooks import best_scale, minifloat_table, nearest, power_table


def test_e2m1_is_the_published_list() -> None:
    assert minifloat_table(2, 1).tolist() == [0, 1, 2, 3, 4, 6, 8, 12,
                                              0, -1, -2, -3, -4, -6, -8, -12]  # fmt: skip


@pytest.mark.parametrize(("x", "y"), [(1, 1), (2, 0), (3, 2), (4, 3), (5, 2)])
def test_a_minifloat_is_its_definition(x: int, y: int) -> None:
    bias = 2 ** (x - 1) - 1
    for code, value in enumerate(minifloat_table(x, y)):
        sign = -1.0 if code >> (x + y) else 1.0
        exponent, mantissa = (code >> y) & (2**x - 1), (code & (2**y - 1)) / 2**y
        real = sign * (2.0 ** (1 - bias) * mantissa if exponent == 0
                       else 2.0 ** (exponent - bias) * (1 + mantissa))  # fmt: skip
        assert value * 2.0 ** (1 - bias - y) == real


def test_power_one_is_uniform_and_less_crowds_around_zero() -> None:
    assert power_table(3, 1.0, 3).tolist() == [0, 1, 2, 3, -3, -3, -2, -1]
    gaps = np.diff(np.unique(power_table(5, 0.5, 100)))
    assert gaps.min() < gaps.max() and gaps[len(gaps) // 2] == gaps.min()


def test_nearest_is_nearest() -> None:
    rng = np.random.default_rng(0)
    weights, table = rng.normal(0, 1, (30, 20)), minifloat_table(2, 1)
    made = decode(nearest(weights, table, 0.25)) * 0.25
    best = np.abs(weights[..., None] - table * 0.25).min(axis=-1)
    assert np.allclose(np.abs(weights - made), best)


def test_the_best_scale_is_better_than_its_neighbours() -> None:
    weights, table = np.random.default_rng(1).normal(0, 1, (50, 50)), minifloat_table(2, 1)

    def error(scale: float) -> float:
        return float(((weights - decode(nearest(weights, table, scale)) * scale) ** 2).mean())

    best = best_scale(weights, table)
    assert error(best) <= min(error(best * 0.8), error(best * 1.2))


@pytest.mark.parametrize(
    "wrong",
    [lambda: minifloat_table(0, 3), lambda: minifloat_table(5, 3), lambda: power_table(4, 0.0, 7),
     lambda: best_scale(np.zeros((2, 2)), minifloat_table(2, 1))],
)  # fmt: skip
def test_formats_that_do_not_exist_are_refused(wrong: object) -> None:
    with pytest.raises(InputError):
        wrong()  # type: ignore[operator]
