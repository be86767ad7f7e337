"""Channels first in the model, channels last in the graph: shapes, arrays and reshapes.

A model's image (channels, rows, columns) is the graph's (rows, columns, channels), its sequence
(channels, length) an image of one row, (1, length, channels), and a vector is a vector. A vector
that was flattened from an image has its elements in another order, which its edge knows.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import IntArray, Reshape
from bitwright.models.lower.edges import Edge, append


def graph_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The graph's shape for one of the model, both without the batch.

    Raises UnsupportedError for more than three axes.
    """
    match shape:
        case (size,):
            return (size,)
        case (channels, length):
            return (1, length, channels)
        case (channels, rows, columns):
            return (rows, columns, channels)
        case _:
            raise UnsupportedError(
                f"makes a tensor of {len(shape)} axes besides the batch: vectors, sequences "
                "(channels, length) and images (channels, rows, columns) can be lowered"
            )


def channels_last(
    x: npt.NDArray[Any], shape: tuple[int, ...], order: IntArray | None = None
) -> npt.NDArray[Any]:
    """Arrays of the model, (batch, …), as the graph has them: (batch, *shape)."""
    if len(shape) == 3:
        rows, columns, channels = shape
        return np.moveaxis(x.reshape(len(x), channels, rows, columns), 1, -1)
    flat = x.reshape(len(x), *shape)
    return flat if order is None else flat[:, order]


def reshape(edge: Edge, name: str, shape: tuple[int, ...]) -> Edge:
    """The edge after the model's reshape to `shape`, without the batch; nothing moves.

    Raises UnsupportedError where elements would have to change places in hardware.
    """
    to = graph_shape(shape)
    if to == edge.value.shape:
        return edge
    elements = math.prod(to)
    there = _places(edge.value.shape, edge.order)
    channel = np.arange(elements) % edge.value.channels
    identity = np.array_equal(there, np.arange(elements))
    if len(to) > 1:
        if not np.array_equal(there, _places(to, None)):
            raise UnsupportedError(
                f"makes an image {shape} of a tensor that hardware has as {edge.value.shape}, "
                "channels last, and its elements would have to change places: give the network its "
                "input as an image"
            )
        first = channel.reshape(-1, to[-1])
        meant = {
            tuple((edge.scale[c], edge.offset[c]) for c in row) for row in np.unique(first, axis=0)
        }
        if len(meant) > 1:
            raise UnsupportedError(
                f"makes an image {shape} of a tensor with a scale for each of its channels: "
                "quantise it with one scale first"
            )
        channel = first[0]
    return replace(
        append(edge, name, Reshape(), shape=to),
        scale=tuple(edge.scale[c] for c in channel),
        offset=tuple(edge.offset[c] for c in channel),
        order=None if identity or len(to) > 1 else there,
    )


def _places(shape: tuple[int, ...], order: IntArray | None) -> IntArray:
    """For every element in the graph's order, which element of the model it is."""
    if order is not None:
        return order
    places = np.arange(math.prod(shape))
    made: IntArray = channels_last(places[None], shape).ravel()
    return made
