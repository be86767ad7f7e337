"""Quantisers of activations in an ONNX graph, as the exact rationals that `edges` computes with."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Rounding
from bitwright.models.lower.edges import Edge, Quantiser
from bitwright.models.lower.onnx.attributes import integer, text
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.quantised_constants import along_axis, bits, limits, only
from bitwright.models.lower.onnx.tensors import Array
from bitwright.models.lower.onnx.values import Constant
from bitwright.models.lower.onnx.wires import Wire, computed, per_channel, real_numbers


def quantiser(node: Node, wire: Wire, given: Sequence[Array]) -> Quantiser:
    """The quantiser that a Quant, IntQuant or BipolarQuant applies to a wire.

    given: scale, zero point and bit width, as the node has them.
    Raises UnsupportedError for what integers cannot follow.
    """
    binary = node.op == "BipolarQuant"
    if len(given) != (1 if binary else 3):
        raise UnsupportedError(f"has {len(given) + 1} inputs: {node.op} has other ones")
    scale = scales(wire, given[0])
    if not binary:
        width, signed = bits(given[2]), bool(integer(node, "signed", 1))
        shift = zero_point(given[1])
        binary = width == 1 and signed  # qonnx: the sign
    if binary:
        if len(given) > 1 and shift:
            raise UnsupportedError("is binary with a zero point: use one without")
        double = tuple(2 * s for s in scale)
        return Quantiser(double, Fraction(1), Fraction(-1, 2), 0, 1, "floor")
    low, high = limits(node, width)
    positive = low >= 0 or (_from_zero(wire) and shift >= 0)
    how = rounding(node, positive)
    return Quantiser(scale, Fraction(shift), Fraction(-shift), low, high, how)


def linear_quantiser(wire: Wire, scale: Array, zero: int, low: int, high: int) -> Quantiser:
    """The quantiser that QuantizeLinear, Clip and DequantizeLinear are together.

    ONNX rounds before it adds the zero point, so that ties go to where x / scale is even. An even
    zero point changes nothing about that; an odd one is left out, and the integers count from it.
    """
    left = zero if zero % 2 else 0
    shift = zero - left
    return Quantiser(
        scales(wire, scale),
        Fraction(shift),
        Fraction(-shift),
        low - left,
        high - left,
        "half_even",
    )


def scales(wire: Wire, array: Array) -> tuple[Fraction, ...]:
    """One scale, or one for each channel of the wire's edge."""
    values = real_numbers(array, "a scale")
    if not np.all(values > 0):
        raise UnsupportedError("has a scale that is not above 0: train it again")
    if len(set(values.ravel().tolist())) == 1:
        return (Fraction(float(values.ravel()[0])),)
    if wire.edge is None:
        raise UnsupportedError(
            "quantises the network's input with one scale per channel, and a port has one: use a "
            "per-tensor quantiser here"
        )
    made = per_channel(wire, array, "a scale")
    return tuple(made)


def zero_point(array: Array) -> int:
    """An integer zero point."""
    value = only(array, "zero point")
    if not value.is_integer():
        raise UnsupportedError(f"has the zero point {value:g}: use an integer")
    return int(value)


def rounding(node: Node, positive: bool) -> Rounding:
    """How a node rounds. positive: whether what it rounds, or its result, is never below zero."""
    mode = text(node, "rounding_mode", "ROUND").upper()
    match mode:
        case "ROUND" | "HALF_EVEN":
            return "half_even"
        case "FLOOR":
            return "floor"
        case "DOWN" if positive:  # towards zero, and nothing is below
            return "floor"
        case "HALF_UP" if positive:  # away from zero
            return "half_up"
        case _:
            raise UnsupportedError(f"rounds with {mode[:40]!r}: use ROUND or FLOOR")


def clipped(wire: Wire, made: Quantiser) -> Quantiser:
    """The input's quantiser behind a Relu or Clip: the ends of its range are quantised with it.

    A quantiser never falls, so clipping before it is clipping behind it. Behind the input `edges`
    does this.
    """
    low, high = made.low, made.high
    if wire.low is not None:
        low = min(max(low, _same(made, wire.low)), made.high)
    if wire.high is not None:
        high = max(min(high, _same(made, wire.high)), low)
    if low >= high:
        raise UnsupportedError(
            f"can only make the integer {low} behind its Relu or Clip: give it more bits, or a sign"
        )
    return replace(made, low=low, high=high)


def _from_zero(wire: Wire) -> bool:
    low = wire.low if wire.edge is None else wire.edge.limits[0]
    return low is not None and low >= 0


def _same(made: Quantiser, real: Fraction) -> int:
    """What a real is quantised to, in every channel, without clipping."""
    found = {_rounded(real / scale + made.shift, made.rounding) for scale in made.scale}
    if len(found) > 1:
        raise UnsupportedError(
            f"clips at {float(real):g}, which its channels' scales make different integers: use a "
            "per-tensor scale"
        )
    return found.pop()


def _rounded(x: Fraction, how: Rounding) -> int:
    match how:
        case "half_even":
            return round(x)
        case "half_up":
            return (x + Fraction(1, 2)).__floor__()
        case "floor":
            return x.__floor__()


def whole_steps(edge: Edge, scale: Fraction, shift: int) -> tuple[int, tuple[int, ...]] | None:
    """(p, c) where round(real / scale + shift) is p * integer + c[channel] for all that can occur.

    An average's scale is written as a float32, so that its sums are not quite integers any more;
    None where rounding changes more than that.
    """
    factors = {s / scale for s in edge.scale}
    p = round(next(iter(factors)))
    constants = tuple(round(o / scale) + shift for o in edge.offset)
    for factor in factors:
        if round(factor) != p or p < 1:
            return None
    for c, (s, o) in enumerate(zip(edge.scale, edge.offset, strict=True)):
        wrong = [
            (s / scale - p) * int(n) + o / scale + shift - constants[c]
            for n in (edge.interval.low[c], edge.interval.high[c])
        ]
        if max(abs(w) for w in wrong) >= Fraction(1, 2):
            return None
    return p, constants


def truncation(node: Node, edge: Edge, given: Sequence[Array]) -> tuple[Quantiser, Fraction]:
    """What a Trunc does to an edge (its integers, rounded once, lose their low bits), and a factor
    for what the result means.

    given: scale, zero point, input bits, and then output bits (version 1) or output scale and
    output bits (version 2).
    Raises UnsupportedError where the first rounding changes more than float32's own error.
    """
    if len(given) not in (4, 5):
        raise UnsupportedError(f"has {len(given) + 1} inputs: Trunc has five or six")
    scale = Fraction(only(given[0], "a scale"))
    shift, before, after = zero_point(given[1]), bits(given[2], 62), bits(given[-1])
    if scale <= 0:
        raise UnsupportedError("has a scale that is not above 0: train it again")
    drop = before - after
    if len(given) == 5:
        out = Fraction(only(given[3], "an output scale"))
        drop = round(float(np.log2(float(out / scale)))) if out > 0 else -1
    if not 0 <= drop <= 48:
        raise UnsupportedError(f"drops {drop} bits: it can drop 0 to 48")
    steps = whole_steps(edge, scale, shift)
    if steps is None or len(set(edge.scale)) > 1 or len(set(edge.offset)) > 1:
        raise UnsupportedError(
            f"rounds to steps of {float(scale):g}, of which what it reads is no multiple: put a "
            "Quant in front of it, or export the pool with its own scale"
        )
    step, constants = steps
    # real = edge.scale * n + edge.offset is unit * (step * n + constant - shift), and the unit
    # is what the file stores as `scale`, but for float32.
    unit = edge.scale[0] / step
    zero = Fraction(constants[0]) - edge.offset[0] / unit
    if len(given) == 5:
        low, high = limits(node, after)
        offset, factor = Fraction(-shift, 1 << drop), Fraction(1)
    else:  # version 1 does not clip, and its result has the scale of what it truncates
        ends = [step * n + constants[0] for n in edge.interval.bounds]
        low, high = min(ends) >> drop, (max(ends) >> drop) + 1
        offset, factor = Fraction(-shift), Fraction(1, 1 << drop)
    how = rounding(node, low >= 0)
    grid = (unit * (1 << drop),)
    return Quantiser(grid, zero / (1 << drop), offset, low, high, how), factor


def as_integers(wire: Wire, zero: int) -> Wire:
    """A quantised wire that means its own integers, as between QuantizeLinear and its inverse."""
    edge = wire.edge
    assert edge is not None
    channels = edge.value.channels
    return replace(
        wire,
        edge=replace(
            edge,
            scale=(Fraction(1),) * channels,
            offset=(edge.offset[0] / edge.scale[0] + zero,) * channels,
        ),
    )


def dequantised(node: Node, wire: Wire, known: Sequence[Constant | None]) -> Wire:
    """DequantizeLinear by itself: (integer - zero point) * scale."""
    if not known or known[0] is None:
        raise UnsupportedError("lacks a constant scale: use a constant one")
    if integer(node, "block_size", 0):
        raise UnsupportedError("has scales for blocks: use one, or one per channel")
    edge = computed(wire)
    rank = len(wire.shape) + 1
    scale = per_channel(wire, along_axis(node, known[0].values, rank), "a scale")
    zero = 0 if len(known) < 2 or known[1] is None else zero_point(known[1].values)
    return replace(
        wire, edge=replace(edge.affine(scale, [-zero * s for s in scale]), quantised=edge.quantised)
    )


def curve(function: str, to: Quantiser) -> Callable[[torch.Tensor], torch.Tensor]:
    """A Sigmoid or Tanh with its quantiser, in float32 as PyTorch computes it."""
    apply = torch.sigmoid if function == "Sigmoid" else torch.tanh
    scale = float(to.scale[0])
    binary = to.binary

    def quantised(x: torch.Tensor) -> torch.Tensor:
        real = apply(x.float())
        if binary:
            return torch.where(real >= 0, scale / 2, -scale / 2)
        steps = real / scale + float(to.shift)
        rounded = torch.floor(steps) if to.rounding == "floor" else torch.round(steps)
        return (rounded.clamp(to.low, to.high) - float(to.shift)) * scale

    return quantised
