"""The reference: what a graph computes. This file is the specification that every engine equals.

Integers travel as float32 or float64 wherever a proven bound says that every value and partial sum
is exact in it (2^24 and 2^53), because matrix products then run at BLAS speed; int64 otherwise.
Nothing here is shared with the code that generates hardware.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController
from typing_extensions import assert_never

from bitwright.models.errors import GraphError, InputError
from bitwright.models.graph.codecs import IntArray, decode
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import (
    BitPlanes,
    Dense,
    Lookup,
    Node,
    Requantize,
    Rounding,
    Threshold,
)
from bitwright.models.graph.types import IntType, Value

Tensor = npt.NDArray[Any]  # float32, float64 or int64; always integers
Kernel = Callable[[Tensor], Tensor]

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
        low, high = graph.intervals[node.inputs[0]].bounds
        made = _kernel(node, low, high)(tensors[node.inputs[0]])
        _check_edge(node.output, made)
        tensors[node.name] = made.astype(np.int64)
    return tensors


class Reference:
    """A graph made ready to evaluate batch after batch: weights converted and tables built once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._steps = [
            (node, _kernel(node, *graph.intervals[node.inputs[0]].bounds)) for node in graph.nodes
        ]
        self._last_use = {name: i for i, n in enumerate(graph.nodes) for name in n.inputs}
        widest = max(value.size for value in graph.values.values())
        self._rows = max(64, _BLOCK_BYTES // (4 * widest))

    def __call__(self, x: npt.ArrayLike) -> IntArray:
        """As `evaluate`."""
        batch = check_batch(self._graph.input, x)
        output = self._graph.output
        result = np.empty((len(batch), *output.shape), dtype=np.int64)

        def one_block(rows: slice) -> None:
            result[rows] = self._block(batch[rows])

        blocks = list(_slices(len(batch), self._rows))
        if len(blocks) == 1:
            one_block(blocks[0])
        elif blocks:
            # One thread a block (numpy releases the interpreter lock) and none inside the matrix
            # product, whose threads would wait for each other's cores.
            with (
                ThreadpoolController().limit(limits=1, user_api="blas"),
                ThreadPoolExecutor(os.cpu_count()) as pool,
            ):
                list(pool.map(one_block, blocks))
        return result

    def _block(self, x: IntArray) -> Tensor:
        tensors: dict[str, Tensor] = {self._graph.input.name: x}
        for i, (node, kernel) in enumerate(self._steps):
            source = node.inputs[0]
            made = kernel(tensors[source])
            _check_edge(node.output, made)
            tensors[node.name] = made
            if self._last_use[source] == i and source not in self._graph.outputs:
                del tensors[source]
        return tensors[self._graph.output.name]


def _kernel(node: Node, low: int, high: int) -> Kernel:
    """The function of one node, for inputs known to lie in low..high."""
    op = node.op
    match op:
        case Dense():
            return _dense(op, max(-low, high))
        case Threshold():
            return _threshold(op, low, high)
        case Requantize():
            return _requantize(op, node.output.type, max(-low, high))
        case Lookup():
            return _lookup(op)
        case BitPlanes():
            return lambda x: _bit_planes(op, x.astype(np.int64))
        case _:
            assert_never(op)


def _dense(op: Dense, largest: int) -> Kernel:
    weights = decode(op.weights)
    # No partial sum, in any order, is larger than this.
    bound = int((np.abs(weights.astype(object)).sum(axis=0) * largest + abs(op.bias)).max())
    exact = _exact_type(bound)
    w, b = weights.astype(exact), op.bias.astype(exact)
    return lambda x: x.astype(exact, copy=False) @ w + b


def _threshold(op: Threshold, low: int, high: int) -> Kernel:
    exact = _exact_type(int(max(np.abs(op.base).max() + op.thresholds.shape[1], 1)))
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
