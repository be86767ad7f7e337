"""Codecs: what is stored means the weights it should, in exactly the bits it says."""

from pathlib import Path

import numpy as np
import pytest

from bitwright.models.errors import GraphError
from bitwright.models.graph import (
    Codebook,
    Codec,
    Dense,
    Graph,
    IntType,
    Node,
    Plain,
    Port,
    Tiled,
    Value,
    decode,
    evaluate,
    load,
    save,
    stored_bits,
    weight_width,
)


def graph(codec: Codec, outputs: int) -> Graph:
    inputs = decode(codec).shape[0]
    x, y = Value("x", (inputs,), IntType(4, True)), Value("y", (outputs,), IntType(20, True))
    node = Node(Dense(codec, np.zeros(outputs, int)), ("x",), y)
    return Graph("net", (x,), (node,), ("y",), {"x": Port(1.0), "y": Port(1.0)})


@pytest.mark.parametrize("copies", [1, 2, 3, 4, 6])
def test_a_tile_is_laid_down_output_after_output(copies: int) -> None:
    inputs, outputs = 6, 4
    tile = np.random.default_rng(copies).choice([-1, 1], inputs * outputs // copies)
    codec = Tiled(tile, (inputs, outputs))
    weights = decode(codec)
    for o in range(outputs):
        for i in range(inputs):
            assert weights[i, o] == tile[(o * inputs + i) % len(tile)]
    assert codec.copies == copies
    assert stored_bits(codec) == inputs * outputs // copies
    assert weight_width(codec) == 1


def test_whole_outputs_repeat_where_the_copies_divide_them() -> None:
    tile = np.random.default_rng(0).choice([-1, 1], 12)
    weights = decode(Tiled(tile, (6, 8)))
    assert np.array_equal(weights[:, :2], weights[:, 6:])
    assert not np.array_equal(weights[:, 0], weights[:, 1])


def test_a_codebook_has_a_table_a_group() -> None:
    indices = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    codec = Codebook(indices, np.array([[0, 1, -2, 5], [0, 10, 20, -30]]))
    assert decode(codec).tolist() == [[0, 1, 20, -30], [5, -2, 10, 0]]
    assert stored_bits(codec) == 8 * 2 + 8 * 6
    assert weight_width(codec) == 6


def test_a_codebook_of_zero_and_minus_one_is_not_binary() -> None:
    codec = Codebook(np.array([[0, 1]]), np.array([[-1, 0]]))
    assert weight_width(codec) == 2
    Plain(decode(codec), weight_width(codec))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tiled(np.array([1, 0]), (2, 2)), "-1 or"),
        (lambda: Tiled(np.array([1, 1, -1]), (2, 2)), "whole number of times"),
        (lambda: Tiled(np.ones((2, 2), int), (2, 2)), "one row"),
        (lambda: Codebook(np.array([[0, 4]]), np.array([[1, 2, 3, 4]])), "do not fit a table"),
        (lambda: Codebook(np.array([[0, 1, 0]]), np.zeros((2, 2), int)), "do not divide 3"),
        (lambda: Codebook(np.array([0, 1]), np.zeros((1, 2), int)), "needs indices"),
    ],
)
def test_codecs_that_mean_nothing_are_refused(make: object, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    "codec",
    [
        Plain(np.array([[1, -2], [3, 0]]), 3),
        Tiled(np.array([1, -1, -1, 1]), (4, 3)),
        Codebook(np.array([[0, 1], [2, 0]]), np.array([[0, 7, -9]])),
    ],
    ids=lambda c: type(c).__name__,
)
def test_codecs_survive_the_disk(tmp_path: Path, codec: Codec) -> None:
    before = graph(codec, decode(codec).shape[1])
    save(before, tmp_path / "g")
    after = load(tmp_path / "g")
    assert type(after.nodes[0].op.weights) is type(codec)  # type: ignore[union-attr]
    x = np.random.default_rng(0).integers(-8, 8, (50, *before.input.shape))
    assert np.array_equal(evaluate(after, x), evaluate(before, x))
    assert np.array_equal(evaluate(after, x), x @ decode(codec))
