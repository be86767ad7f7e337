"""Dense networks for a search: every layer has its own bits, weight codec and width.

    bitwright explore examples/spaces/digits.toml

weights       bits of each layer's weights; 1 is binary
activations   bits of the inputs, then of each hidden layer's activations
hidden        outputs of each hidden layer
codec         "plain" integers; "codebook": as many bits choose from a learned table; "power": a
              grid with a learned exponent; "minifloat" (3 and 4 bits); "tiled2", "tiled4": binary
              weights, 2 or 4 copies of a learned tile

All scales of plain weights and activations are powers of two, so that no integer of the hardware
differs from torch's.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from brevitas import nn as qnn
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import Int16Bias
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerChannelFixedPoint,
    Uint8ActPerTensorFixedPointMaxInit,
)
from brevitas.quant.float import Fp8e4m3WeightPerTensorFloat
from torch import nn

from bitwright.models.layers import (
    CodebookLinear,
    Codebooks,
    PowerGrid,
    PowerLinear,
    TiledLinear,
    Tiling,
)

_MINIFLOATS = {3: (2, 0), 4: (2, 1)}


def dense(
    inputs: int,
    classes: int,
    hidden: Sequence[int],
    weights: Sequence[int],
    activations: Sequence[int],
    codec: Sequence[str] | str = "plain",
    signed: bool = False,
) -> nn.Module:
    """inputs-hidden-classes.

    signed: inputs are standardised features, else from 0 to 1.
    """
    sizes = [inputs, *hidden, classes]
    if not len(weights) == len(activations) == len(sizes) - 1:
        raise ValueError(
            f"{len(hidden)} hidden layers need {len(sizes) - 1} weights and activations, not "
            f"{len(weights)} and {len(activations)}"
        )
    codecs = [codec] * len(weights) if isinstance(codec, str) else list(codec)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["flatten"] = nn.Flatten()
    layers["inputs"] = features(activations[0]) if signed else pixels(activations[0])
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes), 1):
        last = i == len(weights)
        layers[f"fc{i}"] = layer(fan_in, fan_out, weights[i - 1], codecs[i - 1], last)
        if not last:
            layers[f"bn{i}"] = nn.BatchNorm1d(fan_out)
            layers[f"relu{i}"] = relu(activations[i])
    return nn.Sequential(layers)


def layer(inputs: int, outputs: int, bits: int, codec: str, last: bool) -> nn.Module:
    """A dense layer; the last one has a bias of integers."""
    shape: dict[str, Any] = {"in_features": inputs, "out_features": outputs, "bias": last}
    if last:
        shape["bias_quant"] = Int16Bias
    if codec == "codebook":
        return CodebookLinear(codebooks=Codebooks(bits, entry_bits=bits + 1), **shape)
    if codec == "power":
        return PowerLinear(grid=PowerGrid(bits, entry_bits=bits + 1), **shape)
    if codec == "minifloat":
        exponent, mantissa = _MINIFLOATS[bits]
        quant = Fp8e4m3WeightPerTensorFloat.let(
            bit_width=bits,
            exponent_bit_width=exponent,
            mantissa_bit_width=mantissa,
            restrict_scaling_type="power_of_two",
        )
        return qnn.QuantLinear(weight_quant=quant, **shape)
    if codec in ("tiled2", "tiled4") or bits == 1:
        copies = int(codec[-1]) if codec.startswith("tiled") else 1
        return TiledLinear(tiling=Tiling(copies, min_compress_size=0), **shape)
    if codec != "plain":
        raise ValueError(f"codec {codec!r}: choose plain, codebook, power, minifloat or tiled2/4")
    return qnn.QuantLinear(
        weight_quant=Int8WeightPerChannelFixedPoint, weight_bit_width=bits, **shape
    )


def pixels(bits: int) -> nn.Module:
    """What makes inputs between 0 and 1 integers: their top bits."""
    return qnn.QuantIdentity(
        act_quant=Uint8ActPerTensorFixedPointMaxInit,
        bit_width=bits,
        max_val=1.0,
        scaling_impl_type=ScalingImplType.CONST,
        return_quant_tensor=True,
    )


def features(bits: int) -> nn.Module:
    """What makes standardised features integers."""
    return qnn.QuantIdentity(
        act_quant=Int8ActPerTensorFixedPoint, bit_width=bits, return_quant_tensor=True
    )


def relu(bits: int) -> nn.Module:
    """A ReLU with a learned scale that is a power of two."""
    return qnn.QuantReLU(
        act_quant=Uint8ActPerTensorFixedPointMaxInit,
        bit_width=bits,
        max_val=4.0,
        return_quant_tensor=True,
    )
