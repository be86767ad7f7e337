"""Edges: integer tensors with the exact real numbers that they mean, and the nodes behind them.

An edge knows, for each channel, real = scale * integer + offset, as rationals. Weight scales,
biases, batch-norm and zero points only change these two numbers; the next quantiser collapses all
of them into one `Threshold`. Edges are never changed: each operation makes a new one that knows
those it reads, so that a network with branches is a web of them. Nothing here knows which library
the network comes from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import (
    IntArray,
    Interval,
    IntType,
    Node,
    Op,
    Requantize,
    Rounding,
    Value,
    output_interval,
    output_shape,
)

MAX_LEVELS = 1 << 20
"""Thresholds of one node, channels x output levels: 8 MiB, and a few seconds to derive."""

MAX_WEIGHT_BITS = 24
"""Weights may grow to this when the scales of their input channels are folded into them."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Edge:
    """A tensor of the graph and what it means: real = scale[c] * integer + offset[c]."""

    value: Value
    interval: Interval
    scale: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    quantised: bool
    """Whether the next layer may compute with these integers: they come straight from a quantiser,
    or are sums of such that nothing scaled, as of a pool or an addition."""
    node: Node | None = None
    """The node that makes the tensor; None for the graph's input."""
    sources: tuple["Edge", ...] = ()
    """The edges that the node reads, in order."""
    order: IntArray | None = None
    """Of a flattened image: element i here is element order[i] in the model, whose images have
    their channels first. None where both orders are the same."""
    limits: tuple[Fraction | None, Fraction | None] = (None, None)
    """Reals below the first and above the second mean these: an activation function that waits for
    the quantiser behind it."""

    @property
    def name(self) -> str:
        """The tensor's name."""
        return self.value.name

    @property
    def limited(self) -> bool:
        """Whether an activation function waits for its quantiser."""
        return self.limits != (None, None)

    def nodes(self) -> tuple[Node, ...]:
        """Every node that this tensor needs, in execution order."""
        made: dict[int, Node] = {}
        pending: list[Edge] = [self]
        while pending:
            edge = pending[-1]
            missing = [s for s in edge.sources if s.node is not None and id(s.node) not in made]
            if missing:
                pending += reversed(missing)
            else:
                pending.pop()
                if edge.node is not None:
                    made.setdefault(id(edge.node), edge.node)
        return tuple(made.values())

    def in_order(self, values: Sequence[T]) -> tuple[T, ...]:
        """What the model says of each of its channels, in the order of this tensor's."""
        return tuple(values) if self.order is None else tuple(values[i] for i in self.order)

    def affine(self, scale: Sequence[Fraction], offset: Sequence[Fraction]) -> "Edge":
        """The same integers, meaning scale[c] * what they mean now + offset[c].

        Raises UnsupportedError where an activation function waits for its quantiser.
        """
        check_unlimited(self)
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
    def binary(self) -> bool:
        """Whether it takes the sign."""
        return self.offset == Fraction(-1, 2)

    @property
    def type(self) -> IntType:
        """The narrowest type that holds low..high."""
        return IntType.holding(self.low, self.high)

    def scales(self, edge: Edge) -> tuple[Fraction, ...]:
        """The scale of every channel of an edge. Raises UnsupportedError for another number."""
        channels = edge.value.channels
        if len(self.scale) == 1:
            return self.scale * channels
        if len(self.scale) != channels:
            raise UnsupportedError(
                f"has {len(self.scale)} scales for {channels} channels: use a per-tensor scale"
            )
        return edge.in_order(self.scale)


@dataclass(frozen=True)
class Real:
    """The network's real input, which no quantiser has seen yet, times a gain, plus a shift."""

    gain: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)


def append(
    edge: Edge,
    name: str,
    op: Op,
    kind: IntType | None = None,
    *,
    others: tuple[Edge, ...] = (),
    shape: tuple[int, ...] = (1,),
) -> Edge:
    """The tensor that one operation makes, of the narrowest type unless it is given.

    others: what it reads besides `edge`. shape: what a `Reshape` makes. All else is still that of
    `edge`, the scales and offsets above all.
    """
    sources = (edge, *others)
    node = Node(
        op, tuple(s.name for s in sources), Value(name, shape, kind or IntType(64, signed=True))
    )
    made = output_shape(node, [source.value for source in sources])
    node = replace(node, output=replace(node.output, shape=made))
    interval = output_interval(node, [source.interval for source in sources])
    if kind is None:
        node = replace(node, output=Value(name, made, IntType.holding(*interval.bounds)))
    return replace(edge, value=node.output, interval=interval, node=node, sources=sources)


def check_unlimited(edge: Edge) -> None:
    """Raises UnsupportedError where an activation function waits for its quantiser."""
    if edge.limited:
        raise UnsupportedError(
            "reads the result of an activation function that is not quantised: put a QuantIdentity "
            "behind that function, or use QuantReLU or QuantHardTanh"
        )


def multiplied(
    edge: Edge, name: str, factors: Sequence[int], bias: Sequence[int] | None = None
) -> Edge:
    """The tensor of factors[c] * integer + bias[c]; its scale and offset are still those of `edge`.

    Raises UnsupportedError for numbers of more than 62 bits.
    """
    op = Requantize(
        int64(factors, "a factor"), int64(bias or [0] * len(factors), "an offset"), 0, "floor"
    )
    return append(edge, name, op)


def centred(edge: Edge, name: str) -> Edge:
    """An edge that means the same, whose integer 0 means 0, as zeros around an image must.

    A binary tensor of the integers 0 and 1, which mean -s/2 and s/2, becomes -1 and 1.
    Raises UnsupportedError where that takes more than MAX_WEIGHT_BITS bits.
    """
    check_unlimited(edge)
    if not any(edge.offset):
        return edge
    zero = [-o / s if s else Fraction(0) for s, o in zip(edge.scale, edge.offset, strict=True)]
    factors = [z.denominator for z in zero]
    bits = max(max(abs(z.numerator), z.denominator) for z in zero).bit_length()
    if bits > MAX_WEIGHT_BITS or any(
        o and not s for s, o in zip(edge.scale, edge.offset, strict=True)
    ):
        raise UnsupportedError(
            "pads with zeros a tensor none of whose integers means 0: quantise its input without "
            "zero point, or without padding"
        )
    made = multiplied(edge, name, factors, [-z.numerator for z in zero])
    return replace(
        made,
        scale=tuple(s / f for s, f in zip(edge.scale, factors, strict=True)),
        offset=(Fraction(0),) * len(factors),
    )


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
