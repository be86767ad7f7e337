"""Quantisers on edges: whatever lies in front of one becomes one exact `Threshold`."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import (
    Interval,
    Op,
    Requantize,
    Value,
    derive_threshold,
)
from bitwright.models.lower.edges import MAX_LEVELS, Edge, Quantiser, append, int64

_MAX_DYADIC_BITS = 48  # of a requantiser's bias: far from the 63 of int64


def input_edge(name: str, shape: tuple[int, ...], quantiser: Quantiser) -> Edge:
    """The graph's input as the first quantiser makes it; shape: channels last.

    Raises UnsupportedError for a quantiser that a `Port` cannot describe.
    """
    if len(set(quantiser.scale)) != 1:
        raise UnsupportedError(
            "quantises the network's input with one scale per channel, and a port has one: use a "
            "per-tensor quantiser here"
        )
    if quantiser.rounding != "half_even" and not quantiser.binary:
        raise UnsupportedError(
            f"rounds the network's input with {quantiser.rounding}, and a port rounds half to "
            "even: use ROUND here"
        )
    value = Value(name, shape, quantiser.type)
    scale, channels = quantiser.scale[0], shape[-1]
    return Edge(
        value,
        Interval.of_type(value),
        (scale,) * channels,
        (scale * quantiser.offset,) * channels,
        quantised=True,
    )


def quantise(edge: Edge, name: str, quantiser: Quantiser) -> Edge:
    """The edge after a quantiser: one exact `Threshold`, or nothing where it changes no integer.

    Where a table of more than MAX_LEVELS entries would be needed and the scales' ratios are
    dyadic, an equal `Requantize`. Raises UnsupportedError where they are not.
    """
    quantiser = _within(edge, quantiser)
    to = quantiser.scales(edge)
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
    return replace(
        made,
        scale=to,
        offset=tuple(t * quantiser.offset for t in to),
        quantised=True,
        limits=(None, None),
    )


def limit(edge: Edge, name: str, low: Fraction | None, high: Fraction | None) -> Edge:
    """The edge after clamp(x, low, high): ReLU is (0, None), ReLU6 (0, 6), a hard tanh (-1, 1).

    On integers that have both ends among them it is a node; elsewhere it waits for the quantiser
    behind it, into whose range it goes.
    """
    before = edge.limits
    low = before[0] if low is None else low if before[0] is None else max(low, before[0])
    high = before[1] if high is None else high if before[1] is None else min(high, before[1])
    scale, offset = edge.scale[0], edge.offset[0]
    if not edge.quantised or len(set(edge.scale)) > 1 or len(set(edge.offset)) > 1:
        return replace(edge, limits=(low, high))
    ends = [None if end is None else (end - offset) / scale for end in (low, high)]
    if any(end is not None and end.denominator != 1 for end in ends):
        return replace(edge, limits=(low, high))
    least, most = edge.interval.bounds
    first, last = (m if e is None else int(e) for m, e in zip((least, most), ends, strict=True))
    zero = offset / scale
    reach = min(max(first, least), most), max(min(last, most), least)
    if reach[0] >= reach[1]:
        raise UnsupportedError(
            f"makes {float(scale * reach[0] + offset):g} of everything that can reach it: check "
            "the scale of the quantiser in front of it"
        )
    return quantise(edge, name, Quantiser((scale,), -zero, zero, *reach, "half_even"))


def _within(edge: Edge, quantiser: Quantiser) -> Quantiser:
    """A quantiser Q with clamp(x) in front is one with Q(x) clamped between the Qs of its ends."""
    if not edge.limited:
        return quantiser
    low, high = edge.limits
    made = {
        (
            quantiser.low if low is None else _quantised(low, scale, quantiser),
            quantiser.high if high is None else _quantised(high, scale, quantiser),
        )
        for scale in quantiser.scale
    }
    if len(made) > 1:
        raise UnsupportedError(
            "quantises the result of an activation function with several scales, whose ends "
            "differ: use one scale"
        )
    ends = made.pop()
    if ends[0] >= ends[1]:
        raise UnsupportedError(
            f"can only make the integer {ends[0]} behind that activation function: give it a "
            "smaller scale"
        )
    return replace(quantiser, low=ends[0], high=ends[1])


def _quantised(x: Fraction, scale: Fraction, quantiser: Quantiser) -> int:
    exact = x / scale + quantiser.shift
    rounded = math.floor(exact) if quantiser.rounding == "floor" else round(exact)
    return min(max(rounded, quantiser.low), quantiser.high)


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
