"""Wires as vectors and images of the graph: reshapes that hardware has for free, or a refusal."""

import math
from dataclasses import replace

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import IntArray, Reshape
from bitwright.models.lower.edges import Edge, append
from bitwright.models.lower.onnx.names import Names
from bitwright.models.lower.onnx.wires import Wire, computed, image_place, is_image, whole


def flat(edge: Edge, name: str) -> Edge:
    """The edge as a vector, its elements in the same order."""
    if len(edge.value.shape) == 1:
        return edge
    repeats = edge.value.size // edge.value.channels
    return replace(
        append(edge, name, Reshape(), shape=(edge.value.size,)),
        scale=edge.scale * repeats,
        offset=edge.offset * repeats,
    )


def vector(wire: Wire, names: Names) -> Wire:
    """A flattened wire with an edge that is flat too, so that each element may have a scale."""
    edge = computed(wire)
    if wire.place.ndim != 1 or len(edge.value.shape) == 1:
        return wire
    return replace(wire, edge=flat(edge, names.free(f"{edge.name}_flat")))


def reshaped(wire: Wire, edge: Edge, name: str, shape: tuple[int, ...]) -> Edge:
    """The edge under another shape whose elements the wire has in this very order."""
    if not np.array_equal(wire.place.reshape(shape), whole(shape)):
        raise UnsupportedError(
            "reads elements in another order than hardware has them (after a transpose or a "
            "reshape): give the network its channels last, or leave the transpose out"
        )
    if edge.value.shape == shape:
        return edge
    return _under(edge, name, shape)


def image(wire: Wire, edge: Edge, name: str) -> tuple[Wire, Edge]:
    """The wire as an image of its edge, reshaped if its elements only lack the axes."""
    if is_image(wire):
        return wire, edge
    channels, *sizes = wire.place.shape
    rows, columns = (1, *sizes) if len(sizes) == 1 else sizes
    canonical = image_place(rows, columns, channels)
    if not np.array_equal(wire.place.reshape(canonical.shape), canonical):
        raise UnsupportedError(
            f"makes an image {wire.place.shape} of a tensor that hardware has as "
            f"{edge.value.shape}, channels last, and its elements would have to change places: "
            "give the network its input as an image"
        )
    return wire, _under(edge, name, (rows, columns, channels))


def _under(edge: Edge, name: str, shape: tuple[int, ...]) -> Edge:
    """The same elements in the same order under another shape."""
    channel = (np.arange(math.prod(shape)) % edge.value.channels).reshape(-1, shape[-1])
    meant = list(zip(edge.scale, edge.offset, strict=True))
    if len({tuple(meant[c] for c in row) for row in np.unique(channel, axis=0)}) > 1:
        raise UnsupportedError(
            f"reshapes a tensor {edge.value.shape} with a scale for each of its channels to "
            f"{shape}: quantise it with one scale first"
        )
    return replace(
        append(edge, name, Reshape(), shape=shape),
        scale=tuple(meant[c][0] for c in channel[0]),
        offset=tuple(meant[c][1] for c in channel[0]),
    )


def out_of_image(edge: Edge, spatial: int) -> Wire:
    """A wire of an edge that is an image."""
    rows, columns, channels = edge.value.shape
    place: IntArray = image_place(rows, columns, channels)
    return Wire(edge, place if spatial == 2 else place[:, 0, :])
