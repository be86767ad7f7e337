"""Clocks: which paths may be the slowest, what each is behind, and how far the slowest is off."""

import numpy as np
import numpy.typing as npt
import pytest

from bitwright.cost_model import estimate
from bitwright.cost_model.amounts import Amounts, LogicPath, slowest_of
from bitwright.cost_model.bands import clock_band
from bitwright.cost_model.coefficients import Coefficients, Delays, coefficients
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.formulas import counting_tables, piped
from bitwright.cost_model.parts import Part
from bitwright.cost_model.points import NODE, Point, u
from bitwright.models.graph import Folded, Unrolled

ECP5 = coefficients("ecp5").delays


def ns(point: Point) -> float:
    return 1e3 / estimate(point.graph(), point.plan("ecp5"), solved=True).clock_mhz


def slowest(point: Point) -> LogicPath:
    """The slowest path of the point's node by ECP5's delays."""
    from bitwright.cost_model.parts import parts

    part = parts(point.graph(), point.plan("ecp5"), solved=True)[NODE]
    return max(part.amounts.paths, key=lambda path: ECP5.of(path, 300))


def test_paths_behind_one_another() -> None:
    path = LogicPath(memories=1, tables=1).then(LogicPath(2, 0, 9))
    assert path == LogicPath(additions=2, tables=1, bits=9, memories=1)
    # bits are those of the last addition
    assert LogicPath(1, 0, 9).then(LogicPath(1, 0, 4)).bits == 4
    assert LogicPath(1, 0, 9).then(LogicPath(tables=1)).bits == 9


def test_only_paths_that_may_be_the_slowest_are_kept() -> None:
    long, wide, short = LogicPath(3, 0, 5), LogicPath(2, 0, 9), LogicPath(2, 0, 5)
    assert slowest_of([short, long, wide, long]) == (long, wide)
    assert slowest_of([long, short]) == slowest_of([short, long]) == (long,)
    both = Amounts(paths=(long,)) + Amounts(paths=(wide, short))
    assert both.paths == (long, wide)


def test_the_slowest_path_is_the_one_of_most_nanoseconds() -> None:
    """Delays decide, not the order of fields: a memory outlasts three additions, or does not."""
    paths = (LogicPath(additions=3), LogicPath(memories=1, tables=1))
    slow_memory = Delays(1, 1, 0, 0.5, 6, 0, 0, 0)
    fast_memory = Delays(1, 1, 0, 0.5, 1, 0, 0, 0)
    assert slow_memory.slowest(paths, 1) == 1 + 6 + 0.5
    assert fast_memory.slowest(paths, 1) == 1 + 3
    assert slow_memory.slowest((), 1) == 1  # from register to register


def test_a_path_from_a_memory_block_is_slower_than_the_same_from_registers() -> None:
    def dense(memory: str) -> Point:
        return Point("dense", (64,), u(1), Folded(2, 4, memory=memory), 16, bits=1)  # type: ignore[arg-type]

    block, tables = slowest(dense("block")), slowest(dense("lut"))
    assert block.memories == 1 and tables.memories == 0
    assert ns(dense("block")) > ns(dense("lut")) + 2


def test_a_path_through_a_multiplier_block_is_slower() -> None:
    signs, products = (
        Point("dense", (16,), u(4), Folded(2, 1, memory="lut"), 8, bits=bits) for bits in (1, 4)
    )
    assert slowest(products).products == 1 and slowest(signs).products == 0
    assert ns(products) > ns(signs)
    # constants from a memory, too: product, and behind a register what rounds it
    point = Point("requantize", (8,), u(12), Folded(2), made=u(4), bits=8, biased=True)
    assert slowest(point).products == 1


def test_counting_is_what_takes_long_in_fine_thresholds() -> None:
    assert [counting_tables(levels) for levels in (1, 3, 7, 15, 31, 63)] == [0, 1, 3, 6, 10, 15]
    times = [
        ns(Point("threshold", (4,), u(12), Unrolled(1), made=u(bits))) for bits in (1, 2, 4, 5, 6)
    ]
    assert times == sorted(times) and times[-1] > 2.5 * times[0]


def test_an_enable_takes_longer_the_more_registers_it_has() -> None:
    few, many = (
        max(ECP5.of(p, 100) for p in piped(Amounts(Cost(ff=n)), 1, False).paths) for n in (10, 4000)
    )
    assert many > few + 2
    # a pipeline that never stands still has none
    assert piped(Amounts(Cost(ff=4000)), 1, True).paths == ()


def numbers(away: dict[str, tuple[float, ...]]) -> Coefficients:
    return Coefficients({}, {}, ECP5, away, {}, {})


def parts(count: int) -> dict[str, Part]:
    return {f"n{i}": Part("some", Amounts(paths=(LogicPath(1),)), {}) for i in range(count)}


@pytest.mark.parametrize("count", [1, 4, 12])
def test_the_band_covers_the_slowest_of_several(count: int) -> None:
    """Networks drawn from the errors that were left out, alike or independent of each other."""
    dice = np.random.default_rng(count)
    away = np.sort(dice.normal(0.02, 0.1, 200).round(3))
    made = parts(count)
    band = clock_band(made, dict.fromkeys(made, 5.0), numbers({"some": tuple(away)}))
    assert band is not None

    def inside(drawn: npt.NDArray[np.float64]) -> float:
        mhz = 1e3 / (5.0 * np.exp(drawn.max(axis=1)))
        return float(np.mean((band[0] <= mhz) & (mhz <= band[1])))

    independent, alike = dice.choice(away, (4000, count)), dice.choice(away, (4000, 1))
    for drawn in (independent, alike):
        assert inside(drawn) >= 0.88
    assert inside(2 * alike) < 0.8  # and errors twice as large are seen
    if count == 1:
        assert inside(alike) == pytest.approx(0.9, abs=0.03)


def test_a_kind_without_clocks_is_off_as_all_the_others() -> None:
    made, periods = parts(1), {"n0": 5.0}
    away = tuple(np.linspace(-0.2, 0.2, 41))
    same = clock_band(made, periods, numbers({"other": away}))
    assert same == pytest.approx((1e3 / (5 * np.exp(0.18)), 1e3 / (5 * np.exp(-0.18))), rel=0.02)
    assert clock_band(made, periods, numbers({})) is None  # nothing was ever routed
    assert clock_band({}, {}, numbers({"other": away})) is None


def test_assumed_delays_have_no_band() -> None:
    point = Point("dense", (16,), u(4), Unrolled(2), 8, bits=4)
    assert estimate(point.graph(), point.plan("ecp5")).clock_band is not None
    for target in ("xc7", "xcup", "ice40"):
        assert estimate(point.graph(), point.plan(target)).clock_band is None
