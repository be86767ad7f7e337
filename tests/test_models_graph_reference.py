"""The reference against an oracle in plain Python integers, which shares nothing with it."""

import random
from fractions import Fraction

import numpy as np
import pytest

from bitwright.models.errors import GraphError, InputError
from bitwright.models.graph import (
    Builder,
    Dense,
    Graph,
    IntType,
    Node,
    Op,
    Plain,
    Port,
    Requantize,
    Rounding,
    Threshold,
    Value,
    decode,
    evaluate,
    trace,
)
from bitwright.models.graph.reference import _exact_type


def oracle(op: Op, x: list[int], kind: IntType) -> list[int]:
    """One vector through one op, from the words of the op's docstring."""
    if isinstance(op, Dense):
        w = decode(op.weights).tolist()
        return [
            sum(x[i] * w[i][o] for i in range(len(x))) + int(op.bias[o]) for o in range(len(w[0]))
        ]
    if isinstance(op, Threshold):
        return [
            int(op.base[c]) + int(op.step[c]) * sum(v >= t for t in op.thresholds[c].tolist())
            for c, v in enumerate(x)
        ]
    result = []
    for c, v in enumerate(x):
        exact = Fraction(int(op.multiplier[c]) * v + int(op.bias[c]), 1 << op.shift)
        rounded = {
            "half_even": round(exact),
            "half_up": (exact + Fraction(1, 2)).__floor__(),
            "floor": exact.__floor__(),
        }[op.rounding]
        lowest = -kind.max if op.narrow and kind.signed else kind.min
        result.append(min(max(rounded, lowest), kind.max))
    return result


def one_op(op: Op, x: Value, y: Value) -> Graph:
    return Graph("one", (x,), (Node(op, ("x",), y),), ("y",), {"x": Port(1.0), "y": Port(1.0)})


def check(op: Op, source: IntType, channels: int, made: IntType, rows: int = 60) -> None:
    x = Value("x", (channels,), source)
    outputs = decode(op.weights).shape[1] if isinstance(op, Dense) else channels
    graph = one_op(op, x, Value("y", (outputs,), made))
    dice = random.Random(1)
    batch = [[dice.randint(source.min, source.max) for _ in range(channels)] for _ in range(rows)]
    batch += [[source.min] * channels, [source.max] * channels, [0] * channels]
    expected = [oracle(op, row, made) for row in batch]
    assert evaluate(graph, np.array(batch)).tolist() == expected
    assert trace(graph, np.array(batch))["y"].tolist() == expected


@pytest.mark.parametrize(
    "source", [IntType(1, False), IntType(4, True), IntType(16, False)], ids=str
)
@pytest.mark.parametrize("bits", [1, 3, 16, 30])
def test_dense(source: IntType, bits: int) -> None:
    dice = np.random.default_rng(bits)
    if bits == 1:
        weights = dice.choice([-1, 1], (5, 3))
    else:
        weights = dice.integers(-(1 << (bits - 1)), 1 << (bits - 1), (5, 3))
    check(Dense(Plain(weights, bits), dice.integers(-99, 99, 3)), source, 5, IntType(60, True))


@pytest.mark.parametrize(
    "source", [IntType(3, False), IntType(9, True), IntType(30, True)], ids=str
)
@pytest.mark.parametrize("levels", [1, 3, 7])
def test_threshold(source: IntType, levels: int) -> None:
    dice = np.random.default_rng(source.width)
    table = np.sort(dice.integers(source.min - 2, source.max + 3, (4, levels)), axis=1)
    op = Threshold(table, np.array([0, -4, 3, 7]), np.array([1, 1, -1, -1]))
    check(op, source, 4, IntType(5, True))


def test_thresholds_that_float32_rounds_are_still_out_of_reach() -> None:
    b = Builder("net")
    x = b.input("x", (4,), IntType(24, signed=True))
    sums = b.add("fc", Dense(Plain(np.eye(4, dtype=int), 2), np.zeros(4, int)), x)  # in float32
    levels = np.array([[(1 << 24) + 1], [-(1 << 24) - 1], [(1 << 23) - 1], [1 - (1 << 23)]])
    op = Threshold(levels, np.zeros(4, int), np.ones(4, int))
    graph = b.graph(b.add("y", op, sums))
    top, bottom = [x.type.max] * 4, [x.type.min] * 4
    assert evaluate(graph, [top, bottom]).tolist() == [[0, 1, 1, 1], [0, 1, 0, 0]]


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor"])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(
    ("multiplier", "shift", "width"),
    [(1, 0, 8), (1, 1, 8), (-3, 3, 8), (181, 8, 10), (60001, 24, 12), ((1 << 31) - 1, 40, 20)],
)
def test_requantize(
    rounding: Rounding, narrow: bool, multiplier: int, shift: int, width: int
) -> None:
    op = Requantize(
        np.array([multiplier, multiplier, 0]),
        np.array([0, (1 << shift) // 2 + 1, 5]),
        shift,
        rounding,
        narrow,
    )
    check(op, IntType(width, True), 3, IntType(5, True), rows=400)
    check(op, IntType(width, False), 3, IntType(4, False), rows=400)


@pytest.mark.parametrize("bits", [24, 53])
def test_floats_are_used_only_below_their_exact_bound(bits: int) -> None:
    kind = np.float32 if bits == 24 else np.float64
    assert _exact_type((1 << bits) - 1) is kind
    assert _exact_type(1 << bits) is not kind
    assert int(kind((1 << bits) + 1)) != (1 << bits) + 1  # what the bound protects from


def test_sums_beyond_63_bits_are_refused() -> None:
    with pytest.raises(GraphError, match="63 bits"):
        _exact_type(1 << 63)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.zeros((3, 3), int), r"\(3, 3\)"),
        (np.zeros(2, int), r"\(2,\)"),
        (np.zeros((3, 2)), "float64"),
        (np.full((3, 2), 8), r"8\.\.8"),
        (np.full((3, 2), -9), r"-9\.\.-9"),
    ],
)
def test_wrong_batches_are_refused(batch: np.ndarray, message: str) -> None:
    op = Dense(Plain(np.array([[1], [1]]), 2), np.array([0]))
    graph = one_op(op, Value("x", (2,), IntType(4, True)), Value("y", (1,), IntType(5, True)))
    with pytest.raises(InputError, match=message):
        evaluate(graph, batch)


def test_empty_batches_and_many_blocks_are_fine() -> None:
    op = Dense(Plain(np.array([[1], [-1]]), 2), np.array([3]))
    graph = one_op(op, Value("x", (2,), IntType(4, True)), Value("y", (1,), IntType(6, True)))
    assert evaluate(graph, np.zeros((0, 2), int)).shape == (0, 1)
    many = np.random.default_rng(0).integers(-8, 8, (600_000, 2))
    assert np.array_equal(evaluate(graph, many)[:, 0], many[:, 0] - many[:, 1] + 3)
