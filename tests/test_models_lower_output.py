"""The output port: one scale, integers that compare as the model's reals do."""

from collections import OrderedDict
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import binary, fixed_point, scaled_int
from torch import nn

from bitwright.models.graph import (
    Dense,
    IntType,
    Plain,
    Port,
    Requantize,
    Value,
    dequantise,
    evaluate,
    weight_width,
)
from bitwright.models.graph.boundary import quantise
from bitwright.models.graph.ranges import Interval
from bitwright.models.lower import compare, lower
from bitwright.models.lower.edges import Edge
from bitwright.models.lower.linear import dense
from bitwright.models.lower.output import Output, common_scale

torch.set_num_threads(1)


def sums(scale: list[Fraction], bias: list[Fraction], width: int = 4) -> Edge:
    """Three inputs, one dense layer with weights 1, and one output for each scale and bias."""
    value = Value("x", (3,), IntType(width, signed=True))
    one = (Fraction(1),) * 3
    start = Edge(value, Interval.of_type(value), one, (Fraction(0),) * 3, quantised=True)
    ones = np.ones((3, len(scale)), dtype=np.int64)
    return dense(start, "fc", Plain(ones, 2), scale, bias)


def reals(edge: Edge) -> list[Fraction]:
    """What 1 means in every channel."""
    return [s + o for s, o in zip(edge.scale, edge.offset, strict=True)]


def meant(output: Output) -> list[Fraction]:
    """What the port says that 1 means in every channel."""
    scale, offset = Fraction(output.port.scale), Fraction(output.port.offset)
    return [
        scale * (int(m) + int(b) + offset)
        for m, b in zip(output.multiplier, output.bias, strict=True)
    ]


def test_one_scale_costs_nothing() -> None:
    edge = sums([Fraction(3, 8)] * 3, [Fraction(0)] * 3)
    output = common_scale(edge, None)
    assert output.edge is edge
    assert output.port == Port(0.375, 0.0)


def test_a_common_offset_is_the_ports() -> None:
    edge = sums([Fraction(1, 4)] * 3, [Fraction(7, 12)] * 3)
    output = common_scale(edge, None)
    assert output.edge is edge
    assert output.port == Port(0.25, float(Fraction(7, 3)))


def test_whole_biases_go_into_the_layer() -> None:
    edge = sums([Fraction(1, 4)] * 3, [Fraction(1, 2), Fraction(0), Fraction(-9, 4)])
    output = common_scale(edge, None)
    assert isinstance(output.edge.node.op, Dense)
    assert output.edge.node.op.bias.tolist() == [2, 0, -9]
    assert output.edge.node.op.weights.width == 2
    assert output.port == Port(0.25)


@pytest.mark.parametrize("bits", [1, 4, 9])
def test_dyadic_biases_are_exact(bits: int) -> None:
    edge = sums([Fraction(1)] * 3, [Fraction(1, 1 << bits), Fraction(0), Fraction(-3)])
    output = common_scale(edge, None)
    assert output.port == Port(2.0**-bits)
    assert meant(output) == reals(edge)
    # The weights are stored as they are, and the shift comes behind the product.
    product = output.edge.sources[0].node.op
    assert product.weights.values[0].tolist() == [1] * 3
    assert product.weights.width == 2
    assert product.bias.tolist() == [0, 0, -3]
    assert output.edge.node.op.multiplier.tolist() == [1 << bits] * 3
    assert output.edge.node.op.bias.tolist() == [1, 0, 0]


def test_other_biases_are_rounded_finely() -> None:
    biases = [Fraction(1, 3), Fraction(-5, 7), Fraction(2, 9)]
    edge = sums([Fraction(1, 64)] * 3, [b / 64 for b in biases])
    output = common_scale(edge, None)
    assert output.port.scale == 2.0**-15
    for exact, rounded in zip(reals(edge), meant(output), strict=True):
        assert 0 < abs(exact - rounded) < Fraction(1, 64) / 512


def test_close_biases_get_more_bits_until_no_comparison_changes() -> None:
    close = [Fraction(1, 3), Fraction(1, 3) + Fraction(1, 100000), Fraction(4, 3)]
    output = common_scale(sums([Fraction(1)] * 3, close), None)
    assert output.port.scale < 2.0**-10
    ours = [int(b) * Fraction(output.port.scale) for b in output.bias]
    for a, b in permutations(range(3), 2):
        exact, rounded = close[a] - close[b], ours[a] - ours[b]
        for difference in range(-3, 4):
            assert (difference < exact) == (difference < rounded)
            assert (difference == exact) == (difference == rounded)


def test_a_fraction_near_one_does_not_meet_one_near_zero() -> None:
    output = common_scale(sums([Fraction(1)] * 2, [Fraction(4095, 4096), Fraction(0)]), None)
    assert output.bias[0] - output.bias[1] < 1 / output.port.scale


def test_power_of_two_ratios_are_shifts_behind_the_product() -> None:
    scale = [Fraction(1, 8), Fraction(-1, 2), Fraction(0), Fraction(1, 4)]
    edge = sums(scale, [Fraction(0), Fraction(1, 16), Fraction(1), Fraction(0)])
    output = common_scale(edge, None)
    assert output.edge.name == "fc_scaled"
    product = output.edge.sources[0].node.op
    assert product.weights.values[0].tolist() == [1, -1, 1, 1]  # a sign costs nothing there
    assert product.weights.width == 2
    assert output.edge.node.op.multiplier.tolist() == [2, 8, 0, 4]
    assert output.edge.node.op.bias.tolist() == [0, 1, 16, 0]
    assert output.port == Port(1 / 16)
    assert meant(output) == reals(edge)


def test_small_integer_ratios_are_exact_multiplications() -> None:
    edge = sums([Fraction(3, 8), Fraction(5, 8)], [Fraction(1, 16), Fraction(0)])
    output = common_scale(edge, None)
    assert isinstance(output.edge.node.op, Requantize)
    assert output.edge.name == "fc_scaled"
    assert output.edge.node.op.multiplier.tolist() == [6, 10]
    assert meant(output) == reals(edge)


@pytest.mark.parametrize("bits", [None, 6, 12])
def test_other_ratios_are_as_exact_as_their_multipliers(bits: int | None) -> None:
    scale = [Fraction(0.1), Fraction(0.0777), Fraction(-0.03)]
    edge = sums(scale, [Fraction(0.3), Fraction(0), Fraction(-1, 7)])
    output = common_scale(edge, bits)
    width = edge.value.type.width + 4 if bits is None else bits
    assert abs(output.multiplier).max() == 1 << width
    unit = max(abs(s) for s in scale) / (1 << width)
    for exact, rounded in zip(reals(edge), meant(output), strict=True):
        assert abs(exact - rounded) <= unit * Fraction(101, 100)


def test_the_reals_behind_a_quantised_output() -> None:
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=scaled_int.Int8ActPerTensorFloat),
        nn.BatchNorm1d(6),
        qnn.QuantIdentity(act_quant=scaled_int.Int8ActPerTensorFloat, bit_width=5),
    )
    for _ in range(20):
        model(torch.randn(50, 6))
    lowered = lower(model.eval(), 6)
    x = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
    found = dequantise(lowered.graph, evaluate(lowered.graph, quantise(lowered.graph, x)))
    with torch.no_grad():
        np.testing.assert_allclose(found, model(torch.from_numpy(x)), rtol=1e-6, atol=1e-7)


def classifier(last: nn.Module, *after: nn.Module) -> nn.Sequential:
    """A binary hidden layer, and a layer to end with."""
    torch.manual_seed(3)
    model = nn.Sequential(
        OrderedDict(
            inp=qnn.QuantIdentity(act_quant=fixed_point.Int8ActPerTensorFixedPoint, bit_width=4),
            fc1=qnn.QuantLinear(8, 9, bias=False, weight_bit_width=3),
            bn=nn.BatchNorm1d(9),
            act=qnn.QuantIdentity(
                act_quant=binary.SignedBinaryActPerTensorConst, return_quant_tensor=True
            ),
            last=last,
        )
    )
    for i, module in enumerate(after):
        model.add_module(f"after{i}", module)
    for _ in range(20):
        model(torch.randn(50, 8))
    return model.eval()


POWER = fixed_point.Int8WeightPerTensorFixedPoint
CHANNELS = fixed_point.Int8WeightPerChannelFixedPoint
BINARY = binary.SignedBinaryWeightPerTensorConst.let(scaling_const=0.125)


@pytest.mark.parametrize(
    ("make", "fraction_bits"),
    [
        (lambda: classifier(qnn.QuantLinear(9, 4, bias=False, weight_quant=POWER)), 1),
        (lambda: classifier(qnn.QuantLinear(9, 4, bias=False, weight_quant=BINARY)), 1),
        (lambda: classifier(qnn.QuantLinear(9, 4, bias=True, weight_quant=CHANNELS)), 9),
        (
            lambda: classifier(
                qnn.QuantLinear(
                    9,
                    4,
                    bias=True,
                    weight_quant=CHANNELS,
                    bias_quant=scaled_int.Int16Bias,
                )
            ),
            1,
        ),
        (lambda: classifier(qnn.QuantLinear(9, 4, bias=True)), 9),
        (
            lambda: classifier(
                qnn.QuantLinear(9, 4, bias=True, weight_quant=scaled_int.Int8WeightPerChannelFloat)
            ),
            None,
        ),
        (
            lambda: classifier(
                qnn.QuantLinear(9, 4, bias=False, weight_quant=BINARY), nn.BatchNorm1d(4)
            ),
            None,
        ),
    ],
    ids=["po2", "binary", "po2 channels", "int bias", "float", "float channels", "last bn"],
)
def test_outputs_compare_as_torchs_do(make, fraction_bits: int | None) -> None:
    model = make()
    lowered = lower(model, 8)
    x = np.random.default_rng(0).normal(0, 2, (4000, 8)).astype(np.float32)
    report = compare(model, lowered, x)
    assert report.differing == report.differing_decisions == 0
    *_, product, last = lowered.graph.nodes
    assert last.kind == "requantize"
    assert weight_width(product.op.weights) == model.last.weight_quant.bit_width()  # its own bits
    last = lowered.counterparts[-1]
    scale = np.abs(last.scale[last.scale != 0])
    if fraction_bits is not None:
        finest = scale.min() / lowered.graph.ports[lowered.graph.output.name].scale
        assert 2**fraction_bits == pytest.approx(finest) or fraction_bits == 9
        assert report.largest_output_error < scale.min() * 2**-9
    else:
        assert report.largest_output_error < scale.max() / 16


def test_one_output_decides_by_its_sign() -> None:
    model = classifier(qnn.QuantLinear(9, 1, bias=True, weight_quant=POWER))
    x = np.random.default_rng(0).normal(0, 2, (1000, 8)).astype(np.float32)
    with torch.no_grad():
        y = (model(torch.from_numpy(x))[:, 0] >= 0).numpy()
    report = compare(model, lower(model, 8), x, y)
    assert report.accuracy_torch == report.accuracy_reference == 1.0
    assert report.differing_decisions == 0
