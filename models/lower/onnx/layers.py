"""Layers with weights of an ONNX graph on wires: dense, convolutions, batch-norm."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Plain
from bitwright.models.lower import linear
from bitwright.models.lower.edges import Edge
from bitwright.models.lower.onnx.attributes import integer, integers, real
from bitwright.models.lower.onnx.images import flat, image, out_of_image, reshaped, vector
from bitwright.models.lower.onnx.names import Names
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.pools import window_of
from bitwright.models.lower.onnx.tensors import MAX_PLACES, Array, check_shape
from bitwright.models.lower.onnx.values import MAX_BITS, Constant
from bitwright.models.lower.onnx.wires import Wire, computed, per_channel, real_numbers, whole

_WIDE = 24  # bits of a tensor that a layer may read although no quantiser made it


@dataclass(frozen=True, eq=False)
class Weights:
    """Integers, (inputs, outputs), meaning scale[o] * integer."""

    codec: Plain
    scale: tuple[Fraction, ...]


def weights(given: Constant, outputs_axis: int) -> Weights:
    """A quantised constant as the weights of a layer.

    The outputs lie along `outputs_axis`; all other axes, in order, are the inputs.
    Raises UnsupportedError for a constant that is not quantised, or not per tensor or output.
    """
    levels = given.levels
    if levels is None:
        reals = real_numbers(given.values, "weights")
        if not np.array_equal(reals, np.round(reals)) or np.abs(reals).max() >= 1 << MAX_BITS:
            raise UnsupportedError(
                "has weights that are not quantised: export the model with its weight quantisers "
                "(Quant, BipolarQuant or DequantizeLinear), not folded into the weights"
            )
        values, scale = reals.astype(np.int64), np.ones(reals.shape)
        binary = bool(np.all(np.abs(values) == 1))
        width = 1 if binary else max(int(np.abs(values).max()).bit_length() + 1, 2)
    else:
        values, scale, width = levels.integers, levels.scale.astype(np.float64), levels.width
    rows = np.moveaxis(values, outputs_axis, 0).reshape(values.shape[outputs_axis], -1)
    each = np.moveaxis(scale, outputs_axis, 0).reshape(rows.shape)
    if not np.all(each == each[:, :1]):
        raise UnsupportedError(
            "has weights whose scale changes inside an output: use one scale, or one per output"
        )
    if width > MAX_BITS + 1:
        raise UnsupportedError(f"has weights of {width} bits: use at most {MAX_BITS}")
    return Weights(Plain(rows.T.copy(), width), tuple(Fraction(float(s)) for s in each[:, 0]))


def bias(given: Constant | None, edge: Edge, scale: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The bias of every output in reals.

    One that is quantised with the scale of the sums is an integer times the product of the input's
    and the weights' scales, which the file can only store as the nearest float32.
    """
    outputs = len(scale)
    if given is None:
        return (Fraction(0),) * outputs
    reals = real_numbers(given.values, "a bias")
    if reals.size == 1:
        reals = np.broadcast_to(reals.ravel(), (outputs,))
    if reals.size != outputs:
        raise UnsupportedError(f"has a bias of shape {given.values.shape} for {outputs} outputs")
    if given.levels is not None and len(set(edge.scale)) == 1:
        unit = [edge.scale[0] * s for s in scale]
        stored = np.broadcast_to(given.levels.scale.ravel(), (outputs,)).astype(np.float64)
        sums = np.array([float(u) for u in unit])
        if np.all(np.abs(stored - sums) <= sums * 2.0**-22):
            steps = np.broadcast_to(given.levels.integers.ravel(), (outputs,))
            return tuple(int(n) * u for n, u in zip(steps, unit, strict=True))
    return tuple(Fraction(float(v)) for v in reals.ravel())


def batch_norm(node: Node, wire: Wire, given: Sequence[Array], names: Names) -> Wire:
    """(x - mean) / sqrt(variance + epsilon) * weight + bias, one of each for every channel."""
    if len(given) != 4:
        raise UnsupportedError("needs five inputs: the tensor, weight, bias, mean and variance")
    if integer(node, "training_mode", 0):
        raise UnsupportedError("is in training mode: export the model in eval mode")
    wire = vector(wire, names)
    shape = (-1, *(1,) * (len(wire.shape) - 1))
    weight, shift, mean, variance = (
        per_channel(wire, one.reshape(shape), "a batch-norm parameter") for one in given
    )
    spread = [float(v) + real(node, "epsilon", 1e-5) for v in variance]
    if min(spread) <= 0:
        raise UnsupportedError("has a negative variance: train it again")
    factor = [Fraction(float(w) / v**0.5) for w, v in zip(weight, spread, strict=True)]
    offset = [b - m * f for b, m, f in zip(shift, mean, factor, strict=True)]
    return replace(wire, edge=computed(wire).affine(factor, offset))


def dense(node: Node, wire: Wire, name: str, matrix: Constant, add: Constant | None) -> Wire:
    """A wire times a matrix, (inputs, outputs), along its last axis."""
    edge = readable(wire)
    features = wire.shape[-1]
    if matrix.values.ndim != 2 or matrix.values.shape[0] != features:
        raise UnsupportedError(
            f"multiplies {features} features with a matrix of shape {matrix.values.shape}: give "
            "(features, outputs)"
        )
    check_shape((*wire.shape[:-1], matrix.values.shape[1]), "its output", MAX_PLACES)
    made = weights(matrix, 1)
    if wire.place.ndim == 1:
        edge = flat(edge, f"{name}_flat")
        codec = made.codec
        if not np.array_equal(wire.place, whole(wire.shape)):
            # Row f belongs to the edge's element place[f].
            rows = np.empty_like(codec.values)
            rows[wire.place] = codec.values
            codec = Plain(rows, codec.width)
    else:
        edge, codec = reshaped(wire, edge, f"{name}_rows", wire.shape), made.codec
    edge = linear.dense(edge, name, codec, made.scale, bias(add, edge, made.scale))
    return Wire(edge, whole((*wire.shape[:-1], len(made.scale))))


def conv(node: Node, wire: Wire, name: str, kernel: Constant, add: Constant | None) -> Wire:
    """A convolution; of one dimension, on images of one row."""
    edge = readable(wire)
    values = kernel.values
    if values.ndim not in (3, 4) or values.ndim != len(wire.shape) + 1:
        raise UnsupportedError(
            f"has a kernel of shape {values.shape} for a tensor of shape {wire.shape}: one- and "
            "two-dimensional convolutions can be lowered"
        )
    if any(d != 1 for d in integers(node, "dilations", (1,))):
        raise UnsupportedError("is dilated: use dilation 1")
    groups = integer(node, "group", 1)
    if groups < 1 or values.shape[0] % groups or values.shape[1] * groups != wire.shape[0]:
        raise UnsupportedError(
            f"has a kernel of shape {values.shape} in {groups} groups for {wire.shape[0]} channels"
        )
    declared = integers(node, "kernel_shape", values.shape[2:])
    if declared != values.shape[2:]:
        raise UnsupportedError(f"declares a kernel of {declared} but has {values.shape[2:]}")
    wire, edge = image(wire, edge, f"{name}_image")
    window = window_of(node, wire, values.shape[2:], wire.padding)
    made = weights(kernel, 0)
    rows, columns = window.output(*edge.value.shape[:2])
    check_shape((values.shape[0], rows, columns), "its output", MAX_PLACES)
    edge = linear.conv(
        edge, name, made.codec, made.scale, bias(add, edge, made.scale), window, groups
    )
    return out_of_image(edge, len(values.shape) - 2)


def readable(wire: Wire) -> Edge:
    """The edge that a layer with weights reads: integers of few bits."""
    edge = computed(wire)
    if not edge.quantised and edge.value.type.width > _WIDE:
        raise UnsupportedError(
            f"reads sums of {edge.value.type.width} bits that are not quantised: put a quantiser "
            "(Quant, BipolarQuant or QuantizeLinear) directly in front of it"
        )
    return edge
