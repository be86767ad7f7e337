"""Additions are narrowed only where no threshold can tell, which every pair of inputs shows."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from bitwright.models.graph import (
    Add,
    Builder,
    Graph,
    IntArray,
    IntType,
    Requantize,
    Threshold,
    evaluate,
)
from bitwright.models.graph.additions import narrow_additions
from bitwright.models.graph.types import Value

CHANNELS = 3


def branches(builder: Builder, kinds: tuple[IntType, IntType]) -> tuple[Value, Value]:
    """Two tensors of given types, side by side in one input."""
    x = builder.input("x", (2 * CHANNELS,), IntType(20, signed=True))
    made = []
    for i, kind in enumerate(kinds):
        # One channel of the input each, saturated to the branch's type.
        shift = Requantize(np.ones(2 * CHANNELS, int), np.zeros(2 * CHANNELS, int), 0, "floor")
        made.append(builder.add(f"branch{i}", shift, x, kind=kind))
    return made[0], made[1]


def network(factors: tuple[int, int], kinds: tuple[IntType, IntType], seed: int = 0) -> Graph:
    """Thresholds of several levels, some of them on sums that occur."""
    dice = np.random.default_rng(seed)
    b = Builder("net")
    total = b.add("total", Add(factors), *branches(b, kinds))
    low, high = b.interval(total).bounds
    levels = np.sort(dice.integers(low - 5, high + 6, (2 * CHANNELS, 7)), axis=1)
    steps = dice.choice([-1, 1], 2 * CHANNELS)
    return b.graph(b.add("act", Threshold(levels, np.where(steps > 0, 0, 7), steps), total))


def pairs(kinds: tuple[IntType, IntType]) -> IntArray:
    """Every pair of branch values, as the two inputs of `sums`."""
    one, two = (np.arange(kind.min, kind.max + 1) for kind in kinds)
    return np.stack(np.meshgrid(one, two), axis=-1).reshape(-1, 2)


def thresholds(graph: Graph) -> tuple[Add, Threshold]:
    nodes = {node.name: node.op for node in graph.nodes}
    total, act = nodes["total"], nodes["act"]
    assert isinstance(total, Add) and isinstance(act, Threshold)
    return total, act


def counted(graph: Graph, every: IntArray) -> IntArray:
    """What each channel makes of every pair, from the operations' own definition."""
    total, act = thresholds(graph)
    sums = every @ np.array(total.multipliers)
    made: IntArray = (sums[:, None, None] >= act.thresholds).sum(axis=2)
    return made


U4, S4, S3 = IntType(4, False), IntType(4, True), IntType(3, True)


@pytest.mark.parametrize("kinds", [(U4, U4), (S4, U4), (S3, S4)], ids=str)
@pytest.mark.parametrize("seed", range(12))
def test_no_pair_of_inputs_tells(kinds: tuple[IntType, IntType], seed: int) -> None:
    dice = np.random.default_rng(seed)
    scales = [Fraction(float(np.float32(s))) for s in dice.uniform(0.01, 0.3, 2)]
    unit = scales[0].denominator * scales[1].denominator
    whole = [int(s * unit) for s in scales]
    whole = [w // int(np.gcd(*whole)) for w in whole]
    factors = whole[0] * int(dice.choice([-1, 1])), whole[1] * int(dice.choice([-1, 1]))
    graph = network(factors, kinds, seed)
    narrow = narrow_additions(graph)
    every = pairs(kinds)
    assert np.array_equal(counted(graph, every), counted(narrow, every))
    assert len(np.unique(counted(graph, every))) > 3
    wide, thin = graph.values["total"].type.width, narrow.values["total"].type.width
    assert wide > 24 and thin <= 4 + 4 + 3
    x = np.random.default_rng(1).integers(-20, 20, (500, 2 * CHANNELS))
    assert np.array_equal(evaluate(graph, x), evaluate(narrow, x))


@pytest.mark.parametrize("factors", [(1000, 1001), (1001, 3), (1, 999), (-7000, 2999)])
def test_sums_on_a_threshold_stay_on_it(factors: tuple[int, int]) -> None:
    """Every sum that occurs is a threshold, so that a single exchange of two would show."""
    kinds = (S3, S4)
    b = Builder("net")
    total = b.add("total", Add(factors), *branches(b, kinds))
    every = pairs(kinds)
    sums = np.unique(every @ np.array(factors))
    levels = np.tile(sums, (2 * CHANNELS, 1))
    act = Threshold(levels, np.zeros(2 * CHANNELS, int), np.ones(2 * CHANNELS, int))
    graph = b.graph(b.add("act", act, total))
    narrow = narrow_additions(graph)
    assert narrow.values["total"].type.width < graph.values["total"].type.width
    assert np.array_equal(counted(graph, every), counted(narrow, every))
    wrong = replace(thresholds(narrow)[0], multipliers=(5, 4))
    nodes = [replace(n, op=wrong) if n.name == "total" else n for n in narrow.nodes]
    changed = [replace(n, output=replace(n.output, type=IntType(20, True))) if n.name == "total"
               else n for n in nodes]  # fmt: skip
    assert not np.array_equal(
        counted(graph, every), counted(replace(narrow, nodes=tuple(changed)), every)
    )


def test_equal_sums_stay_equal() -> None:
    """Factors of 3 and 2 make sums that meet, and no smaller ones do."""
    graph = network((3000, 2000), (S3, S4))
    narrow = narrow_additions(graph)
    assert thresholds(narrow)[0].multipliers == (3, 2)
    every = pairs((S3, S4))
    assert np.array_equal(counted(graph, every), counted(narrow, every))
    again = narrow_additions(narrow)
    assert thresholds(again)[0].multipliers == (3, 2)


def test_additions_whose_sums_are_needed_are_left_alone() -> None:
    graph = network((1001, 1000), (S3, S4))
    both = replace(
        graph, outputs=("act", "total"), ports={**graph.ports, "total": graph.ports["x"]}
    )
    assert narrow_additions(both).values["total"].type == graph.values["total"].type
    b = Builder("net")
    total = b.add("total", Add((1001, 1000)), *branches(b, (S3, S4)))
    ones = np.ones(2 * CHANNELS, int)
    halved = b.add("halved", Requantize(ones, 0 * ones, 4), total, kind=IntType(8, True))
    graph = b.graph(halved)
    assert narrow_additions(graph).values["total"].type == graph.values["total"].type
