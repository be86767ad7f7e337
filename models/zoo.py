"""Networks that come with bitwright: the demo's, and random integer graphs of any size.

Only numpy is imported here; torch and Brevitas when the demo's network is asked for.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from bitwright.models.errors import InputError
from bitwright.models.graph import (
    Dense,
    Graph,
    IntArray,
    Interval,
    IntType,
    Node,
    Plain,
    Port,
    Requantize,
    Threshold,
    Value,
    derive_threshold,
    output_interval,
)

if TYPE_CHECKING:
    from torch import nn

    from bitwright.models.train import Recipe


def digits_mlp(seed: int = 0) -> "nn.Module":
    """The demo: a mixed-precision Brevitas MLP for scikit-learn's digits, 64-20-12-10, untrained.

    Weights of 3, 4 and 5 bits, inputs and activations of 4, 3 and 2, batch-norm after the hidden
    layers, an 8-bit integer bias. All scales are powers of two (learned for the activations, one
    per channel in the first layer), so that float32 is exact and no integer differs from torch's.
    Trained with `digits_recipe` (27 s of one core), seeds 0 to 3 reached 96.0 to 96.4 % of the test
    set, with 486 weights left; unrolled, Yosys counted 2,883 LUTs for seed 0 on Xilinx 7-series.
    """
    from collections import OrderedDict

    import torch
    from brevitas import nn as qnn
    from brevitas.inject.enum import ScalingImplType
    from brevitas.quant import Int8Bias
    from brevitas.quant.fixed_point import (
        Int8WeightPerChannelFixedPoint,
        Int8WeightPerTensorFixedPoint,
        Uint8ActPerTensorFixedPointMaxInit,
    )
    from torch import nn

    act = {"act_quant": Uint8ActPerTensorFixedPointMaxInit, "return_quant_tensor": True}
    weight = {"weight_quant": Int8WeightPerTensorFixedPoint}
    channel = {"weight_quant": Int8WeightPerChannelFixedPoint}
    torch.manual_seed(seed)
    return nn.Sequential(
        OrderedDict(
            pixels=qnn.QuantIdentity(
                bit_width=4, max_val=1.0, scaling_impl_type=ScalingImplType.CONST, **act
            ),
            fc1=qnn.QuantLinear(64, 20, bias=False, weight_bit_width=3, **channel),
            bn1=nn.BatchNorm1d(20),
            relu1=qnn.QuantReLU(bit_width=3, max_val=2.0, **act),
            fc2=qnn.QuantLinear(20, 12, bias=False, weight_bit_width=4, **weight),
            bn2=nn.BatchNorm1d(12),
            relu2=qnn.QuantReLU(bit_width=2, max_val=2.0, **act),
            fc3=qnn.QuantLinear(
                12, 10, bias=True, bias_quant=Int8Bias, weight_bit_width=5, **weight
            ),
        )
    )


def digits_recipe() -> "Recipe":
    """How the demo's network is trained and pruned."""
    from bitwright.models.train import Recipe

    return Recipe(
        epochs=60,
        batch=32,
        learning_rate=5e-3,
        noise=0.15,
        sparsity={"fc1": 0.78, "fc2": 0.5, "fc3": 0.3},
    )


def random_mlp(
    sizes: Sequence[int] = (16, 64, 32, 32, 5),
    weight_bits: Sequence[int] = (6, 4, 3, 4),
    activation_bits: Sequence[int] = (6, 5, 4, 4),
    *,
    seed: int = 0,
    density: float = 0.5,
    form: Literal["requantize", "threshold"] = "requantize",
    name: str = "random_mlp",
) -> Graph:
    """A random multi-layer perceptron, alike for equal arguments, for benchmarks and tests.

    sizes: inputs, then the outputs of every dense layer. weight_bits: one per dense layer; 1 means
    binary. activation_bits: the (signed) input's, then those of every hidden (unsigned) layer.
    density: share of weights that are not zero (binary weights never are). form: the operation
    that requantises; both compute the same, shifts chosen so that the activations fill their range.

    Raises InputError for lists whose lengths disagree.
    """
    if not len(sizes) - 1 == len(weight_bits) == len(activation_bits) >= 1:
        raise InputError(
            f"{len(sizes)} sizes need {len(sizes) - 1} weight_bits and activation_bits, "
            f"not {len(weight_bits)} and {len(activation_bits)}"
        )
    rng = np.random.default_rng(seed)
    source = Value("x", (sizes[0],), IntType(activation_bits[0], signed=True))
    first, interval = source, Interval.of_type(source)
    sample = rng.integers(source.type.min, source.type.max + 1, (256, sizes[0]))
    nodes: list[Node] = []
    for i, outputs in enumerate(sizes[1:]):
        weights = _random_weights(rng, (source.size, outputs), weight_bits[i], density)
        bias = rng.integers(-8, 9, outputs)
        dense = Dense(Plain(weights, weight_bits[i]), bias)
        placeholder = Node(dense, (source.name,), Value(f"fc{i}", (outputs,), IntType(64, True)))
        interval = output_interval(placeholder, [interval])
        made = Value(f"fc{i}", (outputs,), IntType.holding(*interval.bounds))
        nodes.append(Node(dense, (source.name,), made))
        sample = sample @ weights + bias
        if i == len(sizes) - 2:
            break
        kind = IntType(activation_bits[i + 1], signed=False)
        # Two standard deviations of the accumulator fill the output, its median is a half or less.
        shift = max(int(np.ceil(np.log2(max(2 * sample.std(), 1) / kind.max))), 0)
        centre = rng.integers(0, kind.max + 1, outputs) << shift >> 1
        requantize = Requantize(
            np.ones(outputs, np.int64), centre - np.median(sample, axis=0).astype(np.int64), shift
        )
        op: Requantize | Threshold = requantize
        if form == "threshold":
            unit = Fraction(1, 1 << shift)
            offset = [int(b) * unit for b in requantize.bias]
            op = derive_threshold([unit] * outputs, offset, 0, kind.max, "half_even", interval)
        source = Value(f"act{i}", (outputs,), kind)
        nodes.append(Node(op, (made.name,), source))
        interval = output_interval(nodes[-1], [interval])
        sample = np.rint((sample + requantize.bias) / 2.0**shift).clip(0, kind.max).astype(np.int64)
    ports = {first.name: Port(2.0**-first.type.width), nodes[-1].name: Port(2.0**-8)}
    return Graph(name, (first,), tuple(nodes), (nodes[-1].name,), ports)


def _random_weights(
    rng: np.random.Generator, shape: tuple[int, int], bits: int, density: float
) -> IntArray:
    signs: IntArray = rng.choice(np.array([-1, 1]), shape)
    if bits == 1:
        return signs
    magnitude: IntArray = rng.integers(1, IntType(bits, signed=True).max + 1, shape)
    return signs * magnitude * (rng.random(shape) < density)
