"""The end of an ONNX graph: its outputs, and the ArgMax or TopK that decides between classes."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import ArgMax
from bitwright.models.lower.edges import append
from bitwright.models.lower.onnx import images
from bitwright.models.lower.onnx.attributes import integer
from bitwright.models.lower.onnx.names import Names
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.values import Constant
from bitwright.models.lower.onnx.wires import NO_PADDING, Wire, computed, image_place, whole
from bitwright.models.lower.output import Output, common_scale


def output(wire: Wire | Constant, multiplier_bits: int | None) -> Output:
    """A network's output, brought to one scale.

    An image keeps its channels last. Raises UnsupportedError where elements would have to change
    places, and for an output that is always the same.
    """
    if isinstance(wire, Constant):
        raise UnsupportedError("does not depend on the input: there is nothing to lower")
    edge = computed(wire)
    if not _in_order(wire):
        raise UnsupportedError(
            "is a flattened image, whose elements hardware has in another order (channels last): "
            "leave the last Flatten, Reshape or Transpose out"
        )
    return common_scale(edge, multiplier_bits)


def decision(
    node: Node, wire: Wire, known: Sequence[Constant | None], names: Names
) -> dict[str, Wire]:
    """The index of the largest element of a vector: ArgMax, and the indices of TopK with k=1."""
    edge = computed(wire)
    axis = integer(node, "axis", -1 if node.op == "TopK" else 0)
    axis += (len(wire.shape) + 1) * (axis < 0)
    if not 0 < axis <= len(wire.shape) or wire.shape[axis - 1] != wire.place.size:
        raise UnsupportedError(
            f"decides along axis {axis} of a tensor of shape {wire.shape}: only along all classes "
            "of a vector"
        )
    if node.op == "TopK":
        count = known[0].values.ravel().tolist() if known and known[0] else [integer(node, "k", 0)]
        if count != [1] or not integer(node, "largest", 1) or len(node.outputs) < 2:
            raise UnsupportedError("takes other than the one largest: use k=1, largest=1")
    elif integer(node, "select_last_index", 0):
        raise UnsupportedError("takes the last of equal ones: use select_last_index=0")
    edge = images.flat(edge, names.free(f"{edge.name}_flat"))
    if not np.array_equal(wire.place.ravel(), np.arange(edge.value.channels)):
        raise UnsupportedError(
            "decides between elements of a flattened image, which hardware has in another order: "
            "put a dense layer in front of it"
        )
    scored = common_scale(edge, None).edge
    made = append(scored, names.of(node), ArgMax())
    made = replace(made, scale=(Fraction(1),), offset=(Fraction(0),), quantised=True)
    keeps = node.op == "TopK" or integer(node, "keepdims", 1)
    shape = tuple(1 if i == axis - 1 else n for i, n in enumerate(wire.shape)) if keeps else (1,)
    return {node.outputs[1 if node.op == "TopK" else 0]: Wire(made, whole(shape))}


def _in_order(wire: Wire) -> bool:
    """Whether elements come as hardware has them; an image's may be channels first."""
    shape = wire.place.shape
    orders = [whole(shape)]
    if len(shape) == 3:
        orders.append(image_place(shape[1], shape[2], shape[0]))
    if len(shape) == 2:
        orders.append(image_place(1, shape[1], shape[0])[:, 0, :])
    return wire.padding == NO_PADDING and any(np.array_equal(wire.place, o) for o in orders)
