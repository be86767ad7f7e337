"""Where branches of an ONNX graph come together: additions and concatenations."""

from collections.abc import Sequence

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.lower import joins
from bitwright.models.lower.onnx.attributes import integer
from bitwright.models.lower.onnx.images import flat, image, out_of_image
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.tensors import MAX_PLACES, check_shape
from bitwright.models.lower.onnx.wires import Wire, computed


def add(wires: Sequence[Wire], name: str) -> Wire:
    """The sum of wires of one shape."""
    places = [wire.place for wire in wires]
    if any(place.shape != places[0].shape for place in places):
        shapes = " and ".join(str(wire.shape) for wire in wires)
        raise UnsupportedError(f"adds tensors of shapes {shapes}: make them of one shape")
    edges = [computed(wire) for wire in wires]
    if len({edge.value.shape for edge in edges}) > 1 and places[0].ndim == 1:
        edges = [flat(edge, f"{name}_flat{i}") for i, edge in enumerate(edges)]
    if any(not np.array_equal(place, places[0]) for place in places):
        raise UnsupportedError(
            "adds tensors whose elements come in different orders in hardware (one was flattened "
            "or transposed): add them before that"
        )
    return Wire(joins.add(edges, name), places[0])


def concat(node: Node, wires: Sequence[Wire], name: str) -> Wire:
    """Channels side by side: of images, or all elements of vectors."""
    rank = wires[0].place.ndim
    axis = integer(node, "axis", 1)
    axis += (rank + 1) * (axis < 0)
    if any(wire.place.ndim != rank for wire in wires) or axis != 1:
        raise UnsupportedError(f"joins along axis {axis}: only channels (axis 1) can be joined")
    sizes = sum(wire.place.size for wire in wires)
    check_shape((sizes,), "its output", MAX_PLACES)
    edges = [computed(wire) for wire in wires]
    if rank == 1:
        edges = [flat(edge, f"{name}_flat{i}") for i, edge in enumerate(edges)]
        starts = np.cumsum([0, *(wire.place.size for wire in wires[:-1])])
        place = np.concatenate([w.place + n for w, n in zip(wires, starts, strict=True)])
        return Wire(joins.concat(edges, name), place)
    images = [
        image(wire, edge, f"{name}_image{i}")[1]
        for i, (wire, edge) in enumerate(zip(wires, edges, strict=True))
    ]
    return out_of_image(joins.concat(images, name), rank - 1)
