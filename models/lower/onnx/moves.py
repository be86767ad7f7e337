"""Operations of an ONNX graph that only move elements: reshapes, transposes, padding."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.lower.onnx.attributes import axes, integer, integers, whole
from bitwright.models.lower.onnx.constants import reshaped
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.tensors import Array, check_shape
from bitwright.models.lower.onnx.values import Constant
from bitwright.models.lower.onnx.wires import Wire, real_numbers


def moved(node: Node, wire: Wire, given: Sequence[Constant | None]) -> Wire | None:
    """What a node makes that only moves elements, or None for another node.

    given: the node's other inputs. Raises UnsupportedError where the batch would be moved too.
    """
    first = given[0].values if given and given[0] is not None else None
    match node.op:
        case "Identity" | "Dropout" | "Cast":
            return wire
        case "Flatten":
            axis = integer(node, "axis", 1)
            if axis not in (1, -len(wire.shape)):
                raise UnsupportedError(f"flattens along axis {axis}, into the batch: use 1")
            return wire.moved(np.ravel)
        case "Reshape":
            target = integers(node, "shape", ())
            if first is not None:
                target = whole(first)
            return wire.moved(lambda place: place.reshape(_without_batch(wire.shape, target)))
        case "Transpose":
            order = integers(node, "perm", tuple(reversed(range(len(wire.shape) + 1))))
            if sorted(order) != list(range(len(wire.shape) + 1)) or order[0] != 0:
                raise UnsupportedError(f"moves the batch: perm {order} must begin with 0")
            return wire.moved(lambda place: place.transpose([n - 1 for n in order[1:]]))
        case "Squeeze":
            return wire.moved(lambda place: _axes(np.squeeze, place, axes(node, first)))
        case "Unsqueeze":
            return wire.moved(lambda place: _axes(np.expand_dims, place, axes(node, first)))
        case "Pad":
            return _padded(node, wire, given)
        case _:
            return None


def _without_batch(shape: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a Reshape of a batch makes of each example.

    Raises UnsupportedError where the batch would be mixed with something else.
    """
    if len(target) < 2:
        raise UnsupportedError(f"mixes the batch with other axes: {target} has no batch")
    # 0 keeps the axis of the batched tensor at the same place. Whatever batch the file was exported
    # with, one example stays one.
    return reshaped(shape, target[1:])


def _axes(move: Callable[..., Array], place: Array, listed: tuple[int, ...] | None) -> Array:
    batched = place[None]
    ones = tuple(i for i in range(1, batched.ndim) if batched.shape[i] == 1)
    try:
        made = move(batched, ones if listed is None else listed)
    except (ValueError, IndexError) as error:
        raise UnsupportedError(f"has axes {listed}: {error}") from None
    check_shape(made.shape, "its output")
    if made.shape[:1] != (1,) or made.ndim < 2:
        raise UnsupportedError(f"removes or moves the batch with the axes {listed}")
    return np.asarray(made[0])


def _padded(node: Node, wire: Wire, given: Sequence[Constant | None]) -> Wire:
    """Zeros around an image, which wait for the convolution or pool behind them."""
    mode = node.attributes.get("mode", "constant")
    if mode != "constant":
        raise UnsupportedError(f"pads with {str(mode)[:40]!r}: use zeros")
    known = [*given, None, None, None]
    value = known[1].values if known[1] is not None else np.zeros(1)
    if np.any(real_numbers(value, "a value") != 0) or node.attributes.get("value", 0.0) != 0:
        raise UnsupportedError("pads with another number than 0: use zeros")
    begin, end = _pads(node, known[0], known[2], len(wire.shape) + 1)
    if not any(begin) and not any(end):
        return wire
    if len(begin) not in (3, 4) or any(begin[:2]) or any(end[:2]) or wire.function:
        raise UnsupportedError(
            f"pads {begin} before and {end} behind: only rows and columns of an image (batch, "
            "channels, rows, columns) can be padded"
        )
    if len(begin) == 3:
        begin, end = (0, 0, 0, begin[2]), (0, 0, 0, end[2])
    top, left, bottom, right = wire.padding
    padding = (top + begin[2], left + begin[3], bottom + end[2], right + end[3])
    check_shape(replace(wire, padding=padding).shape, "its output")
    return replace(wire, padding=padding)


def _pads(
    node: Node, given: Constant | None, along: Constant | None, rank: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Zeros in front of and behind every axis."""
    pads = integers(node, "pads", integers(node, "paddings", ()))
    if given is not None:
        pads = whole(given.values)
    if along is not None:
        listed = [n + rank * (n < 0) for n in whole(along.values)]
        spread = [0] * (2 * rank)
        for i, axis in enumerate(listed):
            if not 0 <= axis < rank or len(pads) != 2 * len(listed):
                raise UnsupportedError(f"pads {pads[:16]} along the axes {listed[:8]}: no fit")
            spread[axis], spread[axis + rank] = pads[i], pads[i + len(listed)]
        pads = tuple(spread)
    if len(pads) != 2 * rank or min(pads) < 0 or max(pads) > 1 << 16:
        raise UnsupportedError(f"pads a tensor of {rank} axes by {pads[:16]}: give two each")
    return pads[:rank], pads[rank:]
