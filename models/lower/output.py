"""The output port: one scale for all channels, so that its integers can be compared.

The last layer's sums mean scale[c] * integer + offset[c], and a port means scale * (integer +
offset). In this order of preference:

1. All channels have the same scale and the same offset in units of it: the port says so, free.
2. The sums of a dense layer whose scales have power-of-two ratios (a per-tensor scale is one): the
   ratios go into the weights, the offsets into the bias. Both are multiplied by 2^k so that the
   bias is exact. Where that takes more than 9 bits it is rounded, by less than 2^-9 of the sums'
   own LSB, with as many bits more as it takes that no comparison of two channels changes. The
   low zeros of the shifted weights are free wires in hardware.
3. Otherwise a multiply-add brings every channel to a common scale: exactly where small integer
   ratios exist, else with multipliers of `multiplier_bits`. Their default, four bits more than the
   widest sum, is wrong by at most 1/32 of an LSB of the channel with the largest scale.
"""

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import (
    Codebook,
    Dense,
    IntArray,
    Plain,
    Port,
    Requantize,
    decode,
    weight_width,
)
from bitwright.models.lower.edges import Edge, append, common_unit, int64, signed_bits

_EXACT_BITS = 9  # below the LSB of the sums; a rounded bias is then wrong by 2^-10 of it
_MOST_BITS = 20  # float32, with which torch compares, resolves no more

_MAX_FOLDED_BITS = 16  # a ratio of scales above 2^16 goes into a multiplier, not into weights


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
    ratio = [s / smallest for s in edge.scale]
    if isinstance(edge.node and edge.node.op, Dense) and all(_foldable(r) for r in ratio):
        bits, bias = _fraction_bits([o / smallest for o in edge.offset])
        multiplier = np.array([int(r) << bits for r in ratio])
        return Output(
            _scaled_dense(edge, multiplier, bias),
            Port(float(smallest / (1 << bits))),
            multiplier,
            bias,
        )
    if multiplier_bits is None:
        multiplier_bits = edge.value.type.width + 4
    unit = common_unit(edge.scale)
    if largest / unit > 1 << multiplier_bits:
        unit = largest / (1 << multiplier_bits)
    bits, bias = _fraction_bits([o / unit for o in edge.offset])
    if any(round(s / unit) * unit != s for s in edge.scale):
        bits, bias = 0, int64([round(o / unit) for o in edge.offset], "an offset")
    multiplier = np.array([round(s / unit) << bits for s in edge.scale])
    made = append(edge, f"{edge.name}_scaled", Requantize(multiplier, bias, 0, "floor"))
    return Output(made, Port(float(unit / (1 << bits))), multiplier, bias)


def _foldable(ratio: Fraction) -> bool:
    size = abs(ratio)
    power = size.denominator == 1 and size.numerator & (size.numerator - 1) == 0
    return power and size <= 1 << _MAX_FOLDED_BITS


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


def _scaled_dense(edge: Edge, multiplier: IntArray, bias: IntArray) -> Edge:
    """The dense layer that makes `edge`, with multiplied weights and a bias."""
    assert edge.node is not None and isinstance(edge.node.op, Dense)
    codec = edge.node.op.weights
    if isinstance(codec, Codebook) and np.all(multiplier == multiplier[0]):
        codec = Codebook(codec.indices, codec.table * multiplier[0])
    elif np.any(multiplier != 1):
        weights, width = decode(codec) * multiplier, weight_width(codec)
        binary = width == 1 and bool(np.all(np.abs(multiplier) == 1))
        codec = Plain(weights, 1 if binary else max(signed_bits(weights), width))
    return append(edge.sources[0], edge.name, Dense(codec, bias))
