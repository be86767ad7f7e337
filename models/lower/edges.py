"""Edges: integer tensors with the exact real numbers that they mean, and the nodes between them.

An edge knows, for each channel, real = scale * integer + offset, as rationals. Weight scales,
biases, batch-norm and zero points only change these two numbers; the next quantiser collapses all
of them into one `Threshold`. Nothing here knows which library the network comes from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import (
    Codec,
    Dense,
    IntArray,
    Interval,
    IntType,
    Node,
    Op,
    Plain,
    Requantize,
    Rounding,
    Value,
    decode,
    derive_threshold,
    output_interval,
    output_shape,
    weight_width,
)

MAX_LEVELS = 1 << 20
"""Thresholds of one node, channels x output levels: 8 MiB, and a few seconds to derive."""

MAX_WEIGHT_BITS = 24
"""Weights may grow to this when the scales of their input channels are folded into them."""

_MAX_DYADIC_BITS = 48  # of a requantiser's bias: far from the 63 of int64


@dataclass(frozen=True, eq=False)
class Edge:
    """A tensor of the graph and what it means: real = scale[c] * integer + offset[c]."""

    value: Value
    interval: Interval
    scale: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    quantised: bool
    """Whether this comes straight from a quantiser, as the input of a dense layer must."""
    node: Node | None = None
    """The node that makes the tensor; None for the graph's input."""
    source: "Edge | None" = None
    """The edge that the node reads."""

    @property
    def name(self) -> str:
        """The tensor's name."""
        return self.value.name

    def nodes(self) -> tuple[Node, ...]:
        """Every node from the graph's input to here, in execution order."""
        made = []
        at: Edge | None = self
        while at is not None:
            made += [at.node] if at.node is not None else []
            at = at.source
        return tuple(reversed(made))

    def affine(self, scale: Sequence[Fraction], offset: Sequence[Fraction]) -> "Edge":
        """The same integers, meaning scale[c] * what they mean now + offset[c]."""
        return replace(
            self,
            scale=tuple(a * s for a, s in zip(scale, self.scale, strict=True)),
            offset=tuple(a * o + b for a, o, b in zip(scale, self.offset, offset, strict=True)),
            quantised=False,
        )


@dataclass(frozen=True)
class Quantiser:
    """y = clip(round(x / scale + shift), low, high), which means scale * (y + offset).

    scale: one for all channels, or one each. A uniform quantiser has shift = its zero point and
    offset = -shift. A binary one (the sign of x, zero counting as positive) is shift = 1,
    offset = -1/2, rounding down, and a scale of twice the magnitude.
    """

    scale: tuple[Fraction, ...]
    shift: Fraction
    offset: Fraction
    low: int
    high: int
    rounding: Rounding

    @property
    def type(self) -> IntType:
        """The narrowest type that holds low..high."""
        return IntType.holding(self.low, self.high)

    def scales(self, channels: int) -> tuple[Fraction, ...]:
        """The scale of every channel. Raises UnsupportedError if there are not that many."""
        if len(self.scale) == 1:
            return self.scale * channels
        if len(self.scale) != channels:
            raise UnsupportedError(
                f"has {len(self.scale)} scales for {channels} channels: use a per-tensor scale"
            )
        return self.scale


def input_edge(name: str, size: int, quantiser: Quantiser) -> Edge:
    """The graph's input, `size` elements as the first quantiser makes them.

    Raises UnsupportedError for a quantiser that a port (real = scale * (integer + offset), ties to
    even) cannot describe.
    """
    binary = quantiser.offset == Fraction(-1, 2)
    if len(set(quantiser.scale)) != 1:
        raise UnsupportedError(
            "quantises the network's input with one scale per channel, and a port has one: use a "
            "per-tensor quantiser here"
        )
    if quantiser.rounding != "half_even" and not binary:
        raise UnsupportedError(
            f"rounds the network's input with {quantiser.rounding}, and a port rounds half to "
            "even: use ROUND here"
        )
    value = Value(name, (size,), quantiser.type)
    scale = quantiser.scale[0]
    return Edge(
        value,
        Interval.of_type(value),
        (scale,) * size,
        (scale * quantiser.offset,) * size,
        quantised=True,
    )


def dense(
    edge: Edge,
    name: str,
    codec: Codec,
    weight_scale: Sequence[Fraction],
    bias: Sequence[Fraction],
) -> Edge:
    """The edge after a dense layer; its bias stays exact in the offset.

    codec: weights, (inputs, outputs), meaning weight_scale[o] * weight. bias: reals. Where the
    input's channels have different scales, their ratios go into the weights, stored plainly then.

    Raises UnsupportedError where those ratios need weights of more than MAX_WEIGHT_BITS bits.
    """
    unit = common_unit(edge.scale)
    ratio = [int(s / unit) for s in edge.scale]
    weights = decode(codec)
    if any(r != 1 for r in ratio):
        folded = weights.astype(object) * np.array(ratio, dtype=object)[:, None]
        width = signed_bits(folded)
    else:
        folded, width = weights, weight_width(codec)
    if width > MAX_WEIGHT_BITS:
        raise UnsupportedError(
            f"reads channels whose scales have no small integer ratios (the weights would need "
            f"{width} bits, and the limit is {MAX_WEIGHT_BITS}): quantise its input per tensor, or "
            "with power-of-two scales"
        )
    if len(set(edge.offset)) == 1:
        constant = [edge.offset[0] * int(n) for n in weights.sum(axis=0)]
    else:
        constant = list(np.array(edge.offset, dtype=object) @ weights.astype(object))
    if folded is not weights:
        codec = Plain(folded.astype(np.int64), width)
    op = Dense(codec, np.zeros(weights.shape[1], dtype=np.int64))
    return replace(
        append(edge, name, op),
        scale=tuple(s * unit for s in weight_scale),
        offset=tuple(
            s * Fraction(k) + b for s, k, b in zip(weight_scale, constant, bias, strict=True)
        ),
        quantised=False,
    )


def quantise(edge: Edge, name: str, quantiser: Quantiser) -> Edge:
    """The edge after a quantiser: one exact `Threshold`, or nothing where it changes no integer.

    Where a table of more than MAX_LEVELS entries would be needed and the scales' ratios are
    dyadic, an equal `Requantize`. Raises UnsupportedError where they are not.
    """
    to = quantiser.scales(edge.value.channels)
    scale = tuple(s / t for s, t in zip(edge.scale, to, strict=True))
    shift = tuple(o / t + quantiser.shift for o, t in zip(edge.offset, to, strict=True))
    low, high = edge.interval.bounds
    unchanged = all(s == 1 for s in scale) and not any(shift)
    if unchanged and quantiser.low <= low and high <= quantiser.high:
        made = edge
    elif (quantiser.high - quantiser.low) * edge.value.channels <= MAX_LEVELS:
        op: Op = derive_threshold(
            scale, shift, quantiser.low, quantiser.high, quantiser.rounding, edge.interval
        )
        made = append(edge, name, op, quantiser.type)
    else:
        op = _dyadic(scale, shift, quantiser)
        made = append(edge, name, op, quantiser.type)
    return replace(made, scale=to, offset=tuple(t * quantiser.offset for t in to), quantised=True)


def append(edge: Edge, name: str, op: Op, kind: IntType | None = None) -> Edge:
    """The tensor that one operation makes, of the narrowest type unless it is given.

    Its scale and offset are still those of `edge`.
    """
    node = Node(op, (edge.name,), Value(name, (1,), kind or IntType(64, signed=True)))
    shape = output_shape(node, [edge.value])
    node = replace(node, output=replace(node.output, shape=shape))
    interval = output_interval(node, [edge.interval])
    if kind is None:
        node = replace(node, output=Value(name, shape, IntType.holding(*interval.bounds)))
    return replace(edge, value=node.output, interval=interval, node=node, source=edge)


def signed_bits(weights: npt.NDArray[Any]) -> int:
    """Bits of the narrowest signed type that holds all weights, at least 2."""
    return max(IntType.holding(min(int(weights.min()), -1), int(weights.max())).width, 2)


def int64(values: Sequence[int], what: str) -> IntArray:
    """Python integers as an array. Raises UnsupportedError for one of more than 62 bits."""
    largest = max(values, key=abs)
    if abs(largest) >> 62:
        raise UnsupportedError(
            f"has {what} of {float(largest):.3g} in integer units, too large to compute with: "
            "check the biases and scales that lead to it"
        )
    return np.array(values, dtype=np.int64)


def common_unit(scales: Sequence[Fraction]) -> Fraction:
    """The largest rational of which every scale is an integer multiple."""
    distinct = set(scales)
    denominator = math.lcm(*(s.denominator for s in distinct))
    return Fraction(math.gcd(*(int(s * denominator) for s in distinct)), denominator)


def _dyadic(
    scale: Sequence[Fraction], shift: Sequence[Fraction], quantiser: Quantiser
) -> Requantize:
    """The `Requantize` equal to a quantiser whose scales' denominators are powers of two.

    With s fraction bits every product lies on the grid of 2^-s, and so (for s >= 1) does every
    boundary between two results. A bias between two grid points never makes a tie, whatever it is
    exactly; half-way between them is as good, and needs one bit more.
    """
    kind = quantiser.type
    narrow = kind.signed and quantiser.low == -kind.max
    saturates = (-kind.max if narrow else kind.min, kind.max)
    bits = max(1, max(s.denominator for s in scale).bit_length() - 1)
    if (
        any(s.denominator & (s.denominator - 1) for s in scale)
        or saturates != (quantiser.low, quantiser.high)
        or bits + max(int(abs(o)) for o in shift).bit_length() > _MAX_DYADIC_BITS
    ):
        raise UnsupportedError(
            f"needs {len(scale)} x {quantiser.high - quantiser.low} thresholds, above the limit of "
            f"{MAX_LEVELS}: use fewer bits or channels, or power-of-two scales without batch-norm"
        )
    grid = 1 << bits
    multiplier = [2 * int(s * grid) for s in scale]
    bias = [2 * math.floor(b) + (b.denominator != 1) for o in shift for b in (o * grid,)]
    return Requantize(
        int64(multiplier, "a factor"),
        int64(bias, "an offset"),
        bits + 1,
        quantiser.rounding,
        narrow,
    )
