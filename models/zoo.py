"""Networks that come with bitwright: the demo's, FINN's CNV, and random integer graphs of any size.

Only numpy is imported here; torch and Brevitas when a network of theirs is asked for.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from bitwright.models.errors import InputError
from bitwright.models.graph import (
    Add,
    ArgMax,
    Builder,
    Conv2d,
    Dense,
    Graph,
    IntArray,
    Interval,
    IntType,
    MaxPool,
    Node,
    Plain,
    Port,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    Value,
    Window,
    derive_threshold,
    evaluate,
    output_interval,
)

if TYPE_CHECKING:
    from torch import nn

    from bitwright.models.train import Recipe


Spread = Literal["even", "bell"]
"""How the magnitudes of random weights are spread."""


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


def cnv(
    weight_bits: int = 1,
    activation_bits: int = 1,
    *,
    width: int = 64,
    classes: int = 10,
    seed: int = 0,
) -> "nn.Module":
    """FINN's CNV for 32 x 32 colour images between 0 and 1, untrained (arXiv 1612.07119).

    Six 3 x 3 convolutions without padding, of width, width, 2, 2, 4 and 4 x width channels, a
    maximum over 2 x 2 behind the second and the fourth, and three dense layers of 8 x width, 8 x
    width and `classes` outputs; batch-norm and a quantiser behind each but the last. One bit means
    binary, -1 and +1; all scales are powers of two. 1.5 million weights at the default width.
    """
    import torch
    from brevitas import nn as qnn
    from brevitas.inject.enum import ScalingImplType
    from brevitas.quant import binary, fixed_point
    from torch import nn

    torch.manual_seed(seed)
    weight: dict[str, object] = {
        "weight_quant": fixed_point.Int8WeightPerTensorFixedPoint,
        "weight_bit_width": weight_bits,
    }
    if weight_bits == 1:
        weight = {"weight_quant": binary.SignedBinaryWeightPerTensorConst.let(scaling_const=1.0)}
    signed = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(
        min_val=-1.0, max_val=1.0, scaling_impl_type=ScalingImplType.CONST
    )

    def quantiser(bits: int) -> nn.Module:
        made: nn.Module = qnn.QuantIdentity(act_quant=signed, bit_width=bits)
        if bits == 1:
            one = binary.SignedBinaryActPerTensorConst.let(min_val=-1.0, max_val=1.0)
            made = qnn.QuantIdentity(act_quant=one)
        return made

    pixels = fixed_point.Uint8ActPerTensorFixedPointMaxInit.let(
        max_val=1.0, scaling_impl_type=ScalingImplType.CONST
    )
    layers: list[nn.Module] = [qnn.QuantIdentity(act_quant=pixels, bit_width=8)]
    inputs = 3
    for i, outputs in enumerate((width, width, 2 * width, 2 * width, 4 * width, 4 * width)):
        layers += [
            qnn.QuantConv2d(inputs, outputs, 3, bias=False, **weight),
            nn.BatchNorm2d(outputs),
            quantiser(activation_bits),
        ]
        layers += [nn.MaxPool2d(2)] if i in (1, 3) else []
        inputs = outputs
    layers.append(nn.Flatten())
    for outputs in (8 * width, 8 * width):
        layers += [
            qnn.QuantLinear(inputs, outputs, bias=False, **weight),
            nn.BatchNorm1d(outputs),
            quantiser(activation_bits),
        ]
        inputs = outputs
    layers.append(qnn.QuantLinear(inputs, classes, bias=False, **weight))
    return nn.Sequential(*layers)


def random_mlp(
    sizes: Sequence[int] = (16, 64, 32, 32, 5),
    weight_bits: Sequence[int] = (6, 4, 3, 4),
    activation_bits: Sequence[int] = (6, 5, 4, 4),
    *,
    seed: int = 0,
    density: float = 0.5,
    spread: Spread = "even",
    form: Literal["requantize", "threshold"] = "requantize",
    name: str = "random_mlp",
) -> Graph:
    """A random multi-layer perceptron, alike for equal arguments, for benchmarks and tests.

    sizes: inputs, then the outputs of every dense layer. weight_bits: one per dense layer; 1 means
    binary. activation_bits: the (signed) input's, then those of every hidden (unsigned) layer.
    density: share of weights that are not zero (binary weights never are). spread: even over all
    magnitudes, or a bell without its middle, as of a trained layer that was pruned. form: the
    operation that requantises; both compute the same, shifts chosen so that the activations fill
    their range.

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
        weights = _random_weights(rng, (source.size, outputs), weight_bits[i], density, spread)
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


def random_cnn(
    shape: tuple[int, int, int] = (8, 8, 3),
    channels: Sequence[int] = (8, 16),
    *,
    weight_bits: int = 4,
    activation_bits: int = 4,
    pooling: Literal["none", "max", "sum"] = "max",
    residual: bool = False,
    depthwise: bool = False,
    padding: bool = True,
    classes: int = 5,
    seed: int = 0,
    density: float = 0.5,
    spread: Spread = "even",
    form: Literal["requantize", "threshold"] = "requantize",
    decide: bool = False,
    name: str = "random_cnn",
) -> Graph:
    """A random convolutional network, alike for equal arguments, for benchmarks and tests.

    shape: of the (signed) input, (rows, columns, channels). channels: of every stage, which is a
    3 x 3 convolution, or with `depthwise` one of each channel and one of 1 x 1 behind it; with
    `residual` a second one beside which the first's result is added, in other units; and a pool
    over 2 x 2. padding: by one, so that a convolution keeps the image's size; residual ones always
    are. The last image is flattened for a dense layer of `classes` outputs, and `decide` names the
    largest. weight_bits, activation_bits, density, spread, form: as for `random_mlp`.

    Raises GraphError where an image becomes smaller than a kernel.
    """
    rng = np.random.default_rng(seed)
    b = Builder(name)
    x = b.input("x", shape, IntType(activation_bits, signed=True))
    sample = rng.integers(x.type.min, x.type.max + 1, (16, *shape))
    first, kind = x, IntType(activation_bits, signed=False)

    def requantised(name: str, sums: Value) -> Value:
        """Two standard deviations of the sums fill the result, whose median is half of it."""
        seen = evaluate(b.graph(sums), sample).reshape(-1, sums.channels)
        shift = max(int(np.ceil(np.log2(max(2 * seen.std(), 1) / kind.max))), 0)
        bias = (kind.max << shift >> 1) - np.median(seen, axis=0).astype(np.int64)
        ones = np.ones(sums.channels, np.int64)
        op: Requantize | Threshold = Requantize(ones, bias, shift)
        if form == "threshold":
            unit = Fraction(1, 1 << shift)
            offset = [int(n) * unit for n in bias]
            op = derive_threshold(
                [unit] * sums.channels, offset, 0, kind.max, "half_even", b.interval(sums)
            )
        return b.add(name, op, sums, kind=kind)

    def convolved(name: str, source: Value, outputs: int, size: int, groups: int = 1) -> Value:
        window = Window((size, size))
        if size == 3 and (padding or name.startswith("res")):
            window = Window((3, 3), padding=(1, 1, 1, 1))
        taps = source.channels // groups * size * size
        weights = _random_weights(rng, (taps, outputs), weight_bits, density, spread)
        conv = Conv2d(Plain(weights, weight_bits), rng.integers(-8, 9, outputs), window, groups)
        return requantised(f"{name}_act", b.add(name, conv, source))

    def block(name: str, source: Value, outputs: int) -> Value:
        if not depthwise:
            return convolved(name, source, outputs, 3)
        source = convolved(f"{name}_depth", source, source.channels, 3, source.channels)
        return convolved(f"{name}_point", source, outputs, 1)

    for i, outputs in enumerate(channels):
        x = block(f"conv{i}", x, outputs)
        if residual:
            branch = block(f"res{i}", x, outputs)
            x = requantised(f"join{i}_act", b.add(f"join{i}", Add((2, 3)), x, branch))
        if pooling == "max":
            x = b.add(f"pool{i}", MaxPool(Window((2, 2), (2, 2))), x)
        elif pooling == "sum":
            total = b.add(f"pool{i}", SumPool(Window((2, 2), (2, 2))), x)
            x = requantised(f"pool{i}_act", total)
    x = b.add("flat", Reshape(), x, shape=(x.size,))
    weights = _random_weights(rng, (x.size, classes), weight_bits, density, spread)
    usual = np.median(evaluate(b.graph(x), sample) @ weights, axis=0).astype(np.int64)
    x = b.add("scores", Dense(Plain(weights, weight_bits), -usual), x)
    if decide:
        x = b.add("best", ArgMax(), x)
    ports = {first.name: Port(2.0**-activation_bits), x.name: Port(1.0 if decide else 2.0**-8)}
    return b.graph(x, ports=ports)


def _random_weights(
    rng: np.random.Generator, shape: tuple[int, int], bits: int, density: float, spread: Spread
) -> IntArray:
    signs: IntArray = rng.choice(np.array([-1, 1]), shape)
    if bits == 1:
        return signs
    largest = IntType(bits, signed=True).max
    if spread == "bell":  # the largest is at two and a half standard deviations
        drawn = np.abs(rng.standard_normal(shape))
        bell: IntArray = np.rint(drawn / 2.5 * largest).clip(1, largest).astype(np.int64)
        bell[drawn < np.quantile(drawn, 1 - density)] = 0
        return signs * bell
    magnitude: IntArray = rng.integers(1, largest + 1, shape)
    return signs * magnitude * (rng.random(shape) < density)
