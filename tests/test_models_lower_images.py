"""Lowered convolutional networks compute the integers that torch computes, tensor by tensor."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import binary, fixed_point, shifted_scaled_int
from torch import Tensor, nn

from bitwright.models.graph import Add, Conv2d, Dense, MaxPool, Reshape
from bitwright.models.lower import Comparison, Lowered, compare, lower

torch.set_num_threads(1)

SIGNED = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(min_val=-2.0, max_val=2.0)
UNSIGNED = fixed_point.Uint8ActPerTensorFixedPointMaxInit.let(max_val=4.0)
BINARY = binary.SignedBinaryActPerTensorConst.let(min_val=-0.5, max_val=0.5)
SHIFTED = shifted_scaled_int.ShiftedUint8ActPerTensorFixedPoint
WEIGHT = fixed_point.Int8WeightPerTensorFixedPoint
CHANNELS = fixed_point.Int8WeightPerChannelFixedPoint
SIGNS = binary.SignedBinaryWeightPerTensorConst.let(scaling_const=0.125)


def identity(quant: type = SIGNED, **kwargs: object) -> nn.Module:
    kwargs = {"bit_width": 5, **kwargs} if quant is not BINARY else kwargs
    return qnn.QuantIdentity(act_quant=quant, **kwargs)


def relu(bits: int = 4, **kwargs: object) -> nn.Module:
    return qnn.QuantReLU(act_quant=UNSIGNED, bit_width=bits, **kwargs)


def conv(inputs: int, outputs: int, kernel: object = 3, **kwargs: object) -> nn.Module:
    kwargs = {"weight_quant": WEIGHT, "weight_bit_width": 4, "bias": False, **kwargs}
    return qnn.QuantConv2d(inputs, outputs, kernel, **kwargs)


def linear(inputs: int, outputs: int, **kwargs: object) -> nn.Module:
    return qnn.QuantLinear(
        inputs, outputs, **{"weight_quant": WEIGHT, "weight_bit_width": 4, "bias": False, **kwargs}
    )


def settle(model: nn.Module, shape: tuple[int, ...], seed: int = 0) -> nn.Module:
    """Lifelike statistics everywhere: batch-norms that fall as well as rise, biases, scales."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.5)
        if isinstance(module, (qnn.QuantConv1d, qnn.QuantConv2d, qnn.QuantLinear)):
            nn.init.normal_(module.weight, 0.0, 0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0.0, 0.3)
    model.train()
    for _ in range(10):
        model(torch.randn(16, *shape))
    return model.eval()


def images(shape: tuple[int, ...], rows: int = 200) -> np.ndarray:
    """Random, half of them on the ties and exact steps of a quarter of 1/8."""
    x = np.random.default_rng(1).normal(0, 1.5, (rows, *shape))
    x[: rows // 2] = np.round(x[: rows // 2] * 32) / 32
    x[0], x[1], x[2] = 0, 100, -100
    return x.astype(np.float32)


def assert_equal(model: nn.Module, shape: tuple[int, ...], rows: int = 200) -> Lowered:
    settle(model, shape)
    lowered = lower(model, shape)
    assert_no_difference(compare(model, lowered, images(shape, rows)), rows)
    return lowered


def assert_no_difference(report: Comparison, rows: int) -> None:
    assert {one.name: one.differing for one in report.tensors if one.differing} == {}
    assert report.differing_decisions == 0 and report.decisions == rows
    assert report.compared >= rows * len(report.tensors)


CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: conv(4, 6),
    "rectangle": lambda: conv(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)),
    "padding": lambda: conv(4, 6, padding=1),
    "same": lambda: conv(4, 6, padding="same"),
    "same, even kernel": lambda: conv(4, 6, (4, 2), padding="same"),
    "same, stride": lambda: conv(4, 6, (3, 4), stride=(2, 3), padding="same"),
    "valid": lambda: conv(4, 6, padding="valid"),
    "groups": lambda: conv(4, 6, groups=2, padding=1),
    "depthwise": lambda: conv(4, 4, groups=4, padding=1, stride=2),
    "depthwise, two filters": lambda: conv(4, 8, groups=4),
    "pointwise": lambda: conv(4, 7, 1),
    "per channel": lambda: conv(4, 6, weight_quant=CHANNELS, bias=True),
    "binary": lambda: qnn.QuantConv2d(4, 6, 3, weight_quant=SIGNS, bias=True, padding=1),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("act", [SIGNED, UNSIGNED, BINARY, SHIFTED], ids="sub0")
def test_convolutions(case: str, act: type) -> None:
    """A zero of the padding is a real zero, which binary and shifted integers do not have."""
    layer = CONVOLUTIONS[case]()
    model = nn.Sequential(
        identity(act), layer, nn.BatchNorm2d(layer.out_channels), relu(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), linear(layer.out_channels, 3),
    )  # fmt: skip
    lowered = assert_equal(model, (4, 8, 7))
    node = next(n for n in lowered.graph.nodes if isinstance(n.op, Conv2d))
    assert node.op.groups == layer.groups
    centred = any(n.name == "l1_centred" for n in lowered.graph.nodes)
    assert centred == (node.op.window.pads and act in (BINARY, SHIFTED))


class Residual(nn.Module):
    """Two convolutions beside a shortcut with weights of its own, all of different scales."""

    def __init__(self, inputs: int, outputs: int, stride: int, **weights: object) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, stride=stride, padding=1, **weights)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = relu()
        self.conv2 = conv(outputs, outputs, padding=1, **weights)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.quant = identity(bit_width=4)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                conv(inputs, outputs, 1, stride=stride), nn.BatchNorm2d(outputs), identity()
            )
        self.relu2 = relu(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.quant(self.bn2(self.conv2(y))) + self.shortcut(x))


class Everything(nn.Module):
    """Residual blocks, a pool, two branches joined, a flattened image and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inp = identity()
        self.first, self.second = Residual(3, 4, 1), Residual(4, 6, 2, groups=2)
        self.pool = nn.MaxPool2d(2)
        self.depthwise = conv(6, 6, padding=1, groups=6)
        self.act = relu()
        self.fc1, self.bn, self.fc2 = linear(48, 9), nn.BatchNorm1d(9), linear(9, 5, bias=True)
        self.last = relu(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.second(self.first(self.inp(x))))
        x = torch.cat([x, self.act(self.depthwise(x))], dim=1)
        return self.fc2(self.last(self.bn(self.fc1(torch.flatten(x, 1)))))


def test_branches_pools_and_a_flattened_image() -> None:
    lowered = assert_equal(Everything(), (3, 8, 8), rows=300)
    kinds = {type(node.op) for node in lowered.graph.nodes}
    assert kinds >= {Conv2d, Add, MaxPool, Reshape, Dense}
    assert lowered.graph.input.shape == (8, 8, 3)
    adds = [node.op.multipliers for node in lowered.graph.nodes if isinstance(node.op, Add)]
    assert adds[0] != adds[1] or adds[0] != (1, 1)  # scales differ
