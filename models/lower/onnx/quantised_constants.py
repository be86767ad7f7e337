"""Quantisers of constants in an ONNX graph, computed as they are defined: weights above all."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import IntArray
from bitwright.models.lower.onnx.attributes import integer, text
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.tensors import Array
from bitwright.models.lower.onnx.values import MAX_BITS, Constant, Levels


def bits(array: Array, most: int = MAX_BITS) -> int:
    """A bit width that is stored as a tensor. Raises UnsupportedError if it is not 1..most."""
    values = set(np.asarray(array, np.float64).ravel().tolist())
    one = values.pop() if len(values) == 1 else 0.0
    if not one.is_integer() or not 1 <= one <= most:
        raise UnsupportedError(
            f"quantises to {one:g} bits: a bit width is one integer from 1 to {most}"
        )
    return int(one)


def limits(node: Node, width: int) -> tuple[int, int]:
    """Smallest and largest integer of a QONNX quantiser."""
    narrow = integer(node, "narrow", 0)
    if integer(node, "signed", 1):
        return -(1 << (width - 1)) + narrow, (1 << (width - 1)) - 1
    return 0, (1 << width) - 1 - narrow


def only(array: Array, what: str) -> float:
    """The one value of an array. Raises UnsupportedError where there are several, or it is NaN."""
    values = set(np.asarray(array, np.float64).ravel().tolist())
    if len(values) != 1 or not math.isfinite(one := values.pop()):
        raise UnsupportedError(f"has several or infinite values as {what}: use one number")
    return one


_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda a: np.sign(a) * np.ceil(np.abs(a)),
    "DOWN": np.fix,
    "HALF_UP": lambda a: np.sign(a) * np.floor(np.abs(a) + 0.5),
    "HALF_DOWN": lambda a: np.sign(a) * np.ceil(np.abs(a) - 0.5),
}


def quant(node: Node, given: list[Array]) -> Constant:
    """qonnx.custom_op.general.intquant: scale, shift, clip, round."""
    if len(given) != 4:
        raise UnsupportedError("needs four inputs: the tensor, scale, zero point and bit width")
    x, scale, zero = given[:3]
    width, signed = bits(given[3], 32), bool(integer(node, "signed", 1))
    _check_scale(x, scale)
    if width == 1 and signed:
        return bipolar([x, scale])
    mode = text(node, "rounding_mode", "ROUND").upper()
    if mode not in _ROUNDINGS:
        raise UnsupportedError(f"rounds with {mode[:40]!r}: use ROUND")
    low, high = limits(node, width)
    shift = only(zero, "zero point")
    steps = _ROUNDINGS[mode](np.clip(x / scale + x.dtype.type(shift), low, high))
    if not shift.is_integer():
        raise UnsupportedError(f"has the zero point {shift:g}: use an integer")
    if shift:
        low, high = low - int(shift), high - int(shift)
    return _quantised(steps - shift, scale, max(width + (not signed), 2) + bool(shift))


def bipolar(given: list[Array]) -> Constant:
    """qonnx.custom_op.general.bipolar_quant: the sign, where zero is positive."""
    if len(given) != 2:
        raise UnsupportedError("needs two inputs: the tensor and its scale")
    x, scale = given
    _check_scale(x, scale)
    return _quantised(np.where(x >= 0, 1, -1), scale, 1)


def linear(node: Node, given: list[Constant]) -> Constant:
    """QuantizeLinear and DequantizeLinear, whose scale may lie along an axis."""
    first = given[0]
    x, rank = first.values, first.values.ndim
    if len(given) < 2:
        raise UnsupportedError("needs a scale")
    if integer(node, "block_size", 0):
        raise UnsupportedError("has scales for blocks: use one, or one per channel")
    scale = along_axis(node, given[1].values, rank)
    zero = along_axis(node, given[2].values, rank) if len(given) > 2 else np.zeros((), np.uint8)
    if node.op == "QuantizeLinear":
        _check_scale(x, scale)
        held = np.iinfo(zero.dtype)
        steps = np.clip(np.round(x / scale) + zero.astype(np.float64), held.min, held.max)
        return Constant(steps.astype(zero.dtype))
    if x.dtype.kind not in "iu":
        raise UnsupportedError(f"reads {x.dtype} numbers, not integers")
    levels = x.astype(np.int64) - zero.astype(np.int64)
    _check_scale(np.asarray(levels, scale.dtype), scale)
    held = np.iinfo(x.dtype)
    return _quantised(levels, scale, held.bits + (held.min == 0))


def clip(node: Node, inputs: list[Constant | None]) -> Constant:
    first = inputs[0]
    assert first is not None
    given = [one.values if one is not None else None for one in inputs[1:]] + [None, None]
    low = given[0] if given[0] is not None else node.attributes.get("min")
    high = given[1] if given[1] is not None else node.attributes.get("max")
    values = first.values
    if low is not None:
        values = np.maximum(values, np.asarray(low, values.dtype))
    if high is not None:
        values = np.minimum(values, np.asarray(high, values.dtype))
    return Constant(values)


def along_axis(node: Node, array: Array, rank: int) -> Array:
    """A scale or zero point with one value, or one for each position of the node's axis."""
    if array.size == 1:
        return array.reshape(())
    axis = integer(node, "axis", 1)
    axis += rank * (axis < 0)
    if array.ndim != 1 or not 0 <= axis < rank:
        raise UnsupportedError(f"has scales of shape {array.shape}: use one, or one per channel")
    return array.reshape([-1 if i == axis else 1 for i in range(rank)])


def _check_scale(x: Array, scale: Array) -> None:
    if x.dtype.kind != "f" or scale.dtype.kind != "f":
        raise UnsupportedError(f"quantises {x.dtype} by {scale.dtype}: both are real numbers")
    if np.broadcast_shapes(x.shape, scale.shape) != x.shape:
        raise UnsupportedError(
            f"has scales of shape {scale.shape} for a tensor of shape {x.shape}: use one, or one "
            "per channel"
        )
    if not np.isfinite(scale).all() or not np.all(scale > 0):
        raise UnsupportedError("has a scale that is not above 0: train it again")
    if not np.isfinite(x).all():
        raise UnsupportedError("quantises NaN or infinity: train it again")


def _quantised(steps: npt.ArrayLike, scale: Array, width: int) -> Constant:
    whole = np.asarray(steps)
    made: IntArray = whole.astype(np.int64)
    reals: npt.NDArray[Any] = whole.astype(scale.dtype) * scale
    return Constant(reals, Levels(made, np.broadcast_to(scale, made.shape), width))
