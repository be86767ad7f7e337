"""Interval arithmetic: the integers that can reach each channel of each tensor, and no others.

Bounds are exact for one operation on independent inputs; over several operations they are safe
(they may be wider than what occurs, never narrower). Python integers, so nothing here overflows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_never

from bitwright.models.graph.codecs import decode
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
    SumPool,
    Threshold,
    Window,
)
from bitwright.models.graph.types import Value

Bounds = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False, slots=True)
class Interval:
    """Smallest and largest value per channel (last axis); arrays of Python integers."""

    low: Bounds
    high: Bounds

    @classmethod
    def of_type(cls, value: Value) -> "Interval":
        """All that the tensor's type can hold."""
        return cls(
            np.full(value.channels, value.type.min, dtype=object),
            np.full(value.channels, value.type.max, dtype=object),
        )

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest value over all channels."""
        return int(self.low.min()), int(self.high.max())


def output_interval(node: Node, sources: list[Interval]) -> Interval:
    """What a node can make from what can reach it."""
    op, x = node.op, sources[0]
    match op:
        case Dense() | Conv2d():
            parts = [
                _dot(decode(op.weights)[:, outputs], op.bias[outputs], seen)
                for outputs, seen in operands(op, x)
            ]
            return _joined(parts)
        case Threshold():
            return _ordered(_threshold(op, x.low), _threshold(op, x.high))
        case Requantize():
            low, high = op.limits(node.output.type)
            ends = _ordered(_requantize(op, x.low), _requantize(op, x.high))
            return Interval(np.clip(ends.low, low, high), np.clip(ends.high, low, high))
        case Lookup():
            return _looked_up(op, x)
        case BitPlanes():
            most = max(int(x.high.max()), 0).bit_length()
            high = sum(1 << j for j, plane in enumerate(op.planes) if plane < most)
            channels = len(x.low)
            return Interval(np.zeros(channels, object), np.full(channels, high, object))
        case MaxPool():
            return x
        case SumPool():
            return _summed(op.window, x)
        case Add():
            scaled = [
                _ordered(factor * source.low, factor * source.high)
                for factor, source in zip(op.multipliers, sources, strict=True)
            ]
            return Interval(
                np.sum([end.low for end in scaled], axis=0),
                np.sum([end.high for end in scaled], axis=0),
            )
        case Concat():
            return _joined(sources)
        case Reshape():
            return _reshaped(x, node.output)
        case ArgMax():
            return Interval(np.zeros(1, object), np.full(1, len(x.low) - 1, object))
        case _:
            assert_never(op)


def operands(op: Dense | Conv2d, x: Interval) -> Iterator[tuple[slice, Interval]]:
    """For each group of outputs, which they are and what can reach each row of their weights.

    x: the interval of each channel of the input. A dense layer is one group.
    """
    match op:
        case Dense():
            yield slice(None), x
        case Conv2d():
            outputs, channels = len(op.bias) // op.groups, op.channels // op.groups
            for group in range(op.groups):
                part = slice(group * channels, (group + 1) * channels)
                low = np.repeat(x.low[part], op.window.taps)
                high = np.repeat(x.high[part], op.window.taps)
                if op.window.pads:
                    low, high = np.minimum(low, 0), np.maximum(high, 0)
                yield slice(group * outputs, (group + 1) * outputs), Interval(low, high)
        case _:
            assert_never(op)


def partial_sums(
    weights: npt.NDArray[np.int64], bias: npt.NDArray[np.int64], x: Interval
) -> Interval:
    """Bounds that hold for every partial sum of a dot product, in any order of summation.

    weights: (inputs, outputs). An accumulator of this range cannot overflow whatever the tool that
    orders the additions does.
    """
    w = weights.astype(object)
    lows = np.minimum(w * x.low[:, None], w * x.high[:, None])
    highs = np.maximum(w * x.low[:, None], w * x.high[:, None])
    zero = np.minimum(bias.astype(object), 0), np.maximum(bias.astype(object), 0)
    return Interval(
        np.minimum(lows, 0).sum(axis=0) + zero[0], np.maximum(highs, 0).sum(axis=0) + zero[1]
    )


def _dot(weights: npt.NDArray[np.int64], bias: npt.NDArray[np.int64], x: Interval) -> Interval:
    """Bounds of a dot product. weights: (inputs, outputs)."""
    largest = int(max(np.abs(x.low).max(), np.abs(x.high).max(), 1))
    most = len(weights) * largest * int(np.abs(weights).max()) + int(np.abs(bias).max())
    exact = np.int64 if most < 1 << 62 else object  # Python's own integers are a hundredfold slower
    low, high = x.low.astype(exact), x.high.astype(exact)
    positive = np.maximum(weights, 0).astype(exact)
    negative = np.minimum(weights, 0).astype(exact)
    return Interval(
        (low @ positive + high @ negative + bias.astype(exact)).astype(object),
        (high @ positive + low @ negative + bias.astype(exact)).astype(object),
    )


def _joined(parts: list[Interval]) -> Interval:
    return Interval(
        np.concatenate([part.low for part in parts]), np.concatenate([part.high for part in parts])
    )


def _summed(window: Window, x: Interval) -> Interval:
    """Every tap may be seen; with padding, any number of them may be zero instead."""
    low, high = x.low * window.taps, x.high * window.taps
    if window.pads:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    return Interval(low, high)


def _reshaped(x: Interval, output: Value) -> Interval:
    """Elements keep their order, so element n had the channel n modulo the old channels."""
    before, after = len(x.low), output.channels
    period = math.lcm(before, after)
    low, high = np.resize(x.low, period), np.resize(x.high, period)
    return Interval(low.reshape(-1, after).min(axis=0), high.reshape(-1, after).max(axis=0))


def _ordered(a: Bounds, b: Bounds) -> Interval:
    return Interval(np.minimum(a, b), np.maximum(a, b))


def _looked_up(op: Lookup, x: Interval) -> Interval:
    rows = [op.table[c % len(op.table)] for c in range(len(x.low))]
    found = [
        row[int(low) - op.lowest : int(high) - op.lowest + 1]
        for row, low, high in zip(rows, x.low, x.high, strict=True)
    ]
    return Interval(
        np.array([int(f.min()) for f in found], object),
        np.array([int(f.max()) for f in found], object),
    )


def _threshold(op: Threshold, x: Bounds) -> Bounds:
    count = (x[:, None] >= op.thresholds.astype(object)).sum(axis=1).astype(object)
    return np.asarray(op.base.astype(object) + op.step.astype(object) * count)


def _requantize(op: Requantize, x: Bounds) -> Bounds:
    numerator = op.multiplier.astype(object) * x + op.bias.astype(object)
    unit = 1 << op.shift
    match op.rounding:
        case "floor":
            return np.asarray(numerator // unit)
        case "half_up":
            return np.asarray((2 * numerator + unit) // (2 * unit))
        case "half_even":
            up = (2 * numerator + unit) // (2 * unit)
            tie = (2 * numerator + unit) % (2 * unit) == 0
            return np.asarray(up - (tie & (up % 2 == 1)))
        case _:
            assert_never(op.rounding)
