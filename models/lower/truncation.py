"""Brevitas' truncated averages: a sum whose low bits are dropped, as a quantiser."""

from fractions import Fraction
from typing import Any

import torch
from brevitas.core.quant.int import TruncIntQuant
from brevitas.quant_tensor import IntQuantTensor
from torch import nn

from bitwright.models.errors import UnsupportedError
from bitwright.models.lower import readings
from bitwright.models.lower.edges import Edge, Quantiser

_WHAT = "a truncation"


def truncation(layer: Any, given: object, edge: Edge) -> Quantiser | None:
    """What TruncAvgPool2d and TruncAdaptiveAvgPool2d do to their average, None where nothing.

    given: the layer's input in the trial run. edge: the average, exactly.

    Raises UnsupportedError for zero points, several scales, and parts that are unknown.
    """
    if not isinstance(given, IntQuantTensor) or not layer.is_trunc_quant_enabled:
        return None
    quant = layer.trunc_quant.tensor_quant
    if type(quant) is not TruncIntQuant:
        raise UnsupportedError(f"truncates with {type(quant).__name__}: use TruncTo8bit or another")
    kind = nn.AvgPool2d if isinstance(layer, nn.AvgPool2d) else nn.AdaptiveAvgPool2d
    pooled: Any = kind.forward(layer, given)  # of quantised tensors too
    made = layer.trunc_quant(pooled)
    if readings.zero_point(given.zero_point, _WHAT) != 0 or any(edge.offset):
        raise UnsupportedError("truncates a tensor with a zero point: quantise its input without")
    if len(set(edge.scale)) > 1:
        raise UnsupportedError("truncates channels of several scales: quantise its input with one")
    bits = float(readings.bits(made.bit_width, _WHAT))
    (before,) = readings.scales(pooled.scale, _WHAT)
    (after,) = readings.scales(made.scale, _WHAT)
    return Quantiser(
        (edge.scale[0] * (after / before),),
        Fraction(0),
        Fraction(0),
        int(quant.min_int(torch.tensor(bits), made.signed)),
        int(quant.max_int(torch.tensor(bits), made.signed)),
        readings.rounding(quant.float_to_int_impl, _WHAT),
    )
