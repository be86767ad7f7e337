"""Operations on images in the reference, against torch in float64, and their bounds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from bitwright.models.errors import GraphError
from bitwright.models.graph import (
    Add,
    ArgMax,
    Builder,
    Concat,
    Conv2d,
    Dense,
    Graph,
    IntArray,
    IntType,
    MaxPool,
    Plain,
    Reshape,
    SumPool,
    Tiled,
    Value,
    Window,
    digest,
    evaluate,
    load,
    save,
    trace,
)

CONVOLUTIONS = [
    # groups, channels, outputs, kernel, stride, padding (rows, columns)
    (1, 5, 7, (3, 3), (1, 1), (1, 1)),
    (1, 4, 6, (3, 2), (2, 1), (0, 1)),
    (2, 4, 6, (3, 3), (2, 2), (1, 1)),
    (6, 6, 6, (3, 3), (1, 2), (1, 1)),
    (3, 3, 6, (2, 2), (1, 1), (0, 0)),
    (1, 8, 8, (1, 1), (2, 2), (0, 0)),
]


def both_sides(rows: int, columns: int) -> tuple[int, int, int, int]:
    return rows, columns, rows, columns


def images(value: Value, count: int = 20) -> IntArray:
    dice = np.random.default_rng(3)
    return dice.integers(value.type.min, value.type.max + 1, (count, *value.shape))


def channels_first(x: IntArray) -> torch.Tensor:
    return torch.from_numpy(x).permute(0, 3, 1, 2).double()


def channels_last(x: torch.Tensor) -> IntArray:
    return x.permute(0, 2, 3, 1).long().numpy()


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolutions_equal_torch(case: tuple[int, int, int, tuple[int, int], tuple[int, int],
                                              tuple[int, int]]) -> None:  # fmt: skip
    groups, channels, outputs, kernel, stride, padding = case
    dice = np.random.default_rng(0)
    weights = dice.integers(-8, 8, (outputs, channels // groups, *kernel))
    bias = dice.integers(-9, 9, outputs)
    b = Builder("net")
    x = b.input("x", (9, 8, channels), IntType(4, signed=True))
    matrix = weights.reshape(outputs, -1).T
    window = Window(kernel, stride, both_sides(*padding))
    y = b.add("conv", Conv2d(Plain(matrix, 4), bias, window, groups), x)
    batch = images(x)

    expected = functional.conv2d(
        channels_first(batch),
        torch.from_numpy(weights).double(),
        torch.from_numpy(bias).double(),
        stride,
        padding,
        groups=groups,
    )
    got = evaluate(b.graph(y), batch)
    np.testing.assert_array_equal(got, channels_last(expected))
    reach = b.interval(y)
    assert np.all(got >= reach.low) and np.all(got <= reach.high)
    assert len(np.unique(got)) > 10


def test_the_bounds_of_a_convolution_are_reached() -> None:
    """In the middle of an image the window sees independent inputs, so bounds are exact."""
    dice = np.random.default_rng(1)
    b = Builder("net")
    x = b.input("x", (3, 3, 2), IntType(3, signed=True))
    matrix = dice.integers(-4, 4, (18, 3))
    y = b.add("conv", Conv2d(Plain(matrix, 3), np.zeros(3, int), Window((3, 3))), x)
    worst = np.where(matrix.T > 0, x.type.max, x.type.min)  # (outputs, channel, row, column)
    batch = worst.reshape(3, 2, 3, 3).transpose(0, 2, 3, 1)
    made = evaluate(b.graph(y), batch)[:, 0, 0]
    assert [made[o, o] for o in range(3)] == list(b.interval(y).high)


def test_pools_equal_torch_and_padding_is_not_seen_by_a_maximum() -> None:
    b = Builder("net")
    x = b.input("x", (7, 6, 3), IntType(5, signed=True))
    largest = b.add("largest", MaxPool(Window((3, 2), (2, 2), (1, 0, 1, 1))), x)
    total = b.add("total", SumPool(Window((3, 3), (1, 2), both_sides(1, 1))), x)
    batch = np.minimum(images(x), -1)  # all negative: a zero from outside would win
    x_torch = channels_first(batch)

    padded = functional.pad(x_torch, (0, 1, 1, 1), value=-1e9)
    expected = functional.max_pool2d(padded, (3, 2), (2, 2))
    np.testing.assert_array_equal(evaluate(b.graph(largest), batch), channels_last(expected))
    summed = functional.avg_pool2d(x_torch, 3, (1, 2), 1, divisor_override=1)
    np.testing.assert_array_equal(evaluate(b.graph(total), batch), channels_last(summed))


def residual() -> Graph:
    """A residual block, a concatenation, a flattened image and a decision."""
    dice = np.random.default_rng(2)
    b = Builder("net")
    x = b.input("x", (4, 5, 4), IntType(3, signed=True))
    tiled = Tiled(dice.choice([-1, 1], 72), (36, 4))
    conv = Conv2d(tiled, np.arange(4), Window((3, 3), padding=both_sides(1, 1)))
    y = b.add("conv", conv, x)
    total = b.add("total", Add((4, -1)), x, y)
    wide = b.add("wide", Concat(), total, x)
    flat = b.add("flat", Reshape(), wide, shape=(160,))
    matrix = dice.integers(-4, 4, (160, 3))
    scores = b.add("scores", Dense(Plain(matrix, 3), np.zeros(3, int)), flat)
    return b.graph(b.add("best", ArgMax(), scores), labels=("a", "b", "c"))


def test_branches_join_exactly() -> None:
    graph = residual()
    batch = images(graph.input)
    tensors = trace(graph, batch)
    np.testing.assert_array_equal(tensors["total"], 4 * batch - tensors["conv"])
    np.testing.assert_array_equal(tensors["wide"], np.concatenate([tensors["total"], batch], -1))
    np.testing.assert_array_equal(tensors["flat"], tensors["wide"].reshape(len(batch), -1))
    assert graph.values["best"].shape == (1,) and str(graph.values["best"].type) == "u2"
    np.testing.assert_array_equal(tensors["best"][:, 0], tensors["scores"].argmax(1))
    np.testing.assert_array_equal(evaluate(graph, batch), tensors["best"])


def test_the_first_of_equal_channels_wins() -> None:
    b = Builder("net")
    x = b.input("x", (4,), IntType(3, signed=True))
    graph = b.graph(b.add("best", ArgMax(), x))
    assert evaluate(graph, np.array([[1, 3, 3, 0], [-2] * 4])).tolist() == [[1], [0]]


def test_storage_keeps_every_image_operation(tmp_path: Path) -> None:
    graph = residual()
    save(graph, tmp_path / "net")
    again = load(tmp_path / "net")
    assert digest(again) == digest(graph) and str(again) == str(graph)
    batch = images(graph.input)
    np.testing.assert_array_equal(evaluate(again, batch), evaluate(graph, batch))


def test_a_reshape_keeps_the_bounds_of_every_channel() -> None:
    b = Builder("net")
    x = b.input("x", (2, 3), IntType(4, signed=False))
    y = b.add("y", Dense(Plain(np.diag([1, 2, 3]), 3), np.zeros(3, int)), x)
    assert list(b.interval(b.add("flat", Reshape(), y, shape=(6,))).high) == [15, 30, 45] * 2
    assert list(b.interval(b.add("pairs", Reshape(), y, shape=(3, 2))).high) == [45, 45]


@pytest.mark.parametrize(
    ("window", "says"),
    [
        (lambda: Window((0, 3)), "at least 1"),
        (lambda: Window((3, 3), padding=(3, 0, 0, 0)), "less than the kernel"),
        (lambda: Window((3, 3)).output(2, 9), "does not fit an image of 2 x 9"),
    ],
)
def test_impossible_windows_are_refused(window: object, says: str) -> None:
    with pytest.raises(GraphError, match=says):
        window()  # type: ignore[operator]


def test_inputs_that_do_not_fit_are_refused_with_the_nodes_name() -> None:
    b = Builder("net")
    x = b.input("x", (4, 4, 2), IntType(4, signed=True))
    y = b.input("y", (4, 4, 3), IntType(4, signed=True))
    conv = Conv2d(Plain(np.ones((12, 2), int), 2), np.zeros(2, int), Window((2, 2)))
    with pytest.raises(GraphError, match=r"node sum .*need one shape"):
        b.add("sum", Add((1, 1)), x, y)
    with pytest.raises(GraphError, match=r"node sum .*reads 1 tensors, not 2"):
        b.add("sum", Add((1, 1)), x)
    with pytest.raises(GraphError, match="node conv is made for 3 channels"):
        b.add("conv", conv, x)
    with pytest.raises(GraphError, match=r"node flat .*32 elements do not fill"):
        b.add("flat", Reshape(), x, shape=(31,))
    with pytest.raises(GraphError, match="zero"):
        Add((1, 0))
    with pytest.raises(GraphError, match="3 groups do not divide 2"):
        Conv2d(Plain(np.ones((12, 2), int), 2), np.zeros(2, int), Window((2, 2)), 3)
