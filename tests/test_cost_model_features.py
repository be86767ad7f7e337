"""What the formulas read off a graph."""

import numpy as np
import pytest

from bitwright.cost_model.blocks import Blocks
from bitwright.cost_model.features import Rescale, Steps, Sum, Wires, features, signed_digits
from bitwright.cost_model.lookups import Tables
from bitwright.models.graph import (
    BitPlanes,
    Dense,
    Graph,
    IntType,
    Lookup,
    Node,
    Op,
    Plain,
    Port,
    Requantize,
    Threshold,
    Tiled,
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


def test_equal_outputs_have_one_register() -> None:
    one = dense([[3], [1]], [5])
    assert dense([[3, 3], [1, 1]], [5, 5]).output_bits == one.output_bits
    assert dense([[3, 3], [1, 1]], [5, 5]).constant_bits == one.constant_bits
    # shifted is the same register, but not with a bias; another bias or sign is another sum
    assert dense([[3, 6], [1, 2]], [0, 0]).output_bits == dense([[3], [1]], [0]).output_bits
    for weights, bias in (([[3, 6], [1, 2]], [5, 5]), ([[3, 3], [1, 1]], [5, 6]),
                          ([[3, -3], [1, -1]], [5, 5])):  # fmt: skip
        assert dense(weights, bias).output_bits > one.output_bits


def test_blocks_of_binary_weights() -> None:
    def blocks(weights: list[list[int]]) -> Blocks | None:
        return dense(weights, [0] * len(weights[0])).blocks

    # one column: a tree over all inputs. 3 additions, of 5, 5 and 6 bits
    lone = blocks([[1], [1], [-1], [1]])
    assert lone is not None and (lone.additions, lone.levels) == (3, 2)
    assert 16 <= lone.bits < 17
    assert lone.alive[0] == 16 and lone.alive[-1] == 6
    # two columns of four inputs: two classes, added up once, then their sum and difference
    pair = blocks([[1, 1], [1, 1], [1, -1], [1, -1]])
    assert pair is not None and pair.additions == 2 + 2
    # minus a column may take an addition of its own
    minus = blocks([[-1], [-1], [1], [-1]])
    assert minus is not None and 3 < minus.additions < 4
    # powers of two a column do not matter, zeros and other weights do
    assert blocks([[2, 1], [2, 1], [2, -1], [-2, 1]]) is not None
    assert blocks([[1, 1], [0, 1]]) is None and blocks([[1, 3], [1, 1]]) is None
    assert blocks([[0, 1], [0, 1]]) is None
    # eight classes are made into four outputs by 20 or so additions, not 28
    full = [[1, a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    found = blocks(full)
    assert found is not None and found.additions == 18
    # many more inputs need few more than one addition each
    many = blocks(full * 9)
    assert many is not None and many.additions == 18 + 64


def test_a_tiled_layer_is_its_distinct_columns() -> None:
    tile = np.where(np.random.default_rng(2).random(16 * 3) < 0.5, -1, 1)

    def tiled(outputs: int) -> Sum:
        op = Dense(Tiled(tile, (16, outputs)), np.zeros(outputs, np.int64))
        graph = one_node(op, S4, (16,), IntType(9, True))
        found = features(graph, graph.nodes[0])
        assert isinstance(found, Sum)
        return found

    assert tiled(12) == tiled(3) and tiled(3).columns == 3


def lookup(table: list[int], width: int, lowest: int = 0, elements: int = 1) -> Tables:
    op = Lookup(np.array([table]), lowest)
    kind = IntType(len(table).bit_length() - 1, lowest < 0)
    graph = one_node(op, kind, (elements,), IntType(width, False))
    found = features(graph, graph.nodes[0])
    assert isinstance(found, Tables)
    return found


def test_lookups_count_what_is_a_truth_table() -> None:
    # x itself is wires; x^2 of two bits is 0, 1, 4, 9: bit 0 is x's, bit 1 constant, two more
    assert list(lookup([0, 1, 2, 3], 2).reads) == [] and lookup([0, 1, 2, 3], 2).output_bits == 2
    square = lookup([0, 1, 4, 9], 4)
    assert list(square.reads) == [2, 2] and square.output_bits == 3
    assert list(lookup([0, 3, 3, 0], 2).reads) == [2]  # both bits alike
    assert list(lookup([3, 2, 1, 0], 2).reads) == [1, 1]  # inverted is a table
    assert list(lookup([7, 7, 7, 7], 3).reads) == [] and lookup([7] * 4, 3).output_bits == 0
    assert len(lookup([0, 1, 4, 9], 4, elements=5).reads) == 10
    # the lowest entry of a signed input is the upper half of the bits
    assert list(lookup([2, 3, 0, 1], 2, lowest=-2).reads) == []
    assert list(lookup([0, 1, 2, 3], 2, lowest=-2).reads) == [1]
    # parity of six bits: one table of six inputs; of four, one function and its complement
    parity = lookup([bin(v).count("1") % 2 for v in range(64)], 1)
    assert list(parity.reads) == [6] and list(parity.parts[4]) == [1] == list(parity.parts[6])
    # a bit that chooses between two functions of the others
    chosen = lookup([(v & 1 & v >> 1) if v >> 4 else (v >> 2 & v >> 3 & 1) for v in range(32)], 1)
    assert list(chosen.reads) == [5] and list(chosen.parts[4]) == [2]


def test_lookups_have_a_table_a_channel_or_one_for_all() -> None:
    both = np.array([[0, 1, 4, 9], [0, 1, 2, 3]])
    for table, reads in ((both, 2 * 5), (both[:1], 2 * 2 * 5), (both[1:], 0)):
        graph = one_node(Lookup(table), IntType(2, False), (5, 2), IntType(4, False))
        found = features(graph, graph.nodes[0])
        assert isinstance(found, Tables) and len(found.reads) == reads


def test_bit_planes_are_wires() -> None:
    graph = one_node(BitPlanes((1, 3)), IntType(4, False), (3,), IntType(2, False))
    assert features(graph, graph.nodes[0]) == Wires()


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
    assert even.signals[0].min() == 4 + 1
    uneven = threshold([5 + 17 * k for k in range(15)], kind, IntType(4, False))
    assert uneven.signals[0].min() > even.signals[0].min()
    assert uneven.compared_bits[0] > even.compared_bits[0]


def test_thresholds_of_signed_inputs_are_the_same_shifted() -> None:
    unsigned = threshold([5, 77, 130, 131], IntType(8, False), IntType(3, False))
    signed = threshold([-123, -51, 2, 3], IntType(8, True), IntType(3, False))
    for field in ("levels", "compared_bits", "signals", "below_bits", "output_width"):
        assert np.array_equal(getattr(unsigned, field), getattr(signed, field))
    # but for the top bit, which is inverted, their truth tables are the same
    assert unsigned.reads.tolist() == signed.reads.tolist()


def test_truth_tables_of_thresholds() -> None:
    kind = IntType(4, False)
    # x >= 8 is the top bit: a wire. x >= 12 is the top two. The identity is four wires.
    assert threshold([8], kind, IntType(1, False)).reads.tolist() == [[0]]
    assert threshold([12], kind, IntType(1, False)).reads.tolist() == [[2]]
    assert not threshold(list(range(1, 16)), kind, kind).reads.any()
    assert threshold([3], IntType(12, False), IntType(1, False)).reads.tolist() == [[-1]]


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
    # A bias below the product's lowest bit is wires, and so are the bits that it makes.
    low = rescale(32, 31, 0, "floor", kind, IntType(15, True))
    assert (low.constant_bits[0], low.upper_bits[0], low.output_bits) == (0, 0, 10)
    added = rescale(32, 32, 0, "floor", kind, IntType(16, True))
    assert added.constant_bits[0] > 0 and added.output_bits == 11
    zero = rescale(0, 3, 0, "floor", kind, output)
    assert zero.constant_bits == zero.upper_bits == zero.output_bits == 0


def test_channels_are_counted_once_an_element() -> None:
    op = Threshold(np.array([[3, 5, 6], [1, 2, 3]]), np.zeros(2, int), np.ones(2, int))
    graph = one_node(op, IntType(4, False), (5, 2), IntType(2, False))
    found = features(graph, graph.nodes[0])
    assert isinstance(found, Steps)
    assert len(found.levels) == 10 and found.output_bits == 20
