"""Passes change the form of a graph, never a result."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from bitwright.models.graph import (
    PASSES,
    Add,
    Builder,
    Dense,
    Graph,
    IntType,
    Node,
    Plain,
    Port,
    Requantize,
    Threshold,
    Value,
    derive_threshold,
    evaluate,
    output_interval,
)
from bitwright.models.graph.passes import (
    choose_requantisation,
    fuse_thresholds,
    raise_falling_thresholds,
)
from bitwright.models.graph.ranges import Interval


def network(seed: int, scale: Fraction | None = None, output: str = "act") -> Graph:
    dice = np.random.default_rng(seed)
    inputs, channels = int(dice.integers(1, 8)), int(dice.integers(1, 8))
    x = Value("x", (inputs,), IntType(int(dice.integers(1, 6)), bool(dice.integers(2))))
    bits = int(dice.integers(2, 6))
    limit = 1 << (bits - 1)
    op = Dense(
        Plain(dice.integers(1 - limit, limit, (inputs, channels)), bits),
        dice.integers(-9, 9, channels),
    )
    wide = Node(op, ("x",), Value("fc", (channels,), IntType(40, True)))
    reach = output_interval(wide, [Interval.of_type(x)])
    fc = replace(wide, output=Value("fc", (channels,), IntType.holding(*reach.bounds)))
    scales = [scale or Fraction(float(s)) for s in dice.normal(0, 0.3, channels)]
    offsets = [Fraction(float(o)) for o in dice.normal(0, 2, channels)]
    kind = IntType(int(dice.integers(1, 6)), bool(dice.integers(2)))
    act = Node(
        derive_threshold(scales, offsets, kind.min, kind.max, "half_even", reach),
        ("fc",),
        Value("act", (channels,), kind),
    )
    nodes = (fc, act) if output == "act" else (fc,)
    return Graph("net", (x,), nodes, (output,), {"x": Port(1.0), output: Port(1.0)})


@pytest.mark.parametrize("seed", range(60))
def test_no_pass_changes_a_result(seed: int) -> None:
    graph = network(seed)
    x = graph.input
    dice = np.random.default_rng(seed + 1000)
    batch = dice.integers(x.type.min, x.type.max + 1, (500, *x.shape))
    expected = evaluate(graph, batch)
    for one in PASSES:
        graph = one(graph)
        assert np.array_equal(evaluate(graph, batch), expected), one.__name__


@pytest.mark.parametrize("seed", range(40))
def test_two_thresholds_in_a_row_are_one_for_every_value(seed: int) -> None:
    """Rising and falling, with levels that are never or always reached; every x is tried."""
    dice = np.random.default_rng(seed)
    b = Builder("net")
    x = b.input("x", (4,), IntType(int(dice.integers(1, 9)), bool(dice.integers(2))))
    made, chain = x, int(dice.integers(2, 4))
    for i in range(chain):
        levels = int(dice.integers(1, 9))
        low, high = made.type.min - 2, made.type.max + 4
        table = np.sort(dice.integers(low, high, (4, levels)), axis=1)
        op = Threshold(table, dice.integers(-3, 4, 4), dice.choice([-1, 1], 4))
        made = b.add(f"t{i}", op, made)
    graph = b.graph(made)
    fused = fuse_thresholds(graph)
    assert [node.name for node in fused.nodes] == [f"t{chain - 1}"]
    every = np.repeat(np.arange(x.type.min, x.type.max + 1)[:, None], 4, axis=1)
    assert np.array_equal(evaluate(fused, every), evaluate(graph, every))


def test_a_threshold_that_others_read_stays() -> None:
    x = IntType(4, True)
    op = Threshold(np.array([[-2, 1, 3]]), np.zeros(1, int), np.ones(1, int))
    b = Builder("net")
    first = b.add("first", op, b.input("x", (1,), x))
    second = b.add("second", op, first)
    read_twice = b.graph(b.add("sum", Add((1, 1)), first, second))
    assert fuse_thresholds(read_twice).nodes == read_twice.nodes
    both = b.graph(first, second)
    assert fuse_thresholds(both).nodes == both.nodes


def test_falling_thresholds_rise() -> None:
    graph = raise_falling_thresholds(network(3, Fraction(-1, 4)))
    assert isinstance(graph.nodes[1].op, Threshold)
    assert np.all(graph.nodes[1].op.step == 1)


def test_a_tensor_that_is_an_output_is_not_negated() -> None:
    graph = network(3, Fraction(-1, 4))
    both = replace(graph, outputs=("act", "fc"), ports={**graph.ports, "fc": Port(1.0)})
    same = raise_falling_thresholds(both)
    assert same.nodes[0] is both.nodes[0]


def test_the_most_negative_weight_is_not_negated() -> None:
    graph = network(3, Fraction(-1, 4))
    dense = graph.nodes[0]
    assert isinstance(dense.op, Dense)
    values = np.full_like(dense.op.weights.values, -(1 << (dense.op.weights.width - 1)))
    stuck = replace(dense, op=Dense(Plain(values, dense.op.weights.width), dense.op.bias),
                    output=replace(dense.output, type=IntType(40, True)))  # fmt: skip
    twin = replace(graph, nodes=(stuck, graph.nodes[1]))
    assert raise_falling_thresholds(twin).nodes[0] is stuck


@pytest.mark.parametrize(("bits", "form"), [(1, Threshold), (4, Threshold), (8, Requantize)])
def test_many_levels_become_a_shift_and_few_stay_comparisons(bits: int, form: type) -> None:
    x, y = Value("x", (3,), IntType(14, True)), Value("y", (3,), IntType(bits, False))
    reach, scale = Interval.of_type(x), Fraction(1, 1 << (14 - bits))
    op = derive_threshold([scale] * 3, [Fraction(1, 4)] * 3, 0, y.type.max, "half_even", reach)
    ports = {"x": Port(1.0), "y": Port(1.0)}
    graph = choose_requantisation(Graph("net", (x,), (Node(op, ("x",), y),), ("y",), ports))
    assert isinstance(graph.nodes[0].op, form)
    every = np.repeat(np.arange(-8192, 8192)[:, None], 3, axis=1)
    before = replace(graph, nodes=(Node(op, ("x",), y),))
    assert np.array_equal(evaluate(graph, every), evaluate(before, every))


def test_passes_leave_graphs_without_thresholds_alone() -> None:
    graph = network(5, output="fc")
    assert choose_requantisation(graph).nodes[0] is graph.nodes[0]
