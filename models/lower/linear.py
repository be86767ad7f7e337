"""Dense layers and convolutions on edges: integer weights, everything real in scale and offset."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from typing_extensions import assert_never

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import (
    Codebook,
    Codec,
    Conv2d,
    Dense,
    IntArray,
    Plain,
    Tiled,
    Window,
    decode,
    weight_width,
)
from bitwright.models.lower.edges import (
    MAX_WEIGHT_BITS,
    Edge,
    append,
    centred,
    check_unlimited,
    common_unit,
    signed_bits,
)


def dense(
    edge: Edge,
    name: str,
    codec: Codec,
    weight_scale: Sequence[Fraction],
    bias: Sequence[Fraction],
) -> Edge:
    """The edge after a dense layer; its bias stays exact in the offset.

    codec: weights, (inputs, outputs) with the inputs in the model's order, meaning
    weight_scale[o] * weight. bias: reals. Where the input's channels have different scales, their
    ratios go into the weights, stored plainly then.

    Raises UnsupportedError where those ratios need weights of more than MAX_WEIGHT_BITS bits.
    """
    check_unlimited(edge)
    if edge.order is not None:
        codec = rows_in_order(codec, edge.order)
    codec, unit = _with_ratios(edge, codec, 1, 1)
    op = Dense(codec, np.zeros(len(weight_scale), dtype=np.int64))
    constant = _constant(edge, decode(codec), unit, 1, 1)
    return _scaled(append(edge, name, op), weight_scale, unit, constant, bias)


def conv(
    edge: Edge,
    name: str,
    codec: Codec,
    weight_scale: Sequence[Fraction],
    bias: Sequence[Fraction],
    window: Window,
    groups: int = 1,
) -> Edge:
    """The edge after a convolution; all else as for `dense`.

    codec: weights, (channels / groups x rows x columns, outputs). Padding is a real zero: where
    none of the input's integers means that, it is brought to integers of which 0 does, by a node
    of its own (see `centred`).

    Raises UnsupportedError as `dense`, and where zeros cannot be had.
    """
    check_unlimited(edge)
    if window.pads:
        edge = centred(edge, f"{name}_centred")
    codec, unit = _with_ratios(edge, codec, groups, window.taps)
    op = Conv2d(codec, np.zeros(len(weight_scale), dtype=np.int64), window, groups)
    constant = _constant(edge, decode(codec), unit, groups, window.taps)
    return _scaled(append(edge, name, op), weight_scale, unit, constant, bias)


def rows_in_order(codec: Codec, order: IntArray) -> Codec:
    """Weights for inputs of which the i-th is the model's order[i].

    A tile that is made of whole outputs stays one; another would not repeat any more.
    """
    match codec:
        case Plain():
            return Plain(codec.values[order], codec.width)
        case Tiled():
            if len(codec.tile) % len(order):
                return Plain(decode(codec)[order], 1)
            return Tiled(codec.tile.reshape(-1, len(order))[:, order].ravel(), codec.shape)
        case Codebook():
            return Codebook(codec.indices[order], codec.table)
        case _:
            assert_never(codec)


def _with_ratios(
    edge: Edge, codec: Codec, groups: int, taps: int
) -> tuple[Codec, tuple[Fraction, ...]]:
    """Weights that are right for inputs of one unit, and the unit of every output."""
    weights = decode(codec)
    rows, outputs = weights.shape
    channels = rows // taps
    parts = [edge.scale[g * channels : (g + 1) * channels] for g in range(groups)]
    units = [common_unit(part) for part in parts]
    per_output = tuple(unit for unit in units for _ in range(outputs // groups))
    if all(s == unit for part, unit in zip(parts, units, strict=True) for s in set(part)):
        return codec, per_output
    ratio = np.array(
        [[int(s / unit) for s in part] for part, unit in zip(parts, units, strict=True)], object
    )
    # One row of ratios for each group; a column of weights for each of its outputs.
    spread = np.repeat(np.repeat(ratio, taps, axis=1), outputs // groups, axis=0).T
    folded = weights.astype(object) * spread
    if (width := signed_bits(folded)) > MAX_WEIGHT_BITS:
        raise UnsupportedError(
            f"reads channels whose scales have no small integer ratios (the weights would need "
            f"{width} bits, and the limit is {MAX_WEIGHT_BITS}): quantise its input per tensor, or "
            "with power-of-two scales"
        )
    binary = weight_width(codec) == 1 and bool(np.all(np.abs(folded) == 1))
    return Plain(folded.astype(np.int64), 1 if binary else width), per_output


def _constant(
    edge: Edge, weights: IntArray, unit: Sequence[Fraction], groups: int, taps: int
) -> list[Fraction]:
    """What the offsets of the inputs add to each output, in units of its weights' scale."""
    outputs = weights.shape[1]
    if not any(edge.offset):
        return [Fraction(0)] * outputs
    # real = scale * (integer + zero), and `weights` hold scale / unit already.
    zero = [o / s for s, o in zip(edge.scale, edge.offset, strict=True)]
    made = [Fraction(0)] * outputs
    for distinct in sorted(set(zero) - {Fraction(0)}):
        chosen = np.array([z == distinct for z in zero]).reshape(groups, -1)
        rows = np.repeat(np.repeat(chosen, taps, axis=1), outputs // groups, axis=0).T
        sums = np.where(rows, weights, 0).sum(axis=0)
        made = [m + distinct * int(n) * u for m, n, u in zip(made, sums, unit, strict=True)]
    return made


def _scaled(
    edge: Edge,
    weight_scale: Sequence[Fraction],
    unit: Sequence[Fraction],
    constant: Sequence[Fraction],
    bias: Sequence[Fraction],
) -> Edge:
    return replace(
        edge,
        scale=tuple(s * u for s, u in zip(weight_scale, unit, strict=True)),
        offset=tuple(s * k + b for s, k, b in zip(weight_scale, constant, bias, strict=True)),
        quantised=False,
        order=None,
    )
