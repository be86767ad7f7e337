"""A Brevitas model lowered directly and through its ONNX export gives the same integers."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from brevitas import nn as qnn
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import binary, fixed_point, scaled_int, shifted_scaled_int
from torch import nn

from bitwright.models.graph import ArgMax, Graph, evaluate, quantise
from bitwright.models.lower import Lowered, lower
from bitwright.models.lower.onnx import lower_onnx

torch.set_num_threads(1)

FEATURES = 10
IMAGE = (3, 12, 10)

Act = Any
SIGNED = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(min_val=-2.0, max_val=2.0)
UNSIGNED = fixed_point.Uint8ActPerTensorFixedPointMaxInit.let(max_val=4.0)
SIGNED_FLOAT = scaled_int.Int8ActPerTensorFloatMinMaxInit.let(min_val=-1.9, max_val=2.1)
UNSIGNED_FLOAT = scaled_int.Uint8ActPerTensorFloatMaxInit.let(max_val=3.7)
SHIFTED = shifted_scaled_int.ShiftedUint8ActPerTensorFloat
BIPOLAR = binary.SignedBinaryActPerTensorConst.let(min_val=-0.5, max_val=0.5)


def settle(model: nn.Module, shape: tuple[int, ...], seed: int = 0) -> nn.Module:
    """Lifelike statistics: batch-norms that fall as well as rise, biases, scales from data."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.5)
    model.train()
    for _ in range(8):
        model(torch.randn(16, *shape))
    return model.eval()


def linear(inputs: int, outputs: int, **settings: object) -> nn.Module:
    given = {"weight_quant": scaled_int.Int8WeightPerTensorFloat, "weight_bit_width": 4}
    return qnn.QuantLinear(inputs, outputs, **{"bias": True, **given, **settings})


def conv(inputs: int, outputs: int, kernel: int, **settings: object) -> nn.Module:
    given = {"weight_quant": scaled_int.Int8WeightPerTensorFloat, "weight_bit_width": 4}
    return qnn.QuantConv2d(inputs, outputs, kernel, **{"bias": False, **given, **settings})


def source(quant: Act = SIGNED, **settings: object) -> nn.Module:
    return qnn.QuantIdentity(act_quant=quant, return_quant_tensor=True, **settings)


def relu(bits: int = 3, quant: Act = UNSIGNED) -> nn.Module:
    return qnn.QuantReLU(act_quant=quant, bit_width=bits, return_quant_tensor=True)


def mlp(**settings: object) -> nn.Module:
    return nn.Sequential(
        source(), linear(FEATURES, 9, **settings), nn.BatchNorm1d(9), relu(), linear(9, 5)
    )


def quantised_bias() -> nn.Module:
    return nn.Sequential(
        source(SIGNED_FLOAT),
        linear(FEATURES, 9, bias_quant=scaled_int.Int16Bias),
        relu(5, UNSIGNED_FLOAT),
        linear(9, 4, bias_quant=scaled_int.Int8BiasPerTensorFloatInternalScaling),
    )


def two_bits_everywhere(weight: Act, act: Act) -> nn.Module:
    """FINN's TFC, small: sign or two-bit weights and activations."""
    layers: list[nn.Module] = [nn.Flatten(), source(SIGNED)]
    for inputs, outputs in ((60, 12), (12, 12), (12, 12)):
        layers += [
            nn.Dropout(0.2),
            linear(inputs, outputs, bias=False, weight_quant=weight, weight_bit_width=2),
            nn.BatchNorm1d(outputs),
            source(act, **({} if act is BIPOLAR else {"bit_width": 2})),
        ]
    layers += [linear(12, 5, bias=False, weight_quant=weight, weight_bit_width=2)]
    return nn.Sequential(*layers)


def convolutions() -> nn.Module:
    """Stride, padding, binary activations, depthwise, max-pool, a truncated average."""
    return nn.Sequential(
        source(),
        conv(3, 6, 3, padding=1, stride=2, weight_quant=binary.SignedBinaryWeightPerTensorConst),
        nn.BatchNorm2d(6),
        source(BIPOLAR),
        nn.MaxPool2d(2, padding=1),
        conv(6, 6, 3, padding=1, groups=6, bias=True),
        nn.BatchNorm2d(6),
        relu(4, UNSIGNED_FLOAT),
        conv(6, 8, (2, 1), weight_quant=scaled_int.Int8WeightPerChannelFloat),
        relu(4, UNSIGNED_FLOAT),
        qnn.TruncAdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        linear(8, 4, bias=False),
    )


def flattened_image() -> nn.Module:
    return nn.Sequential(
        source(), conv(3, 4, 3), nn.BatchNorm2d(4), relu(), nn.AvgPool2d(2), nn.Flatten(),
        nn.BatchNorm1d(80), source(), linear(80, 5, bias=True),
    )  # fmt: skip


class Residual(nn.Module):
    """Two branches, one projected, added in one shared scale; and two joined."""

    def __init__(self) -> None:
        super().__init__()
        self.source = source()
        self.first = conv(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.shortcut = conv(3, 4, 1)
        self.common = source(SIGNED)
        self.relu = relu()
        self.other = conv(4, 3, 3, padding=1)
        self.same = source(SIGNED)
        self.pool = nn.AvgPool2d((12, 10))
        self.flatten = nn.Flatten()
        self.after = source(SIGNED, bit_width=6)
        self.last = linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.source(x)
        x = self.common(self.bn(self.first(x))) + self.common(self.shortcut(x))
        x = self.relu(x)
        x = torch.cat([self.same(x), self.same(self.other(x))], dim=1)
        return self.last(self.after(self.flatten(self.pool(x))))


def curves() -> nn.Module:
    return nn.Sequential(
        source(), linear(FEATURES, 8), nn.BatchNorm1d(8),
        qnn.QuantSigmoid(bit_width=4, act_quant=fixed_point.Uint8ActPerTensorFixedPoint),
        linear(8, 8),
        qnn.QuantTanh(bit_width=5, act_quant=fixed_point.Int8ActPerTensorFixedPoint),
        linear(8, 3),
    )  # fmt: skip


def hard_tanh() -> nn.Module:
    return nn.Sequential(
        source(SHIFTED), linear(FEATURES, 8),
        qnn.QuantHardTanh(min_val=-1.0, max_val=1.0, bit_width=4, return_quant_tensor=True),
        linear(8, 3),
    )  # fmt: skip


def sequence() -> nn.Module:
    return nn.Sequential(
        source(),
        qnn.QuantConv1d(3, 6, 3, padding=1, bias=True, weight_bit_width=4),
        nn.BatchNorm1d(6),
        relu(),
        nn.MaxPool1d(2),
        nn.Flatten(),
        linear(6 * 15, 4),
    )


Make = Callable[[], nn.Module]
BOTH: dict[str, tuple[Make, tuple[int, ...]]] = {
    "mlp": (mlp, (FEATURES,)),
    "power of two": (
        lambda: mlp(weight_quant=fixed_point.Int8WeightPerTensorFixedPoint), (FEATURES,)),
    "per channel": (lambda: mlp(weight_quant=scaled_int.Int8WeightPerChannelFloat), (FEATURES,)),
    "quantised bias": (quantised_bias, (FEATURES,)),
    "zero point": (hard_tanh, (FEATURES,)),
    "w2a2": (lambda: two_bits_everywhere(scaled_int.Int8WeightPerTensorFloat, SIGNED), (1, 6, 10)),
    "flattened image": (flattened_image, IMAGE),
    "residual": (Residual, IMAGE),
    "sequence": (sequence, (3, 30)),
}  # fmt: skip
QONNX_ONLY: dict[str, tuple[Make, tuple[int, ...]]] = {
    "w1a1": (
        lambda: two_bits_everywhere(binary.SignedBinaryWeightPerTensorConst, BIPOLAR), (1, 6, 10)),
    "w1a2": (
        lambda: two_bits_everywhere(binary.SignedBinaryWeightPerTensorConst, SIGNED), (1, 6, 10)),
    "convolutions": (convolutions, IMAGE),
    "curves": (curves, (FEATURES,)),
}  # fmt: skip
EXPORTS = {"qonnx": export_qonnx, "qcdq": export_onnx_qcdq}
CASES = [(name, kind) for name in BOTH for kind in EXPORTS] + [(n, "qonnx") for n in QONNX_ONLY]


def exported(model: nn.Module, shape: tuple[int, ...], folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        EXPORTS[kind](model, torch.zeros(1, *shape), export_path=str(path), dynamo=False)
    return path


def rows(lowered: Lowered, count: int = 400) -> np.ndarray:
    """Random inputs, half of them on exact steps, and some far outside."""
    x = np.random.default_rng(1).normal(0, 1.5, (count, *lowered.input_shape))
    x[: count // 2] = np.round(x[: count // 2] * 32) / 32
    x[0], x[1], x[2] = 0, 100, -100
    return x


def integers(lowered: Lowered, x: np.ndarray) -> np.ndarray:
    return evaluate(lowered.graph, quantise(lowered.graph, lowered.arrange(x)))


@pytest.fixture(scope="module")
def made() -> dict[str, tuple[nn.Module, Lowered]]:
    return {}


@pytest.mark.parametrize(("name", "kind"), CASES, ids=[f"{n}, {k}" for n, k in CASES])
def test_an_export_gives_the_same_integers(
    name: str, kind: str, made: dict[str, tuple[nn.Module, Lowered]], tmp_path: Path
) -> None:
    make, shape = {**BOTH, **QONNX_ONLY}[name]
    if name not in made:
        model = settle(make(), shape)
        made[name] = model, lower(model, shape)
    model, direct = made[name]
    through = lower_onnx(exported(model, shape, tmp_path, kind))
    x = rows(direct)
    ours, theirs = integers(through, x), integers(direct, x)
    assert len(np.unique(theirs, axis=0)) > 10, "the network says too little"
    assert np.array_equal(ours, theirs)
    assert through.input_shape == direct.input_shape
    ports = [list(one.graph.ports.values()) for one in (through, direct)]
    for mine, other in zip(*ports, strict=True):
        assert (mine.scale, mine.offset) == pytest.approx((other.scale, other.offset), rel=1e-12)
    assert kinds(through.graph) == kinds(direct.graph)


def kinds(graph: Graph) -> list[str]:
    return sorted(node.kind for node in graph.nodes)


@pytest.mark.parametrize("kind", EXPORTS)
def test_a_changed_weight_is_noticed(kind: str, tmp_path: Path) -> None:
    """The comparison above can fail: one weight of every output, one step further."""
    model = settle(mlp(), (FEATURES,))
    direct = lower(model, FEATURES)
    path = exported(model, (FEATURES,), tmp_path, kind)
    file = onnx.load(path)
    for tensor in file.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).copy()
        if array.shape == (9, FEATURES):
            at = np.arange(9), np.abs(array).argmin(axis=1)
            array[at] += 1 if array.dtype.kind == "i" else float(np.abs(array).max()) / 7
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
            break
    else:
        raise AssertionError("no weights in the file")
    onnx.save(file, path)
    x = rows(direct)
    assert not np.array_equal(integers(lower_onnx(path), x), integers(direct, x))


def test_names_are_those_of_the_modules(tmp_path: Path) -> None:
    model = settle(mlp(), (FEATURES,))
    graph = lower_onnx(exported(model, (FEATURES,), tmp_path, "qonnx"), name="tagger").graph
    assert graph.name == "tagger"
    assert [node.name for node in graph.nodes] == ["l1", "l3", "l4", "l4_scaled"]
    assert graph.input.name == "l0"


def test_a_decision_at_the_end(tmp_path: Path) -> None:
    """TopK and ArgMax become ArgMax, and decide as the network without them."""
    model = settle(mlp(), (FEATURES,))
    path = exported(model, (FEATURES,), tmp_path, "qonnx")
    scores = lower_onnx(path)
    x = rows(scores)
    expected = integers(scores, x).argmax(axis=1)
    for op in ("ArgMax", "TopK"):
        file = onnx.load(path)
        last = file.graph.output[0].name
        if op == "ArgMax":
            node = onnx.helper.make_node("ArgMax", [last], ["index"], axis=1, keepdims=0)
        else:
            file.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "k"))
            node = onnx.helper.make_node("TopK", [last, "k"], ["value", "index"], axis=-1)
        file.graph.node.append(node)
        del file.graph.output[:]
        file.graph.output.append(
            onnx.helper.make_tensor_value_info("index", onnx.TensorProto.INT64, [1])
        )
        onnx.save(file, tmp_path / "decides.onnx")
        lowered = lower_onnx(tmp_path / "decides.onnx", labels=list("abcde"))
        assert isinstance(lowered.graph.nodes[-1].op, ArgMax)
        assert np.array_equal(integers(lowered, x)[:, 0], expected)
