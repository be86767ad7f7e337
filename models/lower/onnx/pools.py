"""Pools of an ONNX graph on wires, and the windows of pools and convolutions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Window
from bitwright.models.lower import joins
from bitwright.models.lower.edges import Edge
from bitwright.models.lower.onnx.attributes import axes, integer, integers, text
from bitwright.models.lower.onnx.images import image, out_of_image
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.tensors import Array
from bitwright.models.lower.onnx.wires import NO_PADDING, Padding, Wire, computed


def pool(node: Node, wire: Wire, name: str) -> Wire:
    """MaxPool, AveragePool, GlobalMaxPool and GlobalAveragePool."""
    edge = computed(wire)
    spatial = len(wire.shape) - 1
    if spatial not in (1, 2):
        raise UnsupportedError(f"pools a tensor of shape {wire.shape}: pool images")
    wire, edge = image(wire, edge, f"{name}_image")
    if node.op.startswith("Global"):
        node = replace(node, attributes={})
        kernel = wire.shape[1:]
    else:
        kernel = integers(node, "kernel_shape", ())
    if any(d != 1 for d in integers(node, "dilations", (1,))):
        raise UnsupportedError("is dilated: use dilation 1")
    largest = node.op.endswith("MaxPool")
    if largest and wire.padding != NO_PADDING:
        parts = zip(edge.scale, _lowest(edge), edge.offset, strict=True)
        low = [s * n + o for s, n, o in parts]
        if min(low) < 0:
            raise UnsupportedError(
                "takes the largest of negative numbers and zeros around the image: give the pool "
                "itself the padding, which it then does not see"
            )
    window = window_of(node, wire, kernel, wire.padding)
    if largest:
        return out_of_image(joins.max_pool(edge, name, window), spatial)
    inside = integers(node, "pads", (0,))
    if any(inside) and not integer(node, "count_include_pad", 0):
        raise UnsupportedError(
            "averages over fewer elements at the edge of a padded image: use count_include_pad=1, "
            "or no padding"
        )
    return out_of_image(joins.average_pool(edge, name, window, window.taps), spatial)


def _lowest(edge: Edge) -> list[int]:
    """The integer of the smallest real that can reach each channel."""
    pairs = zip(edge.scale, edge.interval.low, edge.interval.high, strict=True)
    return [int(high if scale < 0 else low) for scale, low, high in pairs]


def window_of(node: Node, wire: Wire, kernel: tuple[int, ...], padded: Padding) -> Window:
    """The window of a convolution or pool, on an image that is already `padded`."""
    spatial = len(wire.shape) - 1
    sizes = wire.shape[1:]
    if len(kernel) != spatial or min(kernel) < 1:
        raise UnsupportedError(f"has a kernel of {kernel} for a tensor of shape {wire.shape}")
    strides = integers(node, "strides", (1,) * spatial)
    pads = integers(node, "pads", (0,) * 2 * spatial)
    if len(strides) != spatial or len(pads) != 2 * spatial or min(strides) < 1:
        raise UnsupportedError(f"has strides {strides} and pads {pads} for {spatial} axes")
    mode = text(node, "auto_pad", "NOTSET")
    begin, end = list(pads[:spatial]), list(pads[spatial:])
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        for i, (size, taps, step) in enumerate(zip(sizes, kernel, strides, strict=True)):
            more = max((-(-size // step) - 1) * step + taps - size, 0)
            first = more // 2 if mode == "SAME_UPPER" else more - more // 2
            begin[i], end[i] = first, more - first
    elif mode == "VALID":
        begin, end = [0] * spatial, [0] * spatial
    elif mode != "NOTSET":
        raise UnsupportedError(f"pads {mode[:40]!r}: give it pads")
    if integer(node, "ceil_mode", 0):
        for i, (size, taps, step) in enumerate(zip(sizes, kernel, strides, strict=True)):
            left = (size + begin[i] + end[i] - taps) % step
            if left and step - left <= taps - 1 - end[i] and node.op == "MaxPool":
                end[i] += step - left
            elif left:
                raise UnsupportedError(
                    f"rounds the size of its output up, and {left} elements of {size} are left "
                    "over: use ceil_mode=0, or pad the image"
                )
    if spatial == 1:
        kernel, strides, begin, end = (1, *kernel), (1, *strides), [0, *begin], [0, *end]
    top, left_, bottom, right = padded
    return Window(
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (begin[0] + top, begin[1] + left_, end[0] + bottom, end[1] + right),
    )


def mean(node: Node, wire: Wire, given: Sequence[Array], name: str) -> Wire:
    """A mean over all rows and columns, which is a global average pool."""
    listed = axes(node, given[0] if given else None) or ()
    rank = len(wire.shape) + 1
    found = sorted(axis + rank * (axis < 0) for axis in listed)
    pool_node = replace(node, op="GlobalAveragePool", attributes={})
    if rank == 4 and found == [1, 2]:  # channels last in the file
        first = wire.moved(lambda place: place.transpose(2, 0, 1))
        made = pool(pool_node, first, name).moved(lambda place: place.transpose(1, 2, 0))
    elif rank in (3, 4) and found == list(range(2, rank)):
        made = pool(pool_node, wire, name)
    else:
        raise UnsupportedError(
            f"averages over the axes {listed} of a tensor of {rank}: only all rows and columns of "
            "an image can be averaged"
        )
    return made if integer(node, "keepdims", 1) else made.moved(np.ravel)
