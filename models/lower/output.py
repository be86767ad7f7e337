"""The output port: one scale for all channels, so that its integers can be compared.

The last layer's sums mean scale[c] * integer + offset[c], and a port means scale * (integer +
offset). In this order of preference:

1. All channels have the same scale and the same offset in units of it: the port says so, free.
2. Scales with power-of-two ratios (a per-tensor scale is one): sums are shifted to the finest, and
   by k bits more, so that the bias is exact. Where that takes more than 9 bits it is rounded, by
   less than 2^-9 of the sums' own LSB, with as many bits more as it takes that no comparison of
   two channels changes. The shift comes behind the product (`Requantize`), and not into the
   weights, which would be stored with its zeros. Of the bias, the whole units of the shifted sum
   go into the product; what is left of it are the low bits, which are constants: no logic.
3. Otherwise a multiply-add brings every channel to a common scale: exactly where small integer
   ratios exist, else with multipliers of `multiplier_bits`. Their default, four bits more than the
   widest sum, is wrong by at most 1/32 of an LSB of the channel with the largest scale.
"""

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import (
    Conv2d,
    Dense,
    IntArray,
    Plain,
    Port,
    Requantize,
)
from bitwright.models.lower.edges import Edge, append, common_unit, int64, signed_bits

_EXACT_BITS = 9  # below the LSB of the sums; a rounded bias is then wrong by 2^-10 of it
_MOST_BITS = 20  # float32, with which torch compares, resolves no more

_MOST_SHIFT = 16  # between the scales of two channels


@dataclass(frozen=True, eq=False)
class Output:
    """The last edge, its port, and how its integers come from those of the edge before.

    integer = multiplier[c] * (what `Edge` called integer) + bias[c]
    """

    edge: Edge
    port: Port
    multiplier: IntArray
    bias: IntArray


def common_scale(edge: Edge, multiplier_bits: int | None) -> Output:
    """Bring the network's last edge to one scale; see the module for how.

    Raises UnsupportedError where every channel is constant.
    """
    channels = edge.value.channels
    largest = max(abs(s) for s in edge.scale)
    if largest == 0:
        raise UnsupportedError(
            "is constant: every channel's scale is 0 (is a batch-norm weight 0?), so there is "
            "nothing to lower"
        )
    scale = edge.scale[0]
    if scale > 0 and len(set(edge.scale)) == len(set(edge.offset)) == 1:
        port = Port(float(scale), float(edge.offset[0] / scale))
        return Output(edge, port, np.ones(channels, np.int64), np.zeros(channels, np.int64))
    smallest = min(abs(s) for s in edge.scale if s)
    if all(_is_shift(s / smallest) for s in edge.scale):
        unit = smallest
    else:
        if multiplier_bits is None:
            multiplier_bits = edge.value.type.width + 4
        unit = common_unit(edge.scale)
        if largest / unit > 1 << multiplier_bits:
            unit = largest / (1 << multiplier_bits)
    bits, bias = _fraction_bits([o / unit for o in edge.offset])
    if any(round(s / unit) * unit != s for s in edge.scale):
        bits, bias = 0, int64([round(o / unit) for o in edge.offset], "an offset")
    multiplier = np.array([round(s / unit) << bits for s in edge.scale])
    made = _scaled(edge, multiplier, bias)
    return Output(made, Port(float(unit / (1 << bits))), multiplier, bias)


def _is_shift(ratio: Fraction) -> bool:
    """Whether a ratio of scales is 0 or +-2^k, and not beyond what sums are shifted by."""
    size = abs(ratio)
    power = size.denominator == 1 and size.numerator & (size.numerator - 1) == 0
    return power and size <= 1 << _MOST_SHIFT


def _fraction_bits(offset: list[Fraction]) -> tuple[int, IntArray]:
    """How many bits below the LSB the offsets get, and the offsets in units of the last one."""
    for bits in range(_MOST_BITS + 1):
        scaled = [o * (1 << bits) for o in offset]
        rounded = [round(o) for o in scaled]
        exact = all(o.denominator == 1 for o in scaled)
        if exact or (bits >= _EXACT_BITS and _same_order(offset, rounded, bits)):
            break
    return bits, int64(rounded, "an offset")


def _same_order(offset: list[Fraction], rounded: list[int], bits: int) -> bool:
    """Whether integers plus `offset` compare as integers plus `rounded` / 2^bits do, all of them.

    They do if the fractions after the point keep their order, and none meets another's, not even
    around the corner from 1 to 0.
    """
    fractions = sorted(
        (o - math.floor(o), r - (math.floor(o) << bits))
        for o, r in zip(offset, rounded, strict=True)
    )
    steps = itertools.pairwise(fractions)
    apart = all((f == g) == (r == s) and r <= s for (f, r), (g, s) in steps)
    return apart and fractions[-1][1] - fractions[0][1] < 1 << bits


def _scaled(edge: Edge, multiplier: IntArray, bias: IntArray) -> Edge:
    """multiplier[c] * integer + bias[c], as much of it as is free by the product itself."""
    size = np.abs(multiplier)
    op = edge.node.op if edge.node is not None else None
    if isinstance(op, Dense | Conv2d) and np.all(size & (size - 1) == 0):
        codec = op.weights
        if isinstance(codec, Plain) and np.any(multiplier < 0):
            weights = codec.values * np.where(multiplier < 0, -1, 1)
            codec = Plain(weights, codec.width if codec.width == 1 else signed_bits(weights))
            multiplier = size
        low = np.where(size > 0, bias % np.maximum(size, 1), bias)
        whole = (bias - low) // np.where(size > 0, multiplier, 1)
        edge = append(edge.sources[0], edge.name, replace(op, weights=codec, bias=whole))
        bias = low
    if np.all(multiplier == 1) and not np.any(bias):
        return edge
    return append(edge, f"{edge.name}_scaled", Requantize(multiplier, bias, 0, "floor"))
