"""Structure of the formulas; test_cost_model_calibration.py has their errors."""

from dataclasses import replace

import numpy as np
import pytest

from bitwright.cost_model.amounts import LogicPath
from bitwright.cost_model.blocks import Blocks
from bitwright.cost_model.coefficients import amounts_cost, coefficients
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.features import Features, Rescale, Steps, Sum, Wires
from bitwright.cost_model.formulas import (
    addition_width,
    additions,
    amounts,
    cuts,
    depth,
    paths,
    shared_additions,
    step_logic,
    sum_cut_bits,
    sum_levels,
    table_count,
)
from bitwright.cost_model.lookups import Tables
from bitwright.cost_model.targets import TABLES
from bitwright.models.graph import TARGETS, Target


def node_cost(f: Features, stages: int, target: Target) -> Cost:
    return amounts_cost(amounts(f, stages, target), target)


def delay(f: Features, stages: int, target: Target) -> float:
    return coefficients(target).delays.slowest(paths(f, stages, target), 500)


LAYER = Sum(
    inputs=16,
    columns=32,
    digits=500,
    separate=468,
    most=22,
    positions=4,
    input_width=6.0,
    sum_width=12.0,
    constant_bits=384,
    output_bits=400,
)
NOTHING = Sum(0, 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0)


def steps(width: float, levels: float, compared: float, selecting: float, out: float) -> Steps:
    """Four elements that all comparisons decide, or `selecting` signals that cost no comparison."""
    each = (np.full(4, float(v)) for v in (width, levels, compared))
    signals, none = np.tile([float(width), selecting], (4, 1)), np.zeros((4, 2))
    unknown = np.full((4, max(int(out), 1)), -1)
    return Steps(*each, signals, none, np.full(4, float(out)), unknown)


def rescaler(**changes: float) -> Rescale:
    values = {
        "input_width": 12.0, "digits": 2.0, "product_width": 15.0, "product_bits": 15.0,
        "constant_bits": 14.0, "tie_bits": 6.0, "upper_bits": 3.0, "output_width": 4.0,
    }  # fmt: skip
    return Rescale(**{name: np.full(8, v) for name, v in {**values, **changes}.items()})


def lookup(*columns: tuple[int, int, int]) -> Tables:
    """Output bits as (inputs read, parts of four inputs, parts of six)."""
    reads, of_4, of_6 = (np.array([c[i] for c in columns], dtype=np.int64) for i in range(3))
    return Tables(reads, {4: of_4, 6: of_6}, len(columns))


BINARY = replace(
    LAYER, inputs=64, digits=64 * 32, separate=63 * 32, most=64, positions=1, constant_bits=0,
    input_width=2.0, sum_width=8.0,
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_more_of_anything_never_costs_less(target: Target) -> None:
    base = node_cost(LAYER, 2, target)
    for wider in (
        replace(LAYER, input_width=8.0, sum_width=14.0),
        replace(LAYER, digits=600, separate=568),
        replace(LAYER, constant_bits=500),
        replace(LAYER, inputs=20, digits=625, separate=593),
        replace(LAYER, columns=40, digits=625, separate=585),
    ):
        cost = node_cost(wider, 2, target)
        assert cost.lut > base.lut and cost.carry >= base.carry and cost.ff >= base.ff, wider
    few, many = (node_cost(steps(12, k, 8 * k, 12, 4), 1, target) for k in (3, 15))
    assert many.lut > few.lut
    for name in ("product_bits", "constant_bits"):
        assert (
            node_cost(rescaler(**{name: 30.0}), 1, target).lut
            > node_cost(rescaler(), 1, target).lut
        )


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_costs_only_its_control(target: Target) -> None:
    control = 3 if target == "ice40" else 2
    assert node_cost(NOTHING, 1, target) == Cost(lut=control, ff=2)
    assert node_cost(NOTHING, 3, target) == Cost(lut=control, ff=6)
    assert node_cost(steps(8, 0, 0, 0, 0), 1, target) == Cost(lut=control, ff=2)
    assert node_cost(lookup(), 2, target) == Cost(lut=control, ff=4)
    assert node_cost(Wires(), 0, target) == Cost()


def test_wires_cost_registers_only() -> None:
    identity = replace(NOTHING, inputs=4, columns=4, digits=4, most=1, positions=1, output_bits=16)
    assert node_cost(identity, 1, "xc7") == Cost(lut=2, ff=16 + 2)


def test_sharing() -> None:
    assert 0 < shared_additions(LAYER) < LAYER.separate
    # one column of 1-bit weights repeats nothing
    single = replace(LAYER, columns=1, positions=1, digits=16, separate=15)
    assert shared_additions(single) == 15
    # the more columns and the denser, the larger the share that is saved
    for more in (
        replace(LAYER, columns=64, digits=1000),
        replace(LAYER, inputs=16, digits=700),
    ):
        assert shared_additions(more) < shared_additions(LAYER)


def test_binary_weights_are_added_in_the_cheaper_way() -> None:
    dear = Blocks(400, 1e6, (128.0, 90.0, 60.0))
    cheap = Blocks(400, 1600.0, (128.0, 90.0, 60.0))
    assert additions(replace(BINARY, blocks=dear)) == additions(BINARY)
    assert additions(BINARY) == (shared_additions(BINARY), addition_width(BINARY))
    found = replace(BINARY, blocks=cheap)
    assert additions(found) == (400, 4)
    assert sum_levels(found) == 2 and sum_levels(replace(found, constant_bits=8)) == 3
    assert [sum_cut_bits(found, level) for level in (0, 1, 2, 3)] == [128, 90, 60, 60]
    assert node_cost(found, 2, "ecp5").lut < node_cost(BINARY, 2, "ecp5").lut
    assert node_cost(found, 2, "ecp5").ff == 400 + 4 + 90


# Tables of random bits, one output bit each; what Yosys made of sixteen or eight of them, each.
@pytest.mark.parametrize(
    ("inputs", "xc7", "ecp5", "ice40"),
    [(4, 1, 1, 1), (5, 1, 2, 3.5), (6, 1, 4, 9.2), (7, 2, 8, 18.8), (8, 4, 20.1, 37.4)],
)
def test_a_lookup(inputs: int, xc7: float, ecp5: float, ice40: float) -> None:
    column = (inputs, 1 << max(inputs - 4, 0), 1 << max(inputs - 6, 0))
    targets: tuple[tuple[Target, float], ...] = (("xc7", xc7), ("ecp5", ecp5), ("ice40", ice40))
    for target, count in targets:
        deep = inputs > TABLES[target].inputs  # otherwise one table each, which is no estimate
        assert table_count(lookup(column), target) == (
            pytest.approx(count, rel=0.08) if deep else 0
        )
        assert table_count(lookup(column, column), target) == 2 * table_count(
            lookup(column), target
        )
    # ten inputs of which only two parts differ: no more than choosing between those
    few = table_count(lookup((10, 2, 2)), "ice40")
    assert few < table_count(lookup((10, 64, 16)), "ice40") / 10


def test_thresholds_take_the_smaller_form() -> None:
    far = steps(12, 15, 120, 12, 4)  # comparisons at any places
    near = steps(12, 15, 120, 5, 4)  # five signals decide
    for target in TARGETS:
        made = step_logic(far, target)
        assert made["compared"] == 4 * 120 and made["counted"] == 4 * 4 and not made["decided"]
        made = step_logic(near, target)
        assert made["decided"] >= 4 * 4 and not made["compared"]
        assert not any(step_logic(steps(10, 0, 0, 0, 0), target).values())
    # a table of seven inputs is not taken apart where multiplexers make one
    whole = steps(7, 15, 120, 5, 4)
    assert step_logic(whole, "gowin")["decided"] > step_logic(whole, "ice40")["decided"]


def test_a_lookup_has_one_stage_of_logic() -> None:
    assert depth(lookup((4, 1, 1)), "ecp5").tables == 1
    # every input beyond those of a table selects between two of half as many
    assert depth(lookup((8, 16, 4)), "ecp5").tables == 5
    assert depth(lookup((8, 16, 4)), "xc7").tables == 3
    assert cuts(lookup((8, 16, 4)), 3) == []
    assert paths(lookup((8, 16, 4)), 1, "xc7") == paths(lookup((8, 16, 4)), 3, "xc7")
    assert paths(Wires(), 0, "xc7") == (LogicPath(),)


def test_levels_and_cuts() -> None:
    assert sum_levels(NOTHING) == 0
    assert sum_levels(replace(NOTHING, most=2, separate=1)) == 1
    assert sum_levels(replace(NOTHING, most=9, separate=8, constant_bits=9)) == 5
    assert cuts(LAYER, 1) == [] and cuts(LAYER, 3) == [2, 4]
    assert cuts(steps(8, 3, 9, 8, 2), 3) == []
    assert depth(steps(8, 3, 9, 8, 2), "xc7").additions == 0
    # before any addition the inputs, at last a sum a column, in between more than either
    bits = [sum_cut_bits(LAYER, level) for level in range(sum_levels(LAYER) + 1)]
    assert bits[0] == 16 * 6 and bits[-1] == pytest.approx(32 * 12, rel=0.15)
    assert bits[2] > bits[3] > bits[4] > bits[-1] > bits[0]
    assert sum_cut_bits(NOTHING, 0) == 0


@pytest.mark.parametrize("target", TARGETS)
def test_stages_shorten_the_path(target: Target) -> None:
    times = [delay(LAYER, stages, target) for stages in range(1, 9)]
    assert times == sorted(times, reverse=True) and times[0] > times[-1]
    assert [path.additions for path in paths(LAYER, 8, target)] == [1]
    assert delay(steps(8, 3, 9, 8, 2), 1, target) == delay(steps(8, 3, 9, 8, 2), 4, target)
