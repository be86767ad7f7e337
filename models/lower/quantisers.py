"""Brevitas quantisers as exact rationals: what each object really does, read and then tried out.

Nothing is taken from a quantiser's class name or its injector. Scale, zero point and bit width are
what the object returns, range and rounding what its parts say, and an activation quantiser is then
run on a grid that includes every tie and compared with the arithmetic understood here.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from brevitas.core.function_wrapper import FloorSte, RoundSte
from brevitas.core.quant import BinaryQuant, ClampedBinaryQuant, RescalingIntQuant
from brevitas.proxy import ActQuantProxyFromInjector
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import (
    Codec,
    IntArray,
    Plain,
    Rounding,
    Tiled,
)
from bitwright.models.layers.tiled import TiledLinear
from bitwright.models.lower.edges import Quantiser

MAX_BITS = 16
_GRID = 1 << 14  # points at which an activation quantiser is tried


@dataclass(frozen=True, eq=False)
class Weights:
    """Integers, (inputs, outputs), meaning scale[o] * integer."""

    codec: Codec
    scale: tuple[Fraction, ...]


def rationals(tensor: Tensor, what: str) -> tuple[Fraction, ...]:
    """The elements of a tensor, exactly. Raises UnsupportedError if one is NaN or infinite."""
    values = tensor.detach().double().flatten()
    if not bool(torch.isfinite(values).all()):
        bad = values[~torch.isfinite(values)][0].item()
        raise UnsupportedError(f"has a {what} that is {bad}: train it again, or load other weights")
    return tuple(Fraction(v) for v in values.tolist())


def activation_quantiser(proxy: Any, what: str) -> Quantiser | None:
    """The quantiser of a Brevitas activation, or None where it only passes its input on.

    proxy: `act_quant`, `input_quant` or `output_quant` of a layer, in eval mode. what: its name in
    messages, which begin in the middle of a sentence about the layer.

    Raises:
        UnsupportedError: a kind, range, rounding, scale or bit width that integers cannot follow.
    """
    if type(proxy) is not ActQuantProxyFromInjector:
        raise UnsupportedError(
            f"quantises with {what} of type {type(proxy).__name__}: use an integer or binary "
            "quantiser with a constant scale"
        )
    fused = proxy.fused_activation_quant_proxy
    if fused is None:
        return None
    shape = type(fused.activation_impl)
    if shape not in (nn.Identity, nn.ReLU):
        raise UnsupportedError(
            f"applies {shape.__name__}: only ReLU, and a hard tanh that the quantiser replaces, "
            "become integer thresholds"
        )
    if not proxy.is_quant_enabled:
        if shape is nn.Identity:
            return None
        raise UnsupportedError(f"applies {shape.__name__} without {what}: give it a quantiser")
    quant = fused.tensor_quant
    if isinstance(quant, (BinaryQuant, ClampedBinaryQuant)):
        made = _binary(quant, what)
    elif type(quant) is RescalingIntQuant:
        made = _uniform(quant, what)
    else:
        raise UnsupportedError(
            f"quantises with {what} of kind {type(quant).__name__}: use an integer or binary one"
        )
    if shape is nn.ReLU:
        made = _after_relu(made, what)
    if made.low >= made.high:
        raise UnsupportedError(
            f"has {what} that can only make the integer {made.low}: give it more bits, or a sign"
        )
    _try(proxy, made, what)
    return made


def _uniform(quant: Any, what: str) -> Quantiser:
    _, scale, zero_point, bit_width = quant(torch.zeros(1))
    bits = _bits(bit_width, what)
    inner = quant.int_quant
    offset = _zero_point(zero_point, what)
    return Quantiser(
        scale=_scales(scale, what),
        shift=Fraction(offset),
        offset=Fraction(-offset),
        low=int(inner.min_int(torch.tensor(float(bits)))),
        high=int(inner.max_int(torch.tensor(float(bits)))),
        rounding=_rounding(inner.float_to_int_impl, what),
    )


def _binary(quant: Any, what: str) -> Quantiser:
    _, scale, zero_point, _ = quant(torch.zeros(1))
    if _zero_point(zero_point, what) != 0:
        raise UnsupportedError(f"has {what}, binary with a zero point: use one without")
    double = tuple(2 * s for s in _scales(scale, what))
    return Quantiser(double, Fraction(1), Fraction(-1, 2), 0, 1, "floor")


def _after_relu(made: Quantiser, what: str) -> Quantiser:
    if made.offset == Fraction(-1, 2):
        raise UnsupportedError(
            f"has {what} that is binary behind a ReLU, which is always +: use a QuantIdentity"
        )
    low = min(max(made.low, int(made.shift)), made.high)
    return Quantiser(made.scale, made.shift, made.offset, low, made.high, made.rounding)


def _try(proxy: Any, made: Quantiser, what: str) -> None:
    """Compare the object with `made` in Brevitas' float32 arithmetic, ties and ends included."""
    scale = torch.tensor([float(s) for s in made.scale])
    binary = made.offset == Fraction(-1, 2)
    first, last = (-4, 4) if binary else (made.low - 2, made.high + 2)
    quarters = np.arange(4 * first, 4 * last + 1)
    if len(quarters) > _GRID:
        middle = np.random.default_rng(0).choice(quarters, _GRID - 128)
        quarters = np.concatenate([quarters[:64], np.sort(middle), quarters[-64:]])
    x = torch.tensor(quarters / 4.0, dtype=torch.float32)[:, None] * scale
    if not binary:
        x = x - float(made.shift) * scale
    with torch.no_grad():
        given = proxy(x)
    given = given.value if isinstance(given, IntQuantTensor) else given
    if binary:
        expected = torch.where(x >= 0, scale / 2, -scale / 2)
    else:
        y = x / scale + float(made.shift)
        y = torch.floor(y) if made.rounding == "floor" else torch.round(y)
        expected = (y.clamp(made.low, made.high) - float(made.shift)) * scale
    if not torch.equal(given, expected):
        raise UnsupportedError(
            f"has {what} that does not compute what its parts say (is a quantisation delay set, or "
            "is it a class of your own?): use one of Brevitas' integer or binary quantisers"
        )


def linear_weights(layer: Any, quant_input: object) -> Weights:
    """The integer weights of a QuantLinear and their scales, as Brevitas quantises them.

    Raises:
        UnsupportedError: NaN or infinite weights, no or an unknown quantiser, a zero point, a
            scale of 0, more than MAX_BITS bits.
    """
    rationals(layer.weight, "weight")
    tiled = isinstance(layer, TiledLinear)
    if not tiled and not layer.weight_quant.is_quant_enabled:
        raise UnsupportedError("has no weight quantiser: give it weight_quant=…")
    if tiled and not layer.scale_per_output:
        raise UnsupportedError(
            f"has {layer.copies} tiles with scales of their own that change inside its "
            f"{layer.out_features} outputs: give Tiling scale='single', or a compression that "
            "divides the outputs"
        )
    quantised = layer.quant_weight(quant_input)
    if type(quantised) is not IntQuantTensor:
        raise UnsupportedError(
            f"has weights quantised to {type(quantised).__name__}: use an integer or binary "
            "weight quantiser"
        )
    scale = _scales(quantised.scale, "a weight quantiser", positive=False)
    if quantised.scale.numel() > 1 and quantised.scale.shape != (layer.out_features, 1):
        raise UnsupportedError(
            f"has weight scales of shape {tuple(quantised.scale.shape)}: use one scale, or one per "
            f"output, ({layer.out_features}, 1)"
        )
    if _zero_point(quantised.zero_point, "a weight quantiser") != 0:
        raise UnsupportedError(
            "has weights with a zero point: use a symmetric weight quantiser (zero point 0)"
        )
    bits = _bits(quantised.bit_width, "a weight quantiser")
    values = _integers(quantised, "weights")
    if bits == 1 and bool(np.all(np.abs(values) == 1)):
        width = 1
    else:
        width = max(bits + (not quantised.signed), 2)
    scales = scale * layer.out_features if len(scale) == 1 else scale
    if tiled and layer.copies > 1:
        tile = layer.tile.cpu().numpy().astype(np.int64)
        return Weights(Tiled(tile, (layer.in_features, layer.out_features)), scales)
    return Weights(Plain(values.T.copy(), width), scales)


def linear_bias(layer: Any, quant_input: Any, weights: Weights) -> tuple[Fraction, ...]:
    """The bias of a QuantLinear's outputs, in reals; a quantised one as integer x scale, exactly.

    A bias with an external scale has that of the sums: the product of Brevitas' scales of the
    quantised input and of the weights, which float32 rounds and this does not.

    Raises UnsupportedError for NaN or infinite biases, zero points or an unknown quantiser.
    """
    if layer.bias is None:
        return (Fraction(0),) * int(layer.out_features)
    plain = rationals(layer.bias, "bias")
    if not layer.bias_quant.is_quant_enabled:
        return plain
    quantised = layer.bias_quant(layer.bias, quant_input, layer.quant_weight(quant_input))
    if type(quantised) is not IntQuantTensor or _zero_point(quantised.zero_point, "a bias") != 0:
        raise UnsupportedError("has a bias quantiser that is not integer without zero point")
    integers = _integers(quantised, "biases")
    if layer.bias_quant.requires_input_scale:
        (unit,) = rationals(quant_input.scale, "scale of its quantised input")
        scale = tuple(unit * s for s in weights.scale)
    else:
        scale = _scales(quantised.scale, "a bias quantiser")
        scale = scale * layer.out_features if len(scale) == 1 else scale
    return tuple(int(n) * s for n, s in zip(integers, scale, strict=True))


def _integers(quantised: Any, what: str) -> IntArray:
    """The integers of a quantised tensor, which must be exactly what it is made of."""
    scale = quantised.scale.detach()
    if quantised.value.dim() == 1:
        scale = scale.flatten()
    real = quantised.value.detach()
    integers = torch.round(real.double() / scale.double())
    if not torch.equal(integers.float() * scale, real):
        raise UnsupportedError(
            f"has {what} that are not integer multiples of their scale (is a quantisation delay "
            "set?): use one of Brevitas' integer or binary quantisers"
        )
    made: npt.NDArray[np.int64] = integers.long().numpy()
    return made


def _scales(scale: Tensor, what: str, positive: bool = True) -> tuple[Fraction, ...]:
    made = rationals(scale, f"scale of {what}")
    if any(s == 0 for s in made):
        raise UnsupportedError(f"has {what} with a scale of 0: set its scale, or train it again")
    if positive and any(s < 0 for s in made):
        raise UnsupportedError(f"has {what} with a negative scale: use an unsigned restriction")
    if scale.numel() > 1 and positive and scale.numel() != scale.shape[-1]:
        raise UnsupportedError(
            f"has {what} with scales of shape {tuple(scale.shape)}: use one, or one per channel"
        )
    return made


def _zero_point(zero_point: Tensor, what: str) -> int:
    distinct = set(rationals(zero_point, f"zero point of {what}"))
    if len(distinct) != 1 or (only := distinct.pop()).denominator != 1:
        raise UnsupportedError(
            f"has {what} with several or fractional zero points: use one integer"
        )
    return int(only)


def _bits(bit_width: Tensor, what: str) -> int:
    values = set(rationals(bit_width, f"bit width of {what}"))
    bits = values.pop()
    if values or bits.denominator != 1 or not 1 <= bits <= MAX_BITS:
        raise UnsupportedError(
            f"has {what} of {float(bits):g} bits: bit widths are integers from 1 to {MAX_BITS}"
        )
    return int(bits)


def _rounding(impl: nn.Module, what: str) -> Rounding:
    if type(impl) is RoundSte:
        return "half_even"
    if type(impl) is FloorSte:
        return "floor"
    raise UnsupportedError(
        f"has {what} that rounds with {type(impl).__name__}: use FloatToIntImplType.ROUND or FLOOR"
    )
