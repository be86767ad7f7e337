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
from brevitas.core.function_wrapper import StochasticRoundSte
from brevitas.core.quant import BinaryQuant, ClampedBinaryQuant, RescalingIntQuant
from brevitas.core.quant.float import FloatQuant
from brevitas.proxy import ActFloatQuantProxyFromInjector, ActQuantProxyFromInjector
from brevitas.quant_tensor import FloatQuantTensor, IntQuantTensor, QuantTensor
from torch import Tensor, nn

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Codebook, Codec, IntArray, Plain, Tiled, decode
from bitwright.models.layers.codebook import IndexedWeights
from bitwright.models.layers.learned import LearnedWeights
from bitwright.models.layers.tiled import TiledConv2d, TiledLinear
from bitwright.models.lower import readings
from bitwright.models.lower.edges import Quantiser
from bitwright.models.lower.minifloat import Grid
from bitwright.models.lower.minifloat_quantisers import activation_grid, minifloat_weights, try_grid
from bitwright.models.lower.readings import rationals

_GRID = 1 << 14  # points at which an activation quantiser is tried


@dataclass(frozen=True, eq=False)
class Weights:
    """Integers, (inputs, outputs), meaning scale[o] * integer."""

    codec: Codec
    scale: tuple[Fraction, ...]


def activation_quantiser(proxy: Any, what: str, dims: int = 2) -> Quantiser | Grid | None:
    """The quantiser of a Brevitas activation, or None where it only passes its input on.

    proxy: `act_quant`, `input_quant` or `output_quant` of a layer, in eval mode. what: its name in
    messages, which begin in the middle of a sentence about the layer. dims: axes of the tensor that
    it quantises, the batch among them.

    Raises:
        UnsupportedError: a kind, range, rounding, scale or bit width that integers cannot follow.
    """
    if type(proxy) not in (ActQuantProxyFromInjector, ActFloatQuantProxyFromInjector):
        raise UnsupportedError(
            f"quantises with {what} of type {type(proxy).__name__}: use an integer, binary or "
            "minifloat quantiser with constant scales, one or one per channel"
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
    made = _read(fused.tensor_quant, what, dims, relu=shape is nn.ReLU)
    if isinstance(made, Grid):
        try_grid(proxy, made, what)
        return made
    if shape is nn.ReLU:
        made = _after_relu(made, what)
    if made.low >= made.high:
        raise UnsupportedError(
            f"has {what} that can only make the integer {made.low}: give it more bits, or a sign"
        )
    _try(proxy, made, what, dims)
    return made


def function_quantiser(proxy: Any, what: str) -> Quantiser:
    """The quantiser behind a function such as a sigmoid, which is not looked at.

    Raises UnsupportedError as `activation_quantiser`, and for several scales.
    """
    if type(proxy) is not ActQuantProxyFromInjector or not proxy.is_quant_enabled:
        raise UnsupportedError(f"has no {what} that integers can follow: give it an integer one")
    made = _read(proxy.fused_activation_quant_proxy.tensor_quant, what, 2, relu=False)
    if isinstance(made, Grid) or len(made.scale) > 1:
        raise UnsupportedError(f"has {what} with several scales: use a per-tensor integer one")
    return made


def _read(quant: Any, what: str, dims: int, relu: bool) -> Quantiser | Grid:
    if isinstance(quant, (BinaryQuant, ClampedBinaryQuant)):
        return _binary(quant, what, dims)
    if type(quant) is RescalingIntQuant:
        return _uniform(quant, what, dims)
    if type(quant) is FloatQuant:
        grid = activation_grid(quant, what, relu)
        if dims > 2 and len(grid.unit if isinstance(grid, Grid) else grid.scale) > 1:
            raise UnsupportedError(f"has {what}, a minifloat with several scales: use one")
        return grid
    raise UnsupportedError(
        f"quantises with {what} of kind {type(quant).__name__}: use an integer, binary or "
        "minifloat one"
    )


def _uniform(quant: Any, what: str, dims: int) -> Quantiser:
    _, scale, zero_point, bit_width = quant(torch.zeros(1))
    bits = readings.bits(bit_width, what)
    inner = quant.int_quant
    offset = readings.zero_point(zero_point, what)
    return Quantiser(
        scale=readings.scales(scale, what, dims=dims),
        shift=Fraction(offset),
        offset=Fraction(-offset),
        low=int(inner.min_int(torch.tensor(float(bits)))),
        high=int(inner.max_int(torch.tensor(float(bits)))),
        rounding=readings.rounding(inner.float_to_int_impl, what),
    )


def _binary(quant: Any, what: str, dims: int) -> Quantiser:
    _, scale, zero_point, _ = quant(torch.zeros(1))
    if readings.zero_point(zero_point, what) != 0:
        raise UnsupportedError(f"has {what}, binary with a zero point: use one without")
    double = tuple(2 * s for s in readings.scales(scale, what, dims=dims))
    return Quantiser(double, Fraction(1), Fraction(-1, 2), 0, 1, "floor")


def _after_relu(made: Quantiser, what: str) -> Quantiser:
    if made.binary:
        raise UnsupportedError(
            f"has {what} that is binary behind a ReLU, which is always +: use a QuantIdentity"
        )
    low = min(max(made.low, int(made.shift)), made.high)
    return Quantiser(made.scale, made.shift, made.offset, low, made.high, made.rounding)


def _try(proxy: Any, made: Quantiser, what: str, dims: int) -> None:
    """Compare the object with `made` in Brevitas' float32 arithmetic, ties and ends included."""
    scale = torch.tensor([float(s) for s in made.scale])
    binary = made.binary
    first, last = (-4, 4) if binary else (made.low - 2, made.high + 2)
    quarters = np.arange(4 * first, 4 * last + 1)
    if len(quarters) > _GRID:
        middle = np.random.default_rng(0).choice(quarters, _GRID - 128)
        quarters = np.concatenate([quarters[:64], np.sort(middle), quarters[-64:]])
    x = torch.tensor(quarters / 4.0, dtype=torch.float32)[:, None] * scale
    if not binary:
        x = x - float(made.shift) * scale
    with torch.no_grad():
        given = proxy(x.reshape(*x.shape, *[1] * (dims - 2)))
    given = (given.value if isinstance(given, QuantTensor) else given).flatten(1)
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
    """The integer weights of a QuantLinear or QuantConv2d and their scales, as Brevitas makes them.

    (inputs, outputs); the inputs of a convolution in the order of its weight, (outputs, …).

    Raises:
        UnsupportedError: NaN or infinite weights, no or an unknown quantiser, a zero point, a
            scale of 0, more than MAX_BITS bits, a minifloat that is none of up to 8 bits.
    """
    readings.check_finite(layer.weight, "weight")
    tiled = isinstance(layer, (TiledLinear, TiledConv2d))
    indexed = isinstance(layer, IndexedWeights)
    learned = isinstance(layer, LearnedWeights)
    if not (tiled or indexed or learned) and not layer.weight_quant.is_quant_enabled:
        raise UnsupportedError("has no weight quantiser: give it weight_quant=…")
    if any(
        isinstance(part, StochasticRoundSte) and not part.deterministic_inference
        for part in layer.weight_quant.modules()
    ):
        raise UnsupportedError(
            "has a weight quantiser that rounds by chance in eval mode too: give it "
            "deterministic_inference=True"
        )
    outputs, inputs = layer.weight.shape[0], layer.weight[0].numel()
    if tiled and not layer.scale_per_output:
        raise UnsupportedError(
            f"has {layer.copies} tiles with scales of their own that change inside its "
            f"{outputs} outputs: give Tiling scale='single', or a compression that "
            "divides the outputs"
        )
    quantised = layer.quant_weight(quant_input)
    if type(quantised) is FloatQuantTensor:
        codec, given, unit = minifloat_weights(quantised)
        return Weights(codec, _per_output(given, unit, layer.weight))
    if type(quantised) is not IntQuantTensor:
        raise UnsupportedError(
            f"has weights quantised to {type(quantised).__name__}: use an integer, binary or "
            "minifloat weight quantiser with one scale, or one per output"
        )
    scale = _per_output(quantised.scale, Fraction(1), layer.weight)
    if readings.zero_point(quantised.zero_point, "a weight quantiser") != 0:
        raise UnsupportedError(
            "has weights with a zero point: use a symmetric weight quantiser (zero point 0)"
        )
    bits = readings.bits(quantised.bit_width, "a weight quantiser")
    values = _integers(quantised, "weights")
    if indexed:
        table, indices, _ = (part.cpu().numpy() for part in layer.coded())
        codec = Codebook(indices.reshape(outputs, -1).T.copy(), table)
        assert np.array_equal(decode(codec), values.reshape(outputs, -1).T)
        return Weights(codec, scale)
    if tiled and layer.copies > 1:
        tile = layer.tile.cpu().numpy().astype(np.int64)
        return Weights(Tiled(tile, (inputs, outputs)), scale)
    if bits == 1 and bool(np.all(np.abs(values) == 1)):
        width = 1
    else:
        width = max(bits + (not quantised.signed), 2)
    return Weights(Plain(values.reshape(outputs, -1).T.copy(), width), scale)


def _per_output(scale: Tensor, unit: Fraction, weight: Tensor) -> tuple[Fraction, ...]:
    """A weight's scale times `unit`, one for every output."""
    outputs = weight.shape[0]
    made = readings.scales(scale, "a weight quantiser", positive=False, dims=None)
    shape = (outputs, *[1] * (weight.dim() - 1))
    if scale.numel() > 1 and scale.shape != shape:
        raise UnsupportedError(
            f"has weight scales of shape {tuple(scale.shape)}: use one scale, or one per "
            f"output, {shape}"
        )
    return tuple(s * unit for s in made) * (outputs if len(made) == 1 else 1)


def linear_bias(layer: Any, quant_input: Any, weights: Weights) -> tuple[Fraction, ...]:
    """The bias of a layer's outputs, in reals; a quantised one as integer x scale, exactly.

    A bias with an external scale has that of the sums: the product of Brevitas' scales of the
    quantised input and of the weights, which float32 rounds and this does not.

    Raises UnsupportedError for NaN or infinite biases, zero points or an unknown quantiser.
    """
    outputs = int(layer.weight.shape[0])
    if layer.bias is None:
        return (Fraction(0),) * outputs
    plain = rationals(layer.bias, "bias")
    if not layer.bias_quant.is_quant_enabled:
        return plain
    quantised = layer.bias_quant(layer.bias, quant_input, layer.quant_weight(quant_input))
    if (
        type(quantised) is not IntQuantTensor
        or readings.zero_point(quantised.zero_point, "a bias") != 0
    ):
        raise UnsupportedError("has a bias quantiser that is not integer without zero point")
    integers = _integers(quantised, "biases")
    if layer.bias_quant.requires_input_scale:
        if quant_input.scale.numel() != 1:
            raise UnsupportedError(
                "has a bias that is quantised with the scales of an input that has several: give "
                "the input one scale, or the bias a scale of its own"
            )
        (unit,) = rationals(quant_input.scale, "scale of its quantised input")
        scale = tuple(unit * s for s in weights.scale)
    else:
        scale = readings.scales(quantised.scale, "a bias quantiser", dims=None)
        scale = scale * outputs if len(scale) == 1 else scale
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
