"""Constants of an ONNX graph, folded by a small evaluator of our own: weights above all.

A quantiser of a constant leaves the integers beside the reals, so that a weight is never guessed
back from floating point. Everything is computed in the types and the order that ONNX prescribes.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.lower.onnx.attributes import axes, integer, integers
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.quantised_constants import bipolar, clip, linear, quant
from bitwright.models.lower.onnx.tensors import MAX_FOLDED, Array, check_shape
from bitwright.models.lower.onnx.values import Constant


def fold(node: Node, inputs: Sequence[Constant | None]) -> Constant:
    """What a node makes of constants. None stands for an input that is left out.

    Raises UnsupportedError for an operation, shape or type that cannot be folded.
    """
    try:
        with np.errstate(all="ignore"):
            made = _fold(node, list(inputs))
    except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError) as error:
        raise UnsupportedError(f"cannot be computed in advance: {error}") from None
    check_shape(made.values.shape, "its output", MAX_FOLDED)
    return made


def _fold(node: Node, inputs: list[Constant | None]) -> Constant:
    if node.op == "Constant":
        return Constant(_constant(node))
    given = [one for one in inputs if one is not None]
    if not given:
        raise UnsupportedError("reads nothing: give it its inputs")
    first, arrays = given[0], [one.values for one in given]
    match node.op:
        case "Quant" | "IntQuant":
            return quant(node, arrays)
        case "BipolarQuant":
            return bipolar(arrays)
        case "QuantizeLinear" | "DequantizeLinear":
            return linear(node, given)
        case "Identity" | "Dropout":
            return first
        case "Transpose":
            order = integers(node, "perm", tuple(reversed(range(first.values.ndim))))
            return first.moved(lambda a: a.transpose(order))
        case "Reshape":
            return _moved(first, reshaped(first.values.shape, _target(node, given)))
        case "Flatten":
            axis = integer(node, "axis", 1)
            axis += first.values.ndim * (axis < 0)
            shape = first.values.shape
            return _moved(first, (math.prod(shape[:axis]), math.prod(shape[axis:])))
        case "Squeeze" | "Unsqueeze":
            listed = axes(node, given[1].values if len(given) > 1 else None)
            if node.op == "Squeeze":
                return first.moved(lambda a: np.squeeze(a, listed))
            return first.moved(lambda a: np.expand_dims(a, listed or ()))
        case "Clip":
            return clip(node, inputs)
        case "Shape":
            return shape_of(first.values.shape)
        case _:
            return Constant(_computed(node, arrays))


def shape_of(shape: tuple[int, ...]) -> Constant:
    """A shape as what an ONNX Shape makes."""
    return Constant(np.array(shape, np.int64))


def _constant(node: Node) -> Array:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in node.attributes:
            value = node.attributes[name]
            if isinstance(value, np.ndarray):
                return value
            if isinstance(value, str):
                break
            return np.asarray(value, np.float32 if "float" in name else np.int64)
    raise UnsupportedError("holds no numbers: store a tensor")


_UNARY: dict[str, Callable[[Array], Array]] = {
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Log": np.log,
    "Exp": np.exp,
    "Ceil": np.ceil,
    "Floor": np.floor,
    "Round": np.round,
    "Reciprocal": lambda a: np.asarray(1 / a, a.dtype),
    "Sign": np.sign,
    "Relu": lambda a: np.maximum(a, a.dtype.type(0)),
}

_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": lambda a, b: np.asarray(a / b if a.dtype.kind == "f" else np.trunc(a / b), a.dtype),
    "Pow": lambda a, b: np.asarray(np.power(a, b), a.dtype),
    "Max": np.maximum,
    "Min": np.minimum,
}

_TYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
}


def _computed(node: Node, given: list[Array]) -> Array:
    if node.op in _UNARY:
        return np.asarray(_UNARY[node.op](given[0]))
    if node.op in _BINARY and len(given) == 2:
        check_shape(np.broadcast_shapes(given[0].shape, given[1].shape), "its output", MAX_FOLDED)
        return np.asarray(_BINARY[node.op](given[0], given[1]))
    match node.op:
        case "Cast":
            to = integer(node, "to", 1)
            if to not in _TYPES:
                raise UnsupportedError(f"casts to type {to}: only numbers can be computed with")
            return given[0].astype(_TYPES[to])
        case "Concat":
            check_shape((sum(one.size for one in given),), "its output", MAX_FOLDED)
            return np.concatenate(given, integer(node, "axis", 0))
        case "Gather":
            axis = integer(node, "axis", 0)
            check_shape((given[0].size * max(given[1].size, 1),), "its output", MAX_FOLDED)
            return np.take(given[0], given[1].astype(np.int64), axis)
        case "Slice":
            return given[0][slices(node, given[1:], given[0].ndim)]
        case "ConstantOfShape" | "Expand":
            return _filled(node, given)
        case _:
            raise UnsupportedError(
                "is not one of the operations that are computed in advance: fold the constants of "
                "the model first (for example with onnxsim or qonnx.transformation.fold_constants)"
            )


def _filled(node: Node, given: list[Array]) -> Array:
    shape = tuple(int(n) for n in given[-1].ravel())
    check_shape(shape, "its output", MAX_FOLDED)
    if node.op == "Expand":
        return np.array(np.broadcast_to(given[0], np.broadcast_shapes(given[0].shape, shape)))
    value = node.attributes.get("value", np.zeros(1, np.float32))
    return np.full(shape, np.asarray(value).ravel()[0])


def slices(node: Node, given: Sequence[Array], rank: int) -> tuple[slice, ...]:
    """What an ONNX Slice takes of every axis. given: starts, ends, axes and steps, if inputs."""
    lists = [tuple(int(n) for n in one.ravel()) for one in given]
    if not lists:
        lists = [integers(node, "starts", ()), integers(node, "ends", ())]
        lists += [integers(node, "axes", tuple(range(len(lists[0]))))]
    starts, ends = lists[:2]
    along = lists[2] if len(lists) > 2 else tuple(range(len(starts)))
    steps = lists[3] if len(lists) > 3 else (1,) * len(starts)
    taken = [slice(None)] * rank
    for start, end, axis, step in zip(starts, ends, along, steps, strict=True):
        # ONNX writes "to the very beginning" as an end far below zero.
        before_first = step < 0 and end < -(1 << 30)
        taken[axis] = slice(start, None if before_first else end, step)
    return tuple(taken)


def _target(node: Node, given: Sequence[Constant]) -> tuple[int, ...]:
    if len(given) > 1:
        return tuple(int(n) for n in given[1].values.ravel())
    return integers(node, "shape", ())


def reshaped(shape: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that an ONNX Reshape makes: 0 keeps an axis, -1 takes what is left.

    Raises UnsupportedError where the elements do not fill it.
    """
    made = [shape[i] if n == 0 and i < len(shape) else n for i, n in enumerate(target)]
    known = math.prod(n for n in made if n != -1)
    if made.count(-1) == 1 and known and math.prod(shape) % known == 0:
        made[made.index(-1)] = math.prod(shape) // known
    if math.prod(made) != math.prod(shape) or min(made, default=1) < 0:
        raise UnsupportedError(f"cannot turn shape {shape} into {target}: check the shape")
    return tuple(made)


def _moved(given: Constant, shape: tuple[int, ...]) -> Constant:
    return given.moved(lambda a: a.reshape(shape))
