"""The reference: what a graph computes. This file is the specification that every engine equals.

Integers travel as float32 or float64 wherever a proven bound says that every value and partial sum
is exact in it (2^24 and 2^53), because matrix products then run at BLAS speed; int64 otherwise.
Nothing here is shared with the code that generates hardware.
"""

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from threadpoolctl import ThreadpoolController
from typing_extensions import assert_never

from bitwright.models.errors import GraphError, InputError
from bitwright.models.graph.codecs import IntArray, decode
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Lookup,
    MaxPool,
    Node,
    Requantize,
    Reshape,
    Rounding,
    SumPool,
    Threshold,
    Window,
)
from bitwright.models.graph.types import IntType, Value

Tensor = npt.NDArray[Any]  # float32, float64 or int64; always integers
Kernel = Callable[..., Tensor]
"""From a node's inputs, in order, to its output; each has the batch as its first axis."""

_BLOCK_BYTES = 1 << 20  # rows are taken in blocks whose widest tensor fits the second-level cache
_TABLE_WIDTH = 16  # thresholds of narrower inputs are looked up, of wider ones searched


def evaluate(graph: Graph, x: npt.ArrayLike) -> IntArray:
    """The graph's output for a batch of inputs.

    x: integers, shape (batch, *input shape). Returns int64, shape (batch, *output shape).
    Raises InputError for a wrong shape, type or range; GraphError if an edge leaves its type,
    which would be a bug in the graph's bounds.
    """
    return Reference(graph)(x)


def trace(graph: Graph, x: npt.ArrayLike) -> dict[str, IntArray]:
    """Every tensor of the graph for a batch of inputs, by name. Shapes and errors as `evaluate`."""
    batch = check_batch(graph.input, x)
    tensors = {graph.input.name: batch}
    for node in graph.nodes:
        made = _kernel(graph, node)(*(tensors[name] for name in node.inputs))
        _check_edge(node.output, made)
        tensors[node.name] = made.astype(np.int64)
    return tensors


class Reference:
    """A graph made ready to evaluate batch after batch: weights converted and tables built once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._steps = [(node, _kernel(graph, node)) for node in graph.nodes]
        self._last_use = {name: i for i, n in enumerate(graph.nodes) for name in n.inputs}
        widest = max(value.size for value in graph.values.values())
        self._rows = max(8, _BLOCK_BYTES // (4 * widest))
        self._blas = ThreadpoolController()

    def __call__(self, x: npt.ArrayLike) -> IntArray:
        """As `evaluate`."""
        batch = check_batch(self._graph.input, x)
        output = self._graph.output
        result = np.empty((len(batch), *output.shape), dtype=np.int64)

        def one_block(rows: slice) -> None:
            result[rows] = self._block(batch[rows])

        # One thread a block (numpy releases the interpreter lock) and none inside a matrix product:
        # its threads would wait for each other's cores, on a busy machine longer than they work.
        blocks = list(_slices(len(batch), self._rows))
        with self._blas.limit(limits=1, user_api="blas"):
            if len(blocks) == 1:
                one_block(blocks[0])
            elif blocks:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    list(pool.map(one_block, blocks))
        return result

    def _block(self, x: IntArray) -> Tensor:
        tensors: dict[str, Tensor] = {self._graph.input.name: x}
        for i, (node, kernel) in enumerate(self._steps):
            made = kernel(*(tensors[name] for name in node.inputs))
            _check_edge(node.output, made)
            tensors[node.name] = made
            for name in set(node.inputs):
                if self._last_use[name] == i and name not in self._graph.outputs:
                    del tensors[name]
        return tensors[self._graph.output.name]


def _kernel(graph: Graph, node: Node) -> Kernel:
    """The function of one node, fast because it knows what can reach it."""
    op = node.op
    low, high = graph.intervals[node.inputs[0]].bounds
    match op:
        case Dense():
            return _dense(op, max(-low, high))
        case Conv2d():
            return _conv(op, max(-low, high))
        case Threshold():
            return _threshold(op, low, high)
        case Requantize():
            return _requantize(op, node.output.type, max(-low, high))
        case Lookup():
            return _lookup(op)
        case BitPlanes():
            return lambda x: _bit_planes(op, x.astype(np.int64))
        case MaxPool():
            return lambda x: _max_pool(op.window, x, low)
        case SumPool():
            return _sum_pool(op.window, max(-low, high))
        case Add():
            return _add(op, [graph.intervals[name].bounds for name in node.inputs])
        case Concat():
            return _concat(max(map(abs, graph.intervals[node.name].bounds)))
        case Reshape():
            return lambda x: x.reshape(len(x), *node.output.shape)
        case ArgMax():
            return lambda x: x.argmax(axis=-1)[..., None]
        case _:
            assert_never(op)


def _dense(op: Dense, largest: int) -> Kernel:
    weights = decode(op.weights)
    # No partial sum, in any order, is larger than this.
    bound = int((np.abs(weights.astype(object)).sum(axis=0) * largest + abs(op.bias)).max())
    exact = _exact_type(bound)
    w, b = weights.astype(exact), op.bias.astype(exact)
    return lambda x: x.astype(exact, copy=False) @ w + b


def _conv(op: Conv2d, largest: int) -> Kernel:
    weights = decode(op.weights)
    bound = int((np.abs(weights.astype(object)).sum(axis=0) * largest + abs(op.bias)).max())
    exact = _exact_type(bound)
    taps, (rows, columns) = len(weights), op.window.kernel
    if op.groups > 1 and taps == op.window.taps and len(op.bias) == op.groups:
        # One filter a channel: a product an element and a tap, nothing to sum over channels.
        planes, b = weights.reshape(rows, columns, -1).astype(exact), op.bias.astype(exact)

        def depthwise(x: Tensor) -> Tensor:
            parts = _taps(op.window, x.astype(exact, copy=False), 0)
            return sum((part * planes[i, j] for i, j, part in parts), start=b)

        return depthwise
    # Rows in the order (group, row, column, channel), in which a window is copied fastest.
    outputs, channels = len(op.bias) // op.groups, taps // op.window.taps
    w = weights.reshape(channels, rows, columns, op.groups, outputs)
    w = w.transpose(3, 1, 2, 0, 4).reshape(op.groups, taps, outputs).astype(exact)
    b = op.bias.astype(exact)

    def products(x: Tensor) -> Tensor:
        x = _padded(op.window, x.astype(exact, copy=False), 0)
        made = np.empty((len(x), *_positions(op.window, x), len(b)), exact)
        window_bytes = made[0, ..., 0].size * taps * made.itemsize
        for some in _slices(len(x), max(1, _BLOCK_BYTES // window_bytes)):
            seen = _windows(op.window, x[some])
            for group in range(op.groups):
                part = seen[..., group * channels : (group + 1) * channels].reshape(-1, taps)
                sums = made[some].reshape(-1, len(b))[:, group * outputs : (group + 1) * outputs]
                np.matmul(part, w[group], out=sums)
            made[some] += b
        return made

    return products


def _padded(window: Window, x: Tensor, value: int) -> Tensor:
    """Images (batch, rows, columns, channels) with `value` around them."""
    top, left, bottom, right = window.padding
    if not window.pads:
        return x
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def _positions(window: Window, x: Tensor) -> tuple[int, int]:
    """Where the window stops on padded images."""
    return Window(window.kernel, window.stride).output(*x.shape[1:3])


def _windows(window: Window, x: Tensor) -> Tensor:
    """What windows on padded images see: (batch, i, j, kernel row, kernel column, channel)."""
    seen = sliding_window_view(x, window.kernel, axis=(1, 2))
    return seen[:, :: window.stride[0], :: window.stride[1]].transpose(0, 1, 2, 4, 5, 3)


def _taps(window: Window, x: Tensor, padding: int) -> Iterator[tuple[int, int, Tensor]]:
    """For every position of the kernel, what it sees in all windows: (batch, i, j, channels)."""
    x = _padded(window, x, padding)
    i, j = _positions(window, x)
    (down, right) = window.stride
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            last = row + down * (i - 1) + 1, column + right * (j - 1) + 1
            yield row, column, x[:, row : last[0] : down, column : last[1] : right]


def _max_pool(window: Window, x: Tensor, low: int) -> Tensor:
    """`low`: a value that no element is below, which padding can have unseen."""
    return functools.reduce(np.maximum, (part for _, _, part in _taps(window, x, low)))


def _sum_pool(window: Window, largest: int) -> Kernel:
    exact = _exact_type(window.taps * largest)
    return lambda x: sum(
        (part for _, _, part in _taps(window, x.astype(exact, copy=False), 0)), start=exact(0)
    )


def _add(op: Add, bounds: list[tuple[int, int]]) -> Kernel:
    terms = zip(op.multipliers, bounds, strict=True)
    exact = _exact_type(sum(abs(factor) * max(-low, high) for factor, (low, high) in terms))
    return lambda *xs: sum(
        (exact(m) * x.astype(exact, copy=False) for m, x in zip(op.multipliers, xs, strict=True)),
        start=exact(0),
    )


def _concat(largest: int) -> Kernel:
    exact = _exact_type(largest)
    return lambda *xs: np.concatenate([x.astype(exact, copy=False) for x in xs], axis=-1)


def _threshold(op: Threshold, low: int, high: int) -> Kernel:
    exact = _exact_type(int(max(np.abs(op.base).max() + op.thresholds.shape[1], 1)))
    if op.thresholds.shape[1] == 1:
        # A level that the type of x rounds is beyond every x, and stays there.
        level, base, step = op.thresholds[:, 0], op.base.astype(exact), op.step.astype(exact)
        return lambda x: base + step * (x >= level.astype(x.dtype))
    if high - low < 1 << _TABLE_WIDTH:
        # One row of the table per channel: y for every x from low to high.
        every = np.arange(low, high + 1)
        table = np.stack(
            [
                base + step * np.searchsorted(levels, every, side="right")
                for levels, base, step in zip(op.thresholds, op.base, op.step, strict=True)
            ]
        ).astype(exact)
        first = (np.arange(len(table)) * table.shape[1] - low).astype(np.int64)
        return lambda x: table.ravel().take(x.astype(np.int64) + first)

    def search(x: Tensor) -> Tensor:
        y = np.empty(x.shape, exact)
        for c, levels in enumerate(op.thresholds):
            count = np.searchsorted(levels, x[..., c].astype(np.int64), side="right")
            y[..., c] = op.base[c] + op.step[c] * count
        return y

    return search


def _requantize(op: Requantize, kind: IntType, largest: int) -> Kernel:
    products = np.abs(op.multiplier.astype(object)) * largest + np.abs(op.bias.astype(object))
    exact = _exact_type(int(products.max()) + (1 << op.shift))
    m, b = op.multiplier.astype(exact), op.bias.astype(exact)
    low, high = (-kind.max if op.narrow and kind.signed else kind.min), kind.max
    if exact is np.int64:
        return lambda x: _round_int64(x.astype(np.int64) * m + b, op.shift, op.rounding).clip(
            low, high
        )
    # Scaling by a power of two is exact, and so is rounding to an integer.
    unit = exact(2.0**-op.shift)
    m, b = m * unit, b * unit

    def scale(x: Tensor) -> Tensor:
        y: Tensor = x.astype(exact, copy=False) * m
        y += b
        match op.rounding:
            case "half_even":
                np.rint(y, out=y)
            case "half_up":
                y += exact(0.5)
                np.floor(y, out=y)
            case "floor":
                np.floor(y, out=y)
            case _:
                assert_never(op.rounding)
        np.clip(y, exact(low), exact(high), out=y)
        return y

    return scale


def _lookup(op: Lookup) -> Kernel:
    channels, entries = op.table.shape
    first = np.arange(channels) * entries - op.lowest
    return lambda x: op.table.ravel().take(x.astype(np.int64) + first)


def _bit_planes(op: BitPlanes, x: IntArray) -> Tensor:
    y = np.zeros_like(x)
    for j, plane in enumerate(op.planes):
        y |= (x >> plane & 1) << j
    return y


def _round_int64(numerator: Tensor, shift: int, rounding: Rounding) -> Tensor:
    if shift == 0:
        return numerator
    floor: Tensor = numerator >> shift
    rest = numerator - (floor << shift)
    half = 1 << (shift - 1)
    match rounding:
        case "half_even":
            up: Tensor = (rest > half) | ((rest == half) & (floor & 1 == 1))
            return floor + up.astype(np.int64)
        case "half_up":
            up = rest >= half
            return floor + up.astype(np.int64)
        case "floor":
            return floor
        case _:
            assert_never(rounding)


def _exact_type(bound: int) -> Any:
    """The fastest numpy type in which every integer up to `bound` is exact."""
    if bound < 1 << 24:
        return np.float32
    if bound < 1 << 53:
        return np.float64
    if bound < 1 << 63:
        return np.int64
    raise GraphError(
        f"a sum can reach {bound}, beyond 63 bits: use fewer bits or a narrower multiplier"
    )


def check_batch(value: Value, x: npt.ArrayLike) -> IntArray:
    """A batch as int64, shape (batch, *value.shape).

    Raises:
        InputError: another shape, not integers, or integers that the type cannot hold.
    """
    batch = np.asarray(x)
    if batch.shape[1:] != value.shape or batch.ndim != len(value.shape) + 1:
        raise InputError(
            f"input {value.name} has shape {batch.shape}: give (batch, "
            f"{', '.join(map(str, value.shape))})"
        )
    if batch.dtype.kind not in "iu":
        raise InputError(
            f"input {value.name} holds {batch.dtype}, not integers: quantise it first "
            "(bitwright.quantise)"
        )
    if len(batch) and not (value.type.min <= batch.min() and batch.max() <= value.type.max):
        raise InputError(
            f"input {value.name} holds {batch.min()}..{batch.max()}, outside {value.type} "
            f"({value.type.min}..{value.type.max}): quantise it with the graph's own port"
        )
    return batch.astype(np.int64)


def _check_edge(value: Value, made: Tensor) -> None:
    if made.size and not (value.type.min <= made.min() and made.max() <= value.type.max):
        raise GraphError(
            f"tensor {value.name} took {made.min():.0f}..{made.max():.0f}, outside {value.type}: "
            "the graph's bounds are wrong, please report this as a bug of bitwright"
        )


def _slices(rows: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
