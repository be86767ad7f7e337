"""Learned codebooks and power grids become integer codebooks that compute what torch computes."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import Int8Bias
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from torch import nn

from bitwright.models.graph import Codebook, Conv2d, Dense, decode, stored_bits
from bitwright.models.layers import (
    CodebookConv2d,
    CodebookLinear,
    Codebooks,
    PowerConv2d,
    PowerGrid,
    PowerLinear,
)
from bitwright.models.lower import Lowered, compare, lower

torch.set_num_threads(1)

INPUTS, HIDDEN, OUTPUTS = 12, 8, 6


def codebook(inputs: int, outputs: int, bits: int, groups: int, **options: object) -> nn.Module:
    return CodebookLinear(inputs, outputs, codebooks=Codebooks(bits, groups), **options)


def power(inputs: int, outputs: int, bits: int, groups: int, **options: object) -> nn.Module:
    return PowerLinear(inputs, outputs, grid=PowerGrid(bits, exponent=0.6), **options)


KINDS = {"codebook": codebook, "power": power}


def network(kind: str, bits: int, groups: int, bias: bool) -> nn.Sequential:
    torch.manual_seed(0)
    make = KINDS[kind]
    options = {"bias": bias, "bias_quant": Int8Bias if bias else None}
    layers: list[tuple[str, nn.Module]] = [
        (
            "inp",
            qnn.QuantIdentity(
                act_quant=Int8ActPerTensorFixedPoint, bit_width=5, return_quant_tensor=True
            ),
        ),
        ("fc1", make(INPUTS, HIDDEN, bits, groups, **options)),
        ("bn", nn.BatchNorm1d(HIDDEN)),
        (
            "act",
            qnn.QuantReLU(
                act_quant=Uint8ActPerTensorFixedPoint, bit_width=3, return_quant_tensor=True
            ),
        ),
        ("fc2", make(HIDDEN, OUTPUTS, bits, groups, **options)),
    ]
    model = nn.Sequential(OrderedDict(layers))
    nn.init.uniform_(model.bn.weight, -1.5, 1.5)  # type: ignore[union-attr, arg-type]
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(20):  # weights and tables that training has moved
        optimiser.zero_grad()
        model(torch.randn(64, INPUTS)).square().mean().backward()
        optimiser.step()
    return model.eval()


def rows() -> np.ndarray:
    x = np.random.default_rng(1).normal(0, 1.0, (2000, INPUTS))
    x[:1000] = np.round(x[:1000] * 32) / 32
    return x.astype(np.float32)


def codec(lowered: Lowered, name: str) -> Codebook:
    (op,) = (node.op for node in lowered.graph.nodes if node.name == name)
    assert isinstance(op, Dense) and isinstance(op.weights, Codebook)
    return op.weights


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize(
    ("kind", "bits", "groups"),
    [("codebook", 1, 1), ("codebook", 2, 2), ("codebook", 4, 1), ("power", 2, 1), ("power", 4, 1)],
)
def test_integers_equal_torchs(kind: str, bits: int, groups: int, bias: bool) -> None:
    model = network(kind, bits, groups, bias)
    lowered = lower(model, INPUTS)
    report = compare(model, lowered, rows())
    assert report.compared == 2000 * (INPUTS + HIDDEN + OUTPUTS)
    assert (report.differing, report.differing_decisions) == (0, 0)
    for name, inputs, outputs in (("fc1", INPUTS, HIDDEN), ("fc2", HIDDEN, OUTPUTS)):
        found = codec(lowered, name)
        assert found.table.shape == (groups, 2**bits)
        low, high = int(found.table.min()), int(found.table.max())
        entry = next(w for w in range(2, 9) if -(2 ** (w - 1)) <= low and high < 2 ** (w - 1))
        assert stored_bits(found) == inputs * outputs * bits + groups * 2**bits * entry
    layer = model.get_submodule("fc1")
    assert codec(lowered, "fc1").entry_bits <= 8
    weight = layer.quant_weight()  # type: ignore[operator]
    sign = np.sign(model.bn.weight.detach().numpy())  # type: ignore[union-attr]
    assert np.array_equal(decode(codec(lowered, "fc1")), weight.int().numpy().T)
    assert (sign < 0).any()  # a falling channel, whose table must not be negated


@pytest.mark.parametrize("kind", KINDS)
def test_one_wrong_index_or_entry_is_seen(kind: str) -> None:
    model = network(kind, 3, 1, bias=False)
    lowered = lower(model, INPUTS)
    assert compare(model, lowered, rows()).differing == 0
    node = lowered.graph.nodes[0]
    right = codec(lowered, "fc1")
    sizes = np.abs(right.table[0])
    indices, table = right.indices.copy(), right.table.copy()
    indices.flat[sizes[right.indices].argmax()] = sizes.argmin()  # both nearer to zero, so that
    table[0, sizes.argmax()] -= np.sign(table[0, sizes.argmax()])  # the graph's types still hold
    for wrong in (Codebook(indices, right.table), Codebook(right.indices, table)):
        assert not np.array_equal(decode(wrong), decode(right))
        assert isinstance(node.op, Dense)
        changed = replace(node, op=replace(node.op, weights=wrong))
        graph = replace(lowered.graph, nodes=(changed, *lowered.graph.nodes[1:]))
        assert compare(model, replace(lowered, graph=graph), rows()).differing > 0


@pytest.mark.parametrize("kind", KINDS)
def test_convolutions_too(kind: str) -> None:
    torch.manual_seed(0)
    conv = (
        CodebookConv2d(2, 6, 3, padding=1, bias=False, codebooks=Codebooks(2, groups=3))
        if kind == "codebook"
        else PowerConv2d(2, 6, 3, padding=1, bias=False, grid=PowerGrid(3))
    )
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=5),
        conv,
        nn.BatchNorm2d(6),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=3, return_quant_tensor=True),
        nn.Flatten(),
        KINDS[kind](96, 5, 3, 1, bias=False),
    )
    model.train()
    for _ in range(10):
        model(torch.randn(32, 2, 4, 4))
    model.eval()
    lowered = lower(model, (2, 4, 4))
    op = lowered.graph.nodes[0].op
    assert isinstance(op, Conv2d) and isinstance(op.weights, Codebook)
    assert len(op.weights.table) == (3 if kind == "codebook" else 1)
    x = np.random.default_rng(0).normal(0, 1, (300, 2, 4, 4)).astype(np.float32)
    assert compare(model, lowered, x).differing == 0
