"""What the text of one layer says, where another text would compute the same."""

import re

import numpy as np
import pytest

from bitwright.models.graph import (
    BitPlanes,
    Builder,
    Dense,
    IntType,
    Lookup,
    Op,
    Plain,
    Requantize,
    Reshape,
    Threshold,
)
from bitwright.rtl_tb.layers import layer

S4, U4 = IntType(4, True), IntType(4, False)


def text_of(
    op: Op, channels: int, kind: IntType, made: IntType | None = None, stages: int = 1
) -> str:
    b = Builder("net")
    x = b.input("x", (channels,), kind)
    b.add("y", op, x, kind=made, shape=(channels, 1) if isinstance(op, Reshape) else None)
    return layer(b.nodes[-1], x, b.interval(x), "net_y", stages)


def lines_with(text: str, word: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if word in line]


def test_outputs_are_written_without_zeros_and_double_signs() -> None:
    weights, bias = np.array([[-1, -1, -1, 1, 1, 1]]), np.array([0, 5, -5, 0, 5, -5])
    assert lines_with(text_of(Dense(Plain(weights, 2), bias), 1, S4), "wire [4:0]") == [
        "wire [4:0] y0 = -(5'(x0));",
        "wire [4:0] y1 = 5'd5 - 5'(x0);",
        "wire [4:0] y2 = -5'd5 - 5'(x0);",
        "wire [4:0] y3 = 5'(x0);",
        "wire [4:0] y4 = 5'(x0) + 5'd5;",
        "wire [4:0] y5 = 5'(x0) - 5'd5;",
    ]


@pytest.mark.parametrize(
    ("factor", "adders"), [(45, [["t0", "t1"], []]), (2731, [["t0", "t1", "t2"], ["t3"]])]
)
def test_rounding_is_one_level_of_the_last_stage(factor: int, adders: list[list[str]]) -> None:
    op = Requantize(np.array([factor]), np.array([0]), 4)
    stages = text_of(op, 1, S4, S4, stages=2).split("// ===== Stage ")[1:]
    assert [re.findall(r"wire signed \S+ (t\d+) ", stage) for stage in stages] == adders


def test_an_adder_is_as_wide_as_its_values_and_no_wider() -> None:
    # 5 x, of a signed type of 4 bits, reaches from -40 to 35; with 3 more, from -37 to 38.
    op = Dense(Plain(np.array([[5, 0], [0, 0]]), 4), np.array([3, -1]))
    text = text_of(op, 2, S4)
    assert lines_with(text, " x0 =") == ["wire signed [3:0] x0 = data_i[3:0];"]
    assert lines_with(text, "<<") == ["wire signed [6:0] t0 = 7'(x0) + (7'(x0) << 2);"]
    assert lines_with(text, "wire [6:0] y") == [
        "wire [6:0] y0 = t0 + 7'd3;",
        "wire [6:0] y1 = -7'sd1;",
    ]
    assert lines_with(text, "unused") == ["wire unused = &{data_i[7:4]};"]


def test_a_threshold_has_one_level_beyond_its_type_on_either_side() -> None:
    op = Threshold(np.array([[-99, -8, 7, 99]]), np.array([-8]), np.array([1]))
    assert lines_with(text_of(op, 1, S4), ".Thresholds") == [
        ".Thresholds({6'd8, 6'd7, -6'sd8, -6'sd8})"
    ]


@pytest.mark.parametrize(
    ("kind", "made", "unused", "passed"),
    [
        (U4, S4, "", "data_i[7:4], data_i[3:0]"),
        (S4, IntType(6, True), "", "6'($signed(data_i[7:4])), 6'($signed(data_i[3:0]))"),
    ],
)
def test_what_a_reshape_passes_on_is_not_called_unused(
    kind: IntType, made: IntType, unused: str, passed: str
) -> None:
    text = text_of(Reshape(), 2, kind, made, 0)
    assert lines_with(text, "unused") == [f"wire unused = &{{{unused}rst_ni, clk_i}};"]
    assert lines_with(text, "assign data_o") == [f"assign data_o = {{{passed}}};"]


def test_planes_that_are_not_picked_are_called_unused() -> None:
    text = text_of(BitPlanes((0, 2)), 2, U4, IntType(3, False), 0)
    assert lines_with(text, "unused") == [
        "wire unused = &{data_i[7], data_i[5], data_i[3], data_i[1], rst_ni, clk_i};"
    ]
    assert lines_with(text, "assign data_o") == [
        "assign data_o = {1'd0, data_i[6], data_i[4], 1'd0, data_i[2], data_i[0]};"
    ]


def test_long_lists_of_constants_are_indented_below_their_parameter() -> None:
    levels = np.arange(60)[None]
    thresholds = Threshold(levels, np.array([0]), np.array([1]))
    lookup = Lookup(np.arange(64)[None] % 60)
    for op in (thresholds, lookup):
        text = text_of(op, 1, IntType(6, False))
        assert re.search(r"^    \.(Thresholds|Table)\(\{\n( {6}\d[^\n]*\n)+ {4}\}\)$", text, re.M)
