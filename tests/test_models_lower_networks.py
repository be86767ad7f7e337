"""Whole networks that people use are lowered, and no integer of any tensor differs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import fixed_point
from brevitas_examples.bnn_pynq.models.CNV import CNV
from brevitas_examples.bnn_pynq.models.FC import FC
from brevitas_examples.imagenet_classification.models.mobilenetv1 import MobileNet
from torch import Tensor, nn

from bitwright.models.graph import Add, Conv2d, Dense, Port, SumPool
from bitwright.models.lower import Comparison, Lowered, compare, load_model, lower

torch.set_num_threads(1)


def settled(model: nn.Module, x: np.ndarray, train: int = 24) -> nn.Module:
    """Statistics of the data itself, and batch-norms that are not the identity."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
    model.train()
    for _ in range(4):
        model(torch.from_numpy(x[:train]))
    return model.eval()


def normal(shape: tuple[int, ...], rows: int = 60) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (rows, *shape)).astype(np.float32)


def uniform(shape: tuple[int, ...], rows: int = 60) -> np.ndarray:
    return np.random.default_rng(0).random((rows, *shape)).astype(np.float32)


def assert_equal(model: nn.Module, x: np.ndarray) -> tuple[Lowered, Comparison]:
    lowered = lower(settled(model, x), x.shape[1:])
    report = compare(model, lowered, x)
    assert {one.name: one.differing for one in report.tensors if one.differing} == {}
    assert report.differing_decisions == 0 and report.decisions == len(x)
    return lowered, report


TINY = {"images": (3, 32, 32), "keywords": (1, 49, 10), "anomalies": (640,)}


@pytest.mark.parametrize("name", TINY)
def test_the_networks_of_mlperf_tiny(name: str, root: Path) -> None:
    model = load_model(f"{root}/examples/mlperf_tiny.py:{name}", arguments={"width": 8})
    lowered, report = assert_equal(model, normal(TINY[name]))
    ops = [node.op for node in lowered.graph.nodes]
    convs = [op for op in ops if isinstance(op, Conv2d)]
    match name:
        case "images":
            assert len(convs) == 9 and sum(isinstance(op, Add) for op in ops) == 3
        case "keywords":
            assert [op.groups for op in convs] == [1, *(8, 1) * 4]
            assert convs[0].window.padding == (4, 1, 5, 1)
        case _:
            assert not convs and sum(isinstance(op, Dense) for op in ops) == 10
    assert any(isinstance(op, SumPool) for op in ops) == bool(convs)
    assert report.compared > 60 * 1000


def test_a_resnet_of_twenty_layers() -> None:
    lowered, _ = assert_equal(Resnet20(4), normal((3, 16, 16), 40))
    kinds = [node.kind for node in lowered.graph.nodes]
    assert kinds.count("conv2d") == 19 + 2 and kinds.count("dense") == 1
    assert kinds.count("add") == 9


class Resnet20(nn.Module):
    """Three stages of three blocks; every branch has a scale of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inp = _quant(6)
        self.first = nn.Sequential(_conv(3, width), nn.BatchNorm2d(width), _relu())
        blocks = []
        inputs = width
        for stage in range(3):
            for i in range(3):
                outputs = width << stage
                blocks.append(_Block(inputs, outputs, 2 if stage and not i else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), _linear(inputs, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.first(self.inp(x)))
        return self.fc(torch.flatten(self.pool(x), 1))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(inputs, outputs, stride), nn.BatchNorm2d(outputs), _relu(),
            _conv(outputs, outputs), nn.BatchNorm2d(outputs), _quant(5),
        )  # fmt: skip
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                _conv(inputs, outputs, stride, 1), nn.BatchNorm2d(outputs), _quant(4)
            )
        self.relu = _relu()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


def _quant(bits: int) -> nn.Module:
    return qnn.QuantIdentity(act_quant=fixed_point.Int8ActPerTensorFixedPoint, bit_width=bits)


def _relu() -> nn.Module:
    return qnn.QuantReLU(act_quant=fixed_point.Uint8ActPerTensorFixedPoint, bit_width=4)


def _conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Module:
    return qnn.QuantConv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False,
        weight_quant=fixed_point.Int8WeightPerChannelFixedPoint, weight_bit_width=4,
    )  # fmt: skip


def _linear(inputs: int, outputs: int) -> nn.Module:
    weight = fixed_point.Int8WeightPerTensorFixedPoint
    return qnn.QuantLinear(inputs, outputs, bias=True, weight_quant=weight, weight_bit_width=4)


@pytest.mark.parametrize("bits", [(1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 2, 2)], ids=str)
def test_finns_own_network_of_dense_layers(bits: tuple[int, int, int]) -> None:
    """With its 2 x - 1 in front and its normalisation of all scores behind.

    bits: of weights, activations and the input. One bit is the sign of 2 x - 1, and that of zero is
    positive: pixels of exactly 1/2, and their neighbours in float32, are among the inputs.
    """
    model = FC(10, *bits, 1, [64, 64, 64])
    x = uniform((1, 28, 28), 200)
    half = np.float32(0.5)
    x[:, :, ::4] = np.resize([half, np.nextafter(half, half - 1), np.nextafter(half, half + 1)], 28)
    lowered, _ = assert_equal(model, x)
    port = lowered.graph.ports[lowered.graph.input.name]
    assert port == (Port(1.0, 0.0, binary=True) if bits[-1] == 1 else Port(0.5, 1.0))


def test_finns_own_network_of_convolutions_in_full() -> None:
    """1.5 million binary weights."""
    lowered, report = assert_equal(CNV(10, 1, 1, 8, 3), uniform((3, 32, 32), 24))
    weights = sum(
        node.op.weights.values.size
        for node in lowered.graph.nodes
        if isinstance(node.op, Conv2d | Dense)
    )
    assert weights == 1_542_848
    assert report.compared == 24 * sum(
        lowered.graph.values[one.tensor].size for one in lowered.counterparts
    )


def test_brevitas_mobilenet_with_floating_scales_per_channel() -> None:
    """Scales of channels end in the depthwise layers' thresholds; the average is truncated."""
    network = MobileNet([[8], [16], [24, 24]], True, 4, 4, avg_pool_kernel_size=4, num_classes=7)
    model = nn.Sequential(qnn.QuantIdentity(return_quant_tensor=True), network)
    x = uniform((3, 32, 32), 50)
    lowered = lower(settled(model, x), x.shape[1:])
    report = compare(model, lowered, x)
    assert report.differing <= 1e-4 * report.compared
    assert report.differing_decisions == 0
    widths = [n.op.weights.width for n in lowered.graph.nodes if isinstance(n.op, Conv2d)]
    assert widths == [8, *[4] * 6]
