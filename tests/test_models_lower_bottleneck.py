"""Bitwise bottlenecks become bit planes and a lookup, and compute what torch computes."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn

from bitwright.models.graph import BitPlanes, Lookup
from bitwright.models.layers import BitQuantiser, BitwiseBottleneck
from bitwright.models.lower import compare, lower


def network(quantiser: BitQuantiser | None, behind_quantiser: bool = True) -> nn.Module:
    torch.manual_seed(0)
    weight = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 4, "bias": False}
    relu = (
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=5, return_quant_tensor=True)
        if behind_quantiser
        else nn.Identity()
    )
    model = nn.Sequential(
        qnn.QuantIdentity(
            act_quant=Int8ActPerTensorFixedPoint, bit_width=5, return_quant_tensor=True
        ),
        qnn.QuantLinear(12, 16, **weight),
        relu,
        BitwiseBottleneck(quantiser),
        qnn.QuantLinear(16, 5, **weight),
    )
    model.train()
    for _ in range(10):
        model(torch.randn(64, 12))
    return model.eval()


def step_of(model: nn.Module) -> float:
    return float(model[2].act_quant.scale())


@pytest.mark.parametrize("behind_quantiser", [True, False])
@pytest.mark.parametrize(
    ("planes", "coefficients", "fraction_bits"),
    [((1, 3, 4), (3, 9, 15), 0), ((2, 4), (11, 35), 1), ((4,), (16,), 0)],
)
def test_planes_are_kept_and_no_integer_differs(
    planes: tuple[int, ...],
    coefficients: tuple[int, ...],
    fraction_bits: int,
    behind_quantiser: bool,
) -> None:
    step = step_of(network(None)) if behind_quantiser else 0.0625
    quantiser = BitQuantiser(step, 5, planes, coefficients, fraction_bits)
    model = network(quantiser, behind_quantiser)
    lowered = lower(model, 12)
    ops = [node.op for node in lowered.graph.nodes]
    kept = next(node for node in lowered.graph.nodes if isinstance(node.op, BitPlanes))
    assert kept.output.type.width == len(planes)  # what a stream carries
    assert any(isinstance(op, Lookup) for op in ops)
    x = np.random.default_rng(0).normal(0, 1, (3000, 12)).astype(np.float32)
    result = compare(model, lowered, x)
    assert result.differing == 0
    assert result.compared >= 3000 * (12 + 16 + 5)
    other = compare(network(BitQuantiser(step, 5, (0, 1), (1, 2), 0), behind_quantiser), lowered, x)
    assert other.differing > 0  # the comparison can fail


def test_a_uniform_bottleneck_adds_nothing_to_the_graph() -> None:
    model = network(BitQuantiser.uniform(step_of(network(None)), 5))
    kinds = {type(node.op) for node in lower(model, 12).graph.nodes}
    assert not kinds & {BitPlanes, Lookup}


def test_a_uniform_bottleneck_of_fewer_bits_takes_the_place_of_the_activation() -> None:
    model = network(None)
    model[3] = qnn.QuantIdentity(act_quant=Uint8ActPerTensorFixedPoint, bit_width=2)
    model.train()
    for _ in range(10):
        model(torch.randn(64, 12))
    lowered = lower(model.eval(), 12)
    kinds = [node.kind for node in lowered.graph.nodes]
    assert kinds == ["dense", "threshold", "dense"]
    assert str(lowered.graph.nodes[1].output.type) == "u2"
    x = np.random.default_rng(0).normal(0, 1, (3000, 12)).astype(np.float32)
    assert compare(model, lowered, x).differing == 0
