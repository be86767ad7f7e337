"""What the formulas read off a graph."""

import numpy as np
import pytest

from bitwright.cost_model.features import Rescale, Steps, Sum, features, signed_digits
from bitwright.models.graph import (
    Dense,
    Graph,
    IntType,
    Node,
    Op,
    Plain,
    Port,
    Requantize,
    Threshold,
    Value,
)


def one_node(op: Op, kind: IntType, shape: tuple[int, ...], output: IntType) -> Graph:
    made = shape
    if isinstance(op, Dense):
        made = (*shape[:-1], len(op.bias))
    node = Node(op, ("x",), Value("y", made, output))
    return Graph("g", (Value("x", shape, kind),), (node,), ("y",), {"x": Port(1), "y": Port(1)})


S4 = IntType(4, True)


def dense(weights: list[list[int]], bias: list[int], kind: IntType = S4) -> Sum:
    matrix = np.array(weights)
    graph = one_node(
        Dense(Plain(matrix, 8), np.array(bias)), kind, (len(weights),), IntType(24, True)
    )
    found = features(graph, graph.nodes[0])
    assert isinstance(found, Sum)
    return found


def threshold(levels: list[int], kind: IntType, output: IntType, *, base: int = 0) -> Steps:
    op = Threshold(np.array([levels]), np.array([base]), np.array([1]))
    graph = one_node(op, kind, (1,), output)
    found = features(graph, graph.nodes[0])
    assert isinstance(found, Steps)
    return found


def rescale(m: int, b: int, shift: int, rounding: str, kind: IntType, output: IntType) -> Rescale:
    op = Requantize(np.array([m]), np.array([b]), shift, rounding)  # type: ignore[arg-type]
    graph = one_node(op, kind, (1,), output)
    found = features(graph, graph.nodes[0])
    assert isinstance(found, Rescale)
    return found


@pytest.mark.parametrize(
    ("value", "digits"),
    [(0, 0), (1, 1), (-1, 1), (3, 2), (7, 2), (-7, 2), (11, 3), (64, 1), (85, 4), (2**40 - 1, 2)],
)
def test_signed_digits(value: int, digits: int) -> None:
    assert signed_digits(np.array([value]))[0] == digits


def test_a_dense_layer() -> None:
    # columns: 3x0 + x1 (three digits), 7x1 (two), nothing
    found = dense([[3, 0, 0], [1, 7, 0]], [0, 5, 9])
    assert (found.inputs, found.columns, found.digits, found.separate) == (2, 2, 5, 3)
    assert (found.most, found.positions) == (3, 3)
    assert found.input_width == 4
    assert found.density == 5 / (2 * 2 * 3)
    # 3x0 + x1 in -32..28: 6 bits; 7x1 in -56..49: 7 bits and one for the bias; 9 is a constant
    assert found.output_bits == 6 + 8
    assert found.constant_bits == 7


def test_columns_that_are_wires_of_another_are_not_counted() -> None:
    one = dense([[3], [1]], [0])
    for twin in ([6, 2], [-3, -1], [-12, -4], [3, 1]):
        both = dense([[3, twin[0]], [1, twin[1]]], [0, 0])
        assert (both.columns, both.digits, both.separate) == (1, one.digits, one.separate)
    assert dense([[3, 3], [1, 2]], [0, 0]).columns == 2


def test_low_bits_that_are_constant_have_no_register() -> None:
    assert dense([[4]], [0], IntType(4, False)).output_bits == 4
    assert dense([[1]], [0], IntType(4, False)).output_bits == 4


def test_thresholds_out_of_reach_or_repeated_count_for_nothing() -> None:
    kind = IntType(4, False)
    assert threshold([3, 5, 6], kind, IntType(2, False)).levels[0] == 3
    assert threshold([3, 3, 3], kind, IntType(2, False)).levels[0] == 1
    assert threshold([-9, 0, 5], kind, IntType(2, False)).levels[0] == 1
    assert threshold([5, 16, 99], kind, IntType(2, False)).levels[0] == 1
    never = threshold([16, 16, 16], kind, IntType(2, False))
    assert (never.levels[0], never.compared_bits[0], never.output_bits) == (0, 0, 0)


def test_thresholds_share_the_bits_that_they_compare_alike() -> None:
    kind = IntType(8, False)
    # x >= 128 is the top bit; x >= 192 one gate of two bits
    assert threshold([128], kind, IntType(1, False)).compared_bits[0] == 0
    assert threshold([192], kind, IntType(1, False)).compared_bits[0] == 1
    # 5 = 101b: its lowest bit is the input's; 13 compares the lowest three as 5 does
    lone = threshold([5], kind, IntType(1, False)).compared_bits[0]
    assert lone == 7
    pair = threshold([5, 13], kind, IntType(2, False)).compared_bits[0]
    assert pair == lone + 5
    # every sixteenth: four upper bits and one comparison of the lower ones select the output
    even = threshold([5 + 16 * k for k in range(15)], kind, IntType(4, False))
    assert even.selecting[0] == 4 + 1
    uneven = threshold([5 + 17 * k for k in range(15)], kind, IntType(4, False))
    assert uneven.selecting[0] > even.selecting[0]
    assert uneven.compared_bits[0] > even.compared_bits[0]


def test_thresholds_of_signed_inputs_are_the_same_shifted() -> None:
    unsigned = threshold([5, 77, 130, 131], IntType(8, False), IntType(3, False))
    signed = threshold([-123, -51, 2, 3], IntType(8, True), IntType(3, False))
    for field in ("levels", "compared_bits", "selecting", "below_bits", "output_width"):
        assert getattr(unsigned, field) == getattr(signed, field)


def test_a_requantiser() -> None:
    kind, output = IntType(10, True), IntType(4, True)
    plain = rescale(1, 0, 0, "floor", kind, IntType(10, True))
    assert plain.product_bits == plain.constant_bits == plain.tie_bits == plain.upper_bits == 0
    cut = rescale(1, 0, 5, "floor", kind, output)
    assert (cut.constant_bits[0], cut.tie_bits[0], cut.upper_bits[0]) == (0, 0, 1)
    up = rescale(1, 0, 5, "half_up", kind, output)
    assert up.constant_bits[0] > 0 and up.tie_bits[0] == 0
    even = rescale(1, 0, 5, "half_even", kind, output)
    assert even.constant_bits == up.constant_bits and even.tie_bits[0] == 5
    assert rescale(11, 0, 5, "floor", kind, output).product_bits[0] > 0
    zero = rescale(0, 3, 0, "floor", kind, output)
    assert zero.constant_bits == zero.upper_bits == zero.output_bits == 0


def test_channels_are_counted_once_an_element() -> None:
    op = Threshold(np.array([[3, 5, 6], [1, 2, 3]]), np.zeros(2, int), np.ones(2, int))
    graph = one_node(op, IntType(4, False), (5, 2), IntType(2, False))
    found = features(graph, graph.nodes[0])
    assert isinstance(found, Steps)
    assert len(found.levels) == 10 and found.output_bits == 20
