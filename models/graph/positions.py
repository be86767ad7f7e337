"""A convolution at one position of its window: a dense layer of what the window sees."""

import numpy as np

from bitwright.models.graph.codecs import Plain, decode, weight_width
from bitwright.models.graph.ops import Conv2d, Dense
from bitwright.models.graph.ranges import Interval


def at_position(op: Conv2d) -> Dense:
    """The product at one position: of all taps, row by row, each with all its channels."""
    matrix, groups = decode(op.weights), op.groups
    taps, outputs = op.window.taps, len(op.bias) // groups
    kernel = matrix.reshape(-1, taps, groups, outputs)  # channel of the group, tap, group, output
    full = np.zeros((taps, groups, len(kernel), groups, outputs), np.int64)
    for group in range(groups):
        full[:, group, :, group] = kernel[:, :, group].transpose(1, 0, 2)
    return Dense(
        Plain(full.reshape(-1, groups * outputs), max(weight_width(op.weights), 2)), op.bias
    )


def seen_at_position(op: Conv2d, x: Interval) -> Interval:
    """What can reach each of the inputs of `at_position`."""
    low, high = np.tile(x.low, op.window.taps), np.tile(x.high, op.window.taps)
    if op.window.pads:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    return Interval(low, high)
