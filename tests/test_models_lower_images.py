"""Lowered convolutional networks compute the integers that torch computes, tensor by tensor."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import binary, fixed_point, shifted_scaled_int
from torch import Tensor, nn

from bitwright.models.graph import (
    Add,
    Conv2d,
    Dense,
    MaxPool,
    Plain,
    Reshape,
    Tiled,
    stored_bits,
)
from bitwright.models.layers import TiledConv2d, TiledLinear, Tiling
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
    compared = [one.tensor for one in lowered.counterparts]
    assert compared[-1] == "fc2_scaled" and {"add", "add_1", "pool", "cat"} <= set(compared)


def test_one_wrong_weight_of_a_convolution_is_found() -> None:
    model = settle(Everything(), (3, 8, 8))
    lowered = lower(model, (3, 8, 8))
    layer = model.second.conv2
    quantised = layer.quant_weight()
    with torch.no_grad():
        layer.weight.copy_(quantised.value)  # the same integers
    assert compare(model, lowered, images((3, 8, 8))).differing == 0
    with torch.no_grad():
        at = layer.weight.abs().argmin()
        layer.weight.view(-1)[at] += quantised.scale.item()
    report = compare(model, lowered, images((3, 8, 8)))
    wrong = {one.name for one in report.tensors if one.differing}
    assert wrong >= {"second_quant", "add_1", "fc2_scaled"} and "second_relu1" not in wrong


def test_sequences_are_images_of_one_row() -> None:
    def conv1d(*sizes: int, **kwargs: object) -> nn.Module:
        return qnn.QuantConv1d(*sizes, weight_quant=CHANNELS, weight_bit_width=4, **kwargs)

    model = nn.Sequential(
        identity(),
        conv1d(3, 8, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm1d(8),
        relu(),
        nn.MaxPool1d(2, padding=1),
        conv1d(8, 8, 4, padding="same", groups=8),
        relu(),
        nn.AvgPool1d(3, 2),
        conv1d(8, 6, 3, stride=2, padding="same", groups=2),
        relu(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        linear(6, 4),
    )
    lowered = assert_equal(model, (3, 40), rows=400)
    assert lowered.graph.input.shape == (1, 40, 3)
    assert {n.op.window.kernel for n in lowered.graph.nodes if isinstance(n.op, Conv2d)} == {
        (1, 5), (1, 4), (1, 3),
    }  # fmt: skip


class Flattened(nn.Module):
    """A batch-norm and a quantiser per channel behind a flattened image, and two of them joined."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.inp, self.conv, self.act = identity(), conv(2, 4), relu()
        self.bn, self.quant = nn.BatchNorm1d(4 * 6 * 5), identity()
        self.fc = layer

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(self.inp(x))).flatten(1)
        return self.fc(torch.cat([self.quant(self.bn(x)), x], dim=1))


@pytest.mark.parametrize("weights", [WEIGHT, CHANNELS, SIGNS], ids="tcs")
def test_a_dense_layer_behind_a_flattened_image_gets_its_rows_in_order(weights: type) -> None:
    bits = {} if weights is SIGNS else {"weight_bit_width": 3}
    layer = qnn.QuantLinear(240, 7, bias=True, weight_quant=weights, **bits)
    lowered = assert_equal(Flattened(layer), (2, 8, 7), rows=300)
    assert {node.kind for node in lowered.graph.nodes} >= {"reshape", "concat", "dense"}
    assert lowered.counterparts[2].order is not None  # of the quantiser behind the batch-norm


@pytest.mark.parametrize("p", [2, 4])
def test_tiles_of_whole_outputs_stay_tiles_behind_an_image(p: int) -> None:
    model = settle(tiled(Tiling(p, 100)), (3, 6, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lowered = lower(model, (3, 6, 6))
    ops = [n.op for n in lowered.graph.nodes if isinstance(n.op, Conv2d | Dense)]
    assert [type(op.weights) for op in ops] == [Plain, Tiled, Tiled, Plain]
    assert [op.weights.copies for op in ops[1:3]] == [p, p]
    assert [stored_bits(op.weights) for op in ops[1:3]] == [8 * 8 * 9 // p, 72 * 16 // p]
    report = compare(model, lowered, images((3, 6, 6)))
    assert report.differing <= 1e-4 * report.compared  # alpha is a float32 in torch


def test_a_tile_that_ends_inside_an_output_is_stored_plainly_and_that_is_told() -> None:
    model = settle(tiled(Tiling(3, 100, "single")), (3, 6, 6))
    with pytest.warns(UserWarning, match=r"l10 .*stored one by one.*compression that divides"):
        lowered = lower(model, (3, 6, 6))
    ops = [n.op for n in lowered.graph.nodes if isinstance(n.op, Conv2d | Dense)]
    assert [type(op.weights) for op in ops] == [Plain, Tiled, Plain, Plain]
    assert ops[2].weights.width == 1
    report = compare(model, lowered, images((3, 6, 6)))
    assert report.differing <= 1e-4 * report.compared


def tiled(tiling: Tiling) -> nn.Module:
    return nn.Sequential(
        identity(),
        conv(3, 8, padding=1),
        nn.BatchNorm2d(8),
        relu(),
        TiledConv2d(8, 8, 3, tiling=tiling, bias=False, padding=1),
        nn.BatchNorm2d(8),
        nn.MaxPool2d(2),
        relu(),
        nn.Dropout2d(),
        nn.Flatten(),
        TiledLinear(72, 16, bias=False, tiling=tiling),
        nn.BatchNorm1d(16),
        relu(),
        linear(16, 4),
    )


def test_one_scale_per_channel_of_an_image() -> None:
    per_channel = fixed_point.Uint8ActPerTensorFixedPoint.let(
        scaling_per_output_channel=True,
        per_channel_broadcastable_shape=(1, 4, 1, 1),
        scaling_stats_permute_dims=(1, 0, 2, 3),
    )
    act = qnn.QuantReLU(act_quant=per_channel, bit_width=3)
    model = nn.Sequential(
        identity(), conv(2, 4), act, conv(4, 4, groups=4), relu(), conv(4, 6, groups=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    settle(model, (2, 9, 9))
    scaling = act.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl
    with torch.no_grad():
        scaling.value.copy_(torch.tensor([0.0, 1.0, -1.0, 2.0]).reshape(scaling.value.shape))
        scaling.counter = 10**6
    lowered = lower(model, (2, 9, 9))
    assert_no_difference(compare(model, lowered, images((2, 9, 9))), 200)
    place = next(one for one in lowered.counterparts if one.tensor == "l2")
    assert len(set(place.scale)) == 4


def test_an_image_that_is_flattened_at_once_is_a_vector() -> None:
    model = nn.Sequential(identity(), nn.Flatten(), linear(24, 5))
    lowered = assert_equal(model, (2, 3, 4), rows=500)
    assert lowered.graph.input.shape == (24,)
    assert [node.kind for node in lowered.graph.nodes] == ["dense"]


class Reshaping(nn.Module):
    """A vector as an image of one channel, and back in several ways."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.conv, self.act = identity(), conv(1, 5), relu()
        self.again, self.fc = conv(5, 6, (4, 3)), linear(6, 3)
        self.last = relu()

    def forward(self, x: Tensor) -> Tensor:
        x = self.inp(x).view(-1, 1, 6, 5)
        x = self.last(self.again(self.act(self.conv(x))))
        return self.fc(x.squeeze(-1).squeeze(-1))


def test_reshapes_that_move_nothing() -> None:
    lowered = assert_equal(Reshaping(), (30,), rows=500)
    assert lowered.graph.input.shape == (30,)
    shapes = [n.output.shape for n in lowered.graph.nodes if isinstance(n.op, Reshape)]
    assert shapes[0] == (6, 5, 1) and shapes[-1] == (6,)


class Arithmetic(nn.Module):
    """Constants around the quantisers, as FINN's networks have them."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.conv, self.act = identity(), conv(2, 4, bias=True), relu()
        self.fc = linear(4, 3)
        self.gain = nn.Parameter(torch.tensor([1.0, -0.5, 2.0, 0.25]).reshape(4, 1, 1))
        self.register_buffer("mean", torch.tensor([0.125]))

    def forward(self, x: Tensor) -> Tensor:
        x = 2.0 * x - torch.tensor([1.0], device=x.device)
        x = 0.5 - self.conv(self.inp(x)) * self.gain
        x = self.act(x / 0.5 + self.mean)
        return self.fc(x.mean((2, 3))) * 4 - 1


def test_arithmetic_with_constants_costs_nothing() -> None:
    lowered = assert_equal(Arithmetic(), (2, 6, 6), rows=300)
    kinds = [node.kind for node in lowered.graph.nodes]
    assert kinds == ["conv2d", "threshold", "sumpool", "reshape", "dense"]
    port = lowered.graph.ports["inp"]
    assert (port.scale, port.offset) == (2.0**-4, 8.0)  # 2 x - 1 in steps of 1/8
