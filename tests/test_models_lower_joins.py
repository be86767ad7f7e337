"""Pools, additions, concatenations, activation functions and decisions are lowered exactly."""

import operator
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import binary, fixed_point, scaled_int, shifted_scaled_int
from brevitas.quant.scaled_int import RoundTo8bit, TruncTo8bit
from brevitas.quant_tensor import IntQuantTensor, QuantTensor
from torch import Tensor, nn
from torch.nn import functional

from bitwright.models.graph import (
    Add,
    ArgMax,
    Concat,
    Lookup,
    MaxPool,
    Node,
    Requantize,
    SumPool,
    Threshold,
    evaluate,
    quantise,
)
from bitwright.models.lower import Lowered, compare, lower

torch.set_num_threads(1)

SIGNED = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(min_val=-2.0, max_val=2.0)
UNSIGNED = fixed_point.Uint8ActPerTensorFixedPointMaxInit.let(max_val=4.0)
BINARY = binary.SignedBinaryActPerTensorConst.let(min_val=-0.5, max_val=0.5)
SHIFTED = shifted_scaled_int.ShiftedUint8ActPerTensorFixedPoint
WEIGHT = fixed_point.Int8WeightPerTensorFixedPoint


def identity(bits: int = 5, quant: type = SIGNED, **kwargs: object) -> nn.Module:
    kwargs = {**({} if quant is BINARY else {"bit_width": bits}), **kwargs}
    return qnn.QuantIdentity(act_quant=quant, **kwargs)


def relu(bits: int = 4) -> nn.Module:
    return qnn.QuantReLU(act_quant=UNSIGNED, bit_width=bits)


def conv(inputs: int, outputs: int, kernel: int = 1, **kwargs: object) -> nn.Module:
    kwargs = {"bias": False, "weight_quant": WEIGHT, "weight_bit_width": 4, **kwargs}
    return qnn.QuantConv2d(inputs, outputs, kernel, **kwargs)


def linear(inputs: int, outputs: int) -> nn.Module:
    return qnn.QuantLinear(inputs, outputs, False, weight_quant=WEIGHT, weight_bit_width=4)


def settle(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Batch-norms that fall as well as rise, and statistics of their own."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.5)
        if isinstance(module, (qnn.QuantConv2d, qnn.QuantLinear)):
            nn.init.normal_(module.weight, 0.0, 0.5)
    model.train()
    for _ in range(5):
        model(torch.randn(16, *shape))
    return model.eval()


def rows(shape: tuple[int, ...], count: int = 200) -> np.ndarray:
    x = np.random.default_rng(1).normal(0, 1.5, (count, *shape))
    x[: count // 2] = np.round(x[: count // 2] * 32) / 32
    return x.astype(np.float32)


def assert_equal(model: nn.Module, shape: tuple[int, ...]) -> Lowered:
    settle(model, shape)
    lowered = lower(model, shape)
    report = compare(model, lowered, rows(shape))
    assert {one.name: one.differing for one in report.tensors if one.differing} == {}
    assert report.differing_decisions == 0
    # A vacuous comparison would find constants.
    last = evaluate(lowered.graph, quantise(lowered.graph, lowered.arrange(rows(shape))))
    assert len(np.unique(last)) > 3
    return lowered


def nodes(lowered: Lowered, kind: type) -> list[Node]:
    return [node for node in lowered.graph.nodes if isinstance(node.op, kind)]


class Call(nn.Module):
    """Any function of a quantised image, and a dense layer behind it."""

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        quant: nn.Module,
        between: nn.Module | None = None,
        size: int = 1,
    ) -> None:
        super().__init__()
        self.inp, self.function = quant, function
        self.between, self.fc = between or nn.Identity(), linear(4 * size, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.between(self.function(self.inp(x))), 1))


POOLS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "max": (lambda x: functional.max_pool2d(x, 2), 12),
    "max, overlapping": (lambda x: functional.max_pool2d(x, (3, 2), (2, 1), (1, 0)), 21),
    "max, ceil that adds none": (lambda x: functional.max_pool2d(x, 2, ceil_mode=True), 12),
    "adaptive max": (lambda x: functional.adaptive_max_pool2d(x, (3, 2)), 6),
    "average": (lambda x: functional.avg_pool2d(x, 2), 12),
    "average, 3 x 2": (lambda x: functional.avg_pool2d(x, (3, 2), 2), 8),
    "average, padded": (lambda x: functional.avg_pool2d(x, 3, 2, 1), 12),
    "average, divided by 5": (lambda x: functional.avg_pool2d(x, 3, 3, divisor_override=5), 4),
    "global average": (lambda x: functional.adaptive_avg_pool2d(x, 1), 1),
    "a mean": (lambda x: x.mean((2, 3)), 1),
    "a mean that keeps axes": (lambda x: torch.mean(x, dim=[-1, -2], keepdim=True), 1),
}


@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("quant", [SIGNED, BINARY, SHIFTED], ids="sb0")
def test_pools(case: str, quant: type) -> None:
    """Straight into a layer, for which sums are integers like others; images are 6 x 8 here."""
    function, size = POOLS[case]
    model = Call(function, identity(quant=quant), size=size)
    lowered = assert_equal(model, (4, 6, 8))
    assert nodes(lowered, MaxPool if "max" in case else SumPool)


@pytest.mark.parametrize("case", POOLS)
def test_pools_between_a_batch_norm_and_its_quantiser(case: str) -> None:
    """Channels that fall are turned in front of a maximum, and sums keep their offsets."""
    function, size = POOLS[case]
    front = nn.Sequential(identity(), conv(4, 4), nn.BatchNorm2d(4))
    if case == "average, padded":
        front.append(identity(4))
    lowered = assert_equal(Call(function, front, identity(4), size), (4, 6, 8))
    turned = [node for node in nodes(lowered, Requantize) if node.name.endswith("_turned")]
    assert len(turned) == ("max" in case)


@pytest.mark.parametrize("trunc", [TruncTo8bit, RoundTo8bit])
@pytest.mark.parametrize("bits", [3, 6, 8])
@pytest.mark.parametrize("signed", [False, True])
def test_averages_that_brevitas_truncates(trunc: type, bits: int, signed: bool) -> None:
    quant = identity(8, SIGNED if signed else UNSIGNED, return_quant_tensor=True)
    for pool, size in [
        (qnn.TruncAvgPool2d(3, 2, trunc_quant=trunc, bit_width=bits), 4),
        (qnn.TruncAvgPool2d((2, 2), trunc_quant=trunc.let(bit_width=bits)), 9),
        (qnn.TruncAdaptiveAvgPool2d(2, trunc_quant=trunc, bit_width=bits), 4),
    ]:
        lowered = assert_equal(nn.Sequential(quant, pool, nn.Flatten(), linear(2 * size, 3)),
                               (2, 6, 6))  # fmt: skip
        (made,) = [n for n in lowered.graph.nodes if n.name == "l1_trunc_quant"]
        assert made.output.type.width <= bits
        assert "1.trunc_quant" in [one.module for one in lowered.counterparts]


class Two(nn.Module):
    """Two branches of one image, joined."""

    def __init__(
        self, one: nn.Module, two: nn.Module, join: Callable[..., Tensor], channels: int = 4
    ) -> None:
        super().__init__()
        self.inp = identity(return_quant_tensor=False)
        self.one, self.two, self.both, self.act = one, two, join, relu()
        self.fc = linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inp(x)
        x = self.act(self.both(self.one(x), self.two(x)))
        return self.fc(torch.flatten(functional.max_pool2d(x, 4), 1))


def branch(quant: type, bits: int = 4, **kwargs: object) -> nn.Module:
    """A convolution of four channels with a batch-norm and a quantiser."""
    return nn.Sequential(conv(4, 4, **kwargs), nn.BatchNorm2d(4), identity(bits, quant))


FINE = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(min_val=-0.5, max_val=0.5)
ADDITIONS = [operator.add, torch.add, operator.iadd]


@pytest.mark.parametrize("join", ADDITIONS, ids=["operator", "torch", "in place"])
@pytest.mark.parametrize("quant", [SIGNED, FINE, BINARY, SHIFTED], ids=["coarse", "fine", "b", "0"])
def test_branches_are_added_with_their_scales(join: Callable[..., Tensor], quant: type) -> None:
    lowered = assert_equal(Two(nn.Identity(), branch(quant), join), (4, 4, 4))
    (add,) = nodes(lowered, Add)
    if quant is not SHIFTED:
        assert add.op.multipliers == {SIGNED: (1, 2), FINE: (2, 1), BINARY: (1, 8)}[quant]
    assert "add" in [one.tensor for one in lowered.counterparts]


def test_branches_without_a_quantiser_are_added_channel_by_channel() -> None:
    """Powers of two for every channel, of which one is a multiple of the other."""
    sums = conv(4, 4, weight_quant=fixed_point.Int8WeightPerChannelFixedPoint, bias=True)
    model = Two(nn.Identity(), sums, operator.add)
    with torch.no_grad():
        sums.weight.mul_(torch.tensor([1.0, 8.0, 0.125, 2.0]).reshape(4, 1, 1, 1))
    settle(model, (4, 4, 4))
    with torch.no_grad():
        sums.weight.mul_(torch.tensor([1.0, 8.0, 0.125, 2.0]).reshape(4, 1, 1, 1))
    lowered = lower(model, (4, 4, 4))
    assert compare(model, lowered, rows((4, 4, 4))).differing == 0
    assert {n.name for n in nodes(lowered, Requantize)} <= {"add_branch0", "add_branch1"}


def test_a_tensor_is_added_to_itself() -> None:
    lowered = assert_equal(Two(nn.Identity(), nn.Identity(), lambda a, b: a + b + a), (4, 4, 4))
    assert [node.op.multipliers for node in nodes(lowered, Add)] == [(1, 1), (1, 1)]


def test_batch_norm_behind_an_addition_and_a_pool() -> None:
    bn = nn.BatchNorm2d(4)
    model = Two(nn.MaxPool2d(3, 1, 1), branch(FINE), lambda a, b: bn(a + b))
    model.bn = bn
    assert_equal(model, (4, 4, 4))


def test_quantised_additions_and_concatenations(monkeypatch: pytest.MonkeyPatch) -> None:
    """One quantiser for all inputs, another for the result."""
    # Brevitas 0.13.4 calls this, and has moved it.
    monkeypatch.setattr(QuantTensor, "cat", staticmethod(IntQuantTensor.cat), raising=False)
    scaled = {"input_quant": SIGNED, "input_bit_width": 4, "output_quant": SIGNED}
    added = Two(nn.Identity(), branch(FINE, 6), qnn.QuantEltwiseAdd(**scaled, output_bit_width=3))
    joined = Side(nn.Identity(), branch(FINE, 6), qnn.QuantCat(**scaled, output_bit_width=3), 8)
    for model, kind in ((added, Add), (joined, Concat)):
        model.act = nn.Identity()  # another quantiser behind the result's would take its place
        lowered = assert_equal(model, (4, 4, 4))
        (node,) = nodes(lowered, kind)
        assert node.name == "both" and node.inputs[1] == "both_input_quant_1"
        assert "both_output_quant" in lowered.graph.values


class Side(Two):
    """Two branches side by side."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.inp(x)
        x = self.act(self.both([self.one(x), self.two(x)]))
        return self.fc(torch.flatten(functional.max_pool2d(x, 4), 1))


@pytest.mark.parametrize("quant", [SIGNED, FINE, BINARY, SHIFTED], ids=["coarse", "fine", "b", "0"])
def test_channels_side_by_side_keep_their_scales(quant: type) -> None:
    """Into a quantiser, and, where no integer of padding is needed, straight into a layer."""
    for behind in (relu(), nn.Identity()):
        model = Two(nn.Identity(), branch(quant), lambda a, b: torch.cat((a, b), 1), 8)
        model.act = behind
        lowered = assert_equal(model, (4, 4, 4))
        assert nodes(lowered, Concat)[0].output.channels == 8


def test_floating_scales_of_branches_are_aligned_exactly_too() -> None:
    floating = scaled_int.Int8ActPerTensorFloat
    model = Two(identity(4, floating), branch(floating, 5), operator.add)
    settle(model, (4, 4, 4))
    lowered = lower(model, (4, 4, 4))
    report = compare(model, lowered, rows((4, 4, 4), 400))
    assert report.differing <= 1e-4 * report.compared
    (add,) = nodes(lowered, Add)
    assert max(add.op.multipliers) <= 2 << 5  # of 24 bits, before they are narrowed


ACTIVATIONS: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "relu, in place": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(),
    "hard tanh": nn.Hardtanh(-0.75, 1.25),
    "hard tanh off the grid": nn.Hardtanh(-0.3, 1.1),
}


@pytest.mark.parametrize("case", ACTIVATIONS)
@pytest.mark.parametrize("bits", [1, 3, 5])
def test_activation_functions_in_front_of_a_quantiser(case: str, bits: int) -> None:
    quant = SIGNED.let(min_val=-8.0, max_val=8.0) if case == "relu6" and bits > 3 else SIGNED
    quant = UNSIGNED if bits == 1 else quant
    model = nn.Sequential(
        identity(), conv(2, 4), nn.BatchNorm2d(4), ACTIVATIONS[case], nn.MaxPool2d(2),
        identity(bits, quant), nn.Flatten(), linear(16, 3),
    )  # fmt: skip
    lowered = assert_equal(model, (2, 4, 4))
    assert len(nodes(lowered, Threshold)) + len(nodes(lowered, Requantize)) <= 2


@pytest.mark.parametrize("case", ["relu", "relu6", "hard tanh"])
@pytest.mark.parametrize("quant", [SIGNED, SHIFTED], ids="s0")
def test_activation_functions_behind_a_quantiser(case: str, quant: type) -> None:
    model = nn.Sequential(
        identity(6, quant), ACTIVATIONS[case], conv(2, 4, 3, padding=1), relu(), nn.Flatten(),
        linear(64, 3),
    )  # fmt: skip
    lowered = assert_equal(model, (2, 4, 4))
    assert lowered.graph.nodes[0].name == "l1"


CURVES = [qnn.QuantSigmoid, qnn.QuantTanh, qnn.QuantHardSwish]


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("where", ["quantised", "sums", "batch-norm"])
def test_curves(kind: type, bits: int, where: str) -> None:
    """A table behind a quantiser; behind sums, thresholds found on the function itself."""
    act = kind(act_quant=UNSIGNED if kind is qnn.QuantHardSwish else SIGNED, bit_width=bits)
    front = [identity(7), conv(2, 4)]
    front += [nn.BatchNorm2d(4)] if where == "batch-norm" else []
    front += [identity(6)] if where == "quantised" or kind is qnn.QuantHardSwish else []
    model = nn.Sequential(*front, act, nn.Flatten(), linear(64, 3))
    settle(model, (2, 4, 4))
    lowered = lower(model, (2, 4, 4))
    report = compare(model, lowered, rows((2, 4, 4), 1000))
    # A batch-norm is a float32 in torch, and its result may meet a step.
    assert report.differing <= (1e-5 * report.compared if where == "batch-norm" else 0)
    name = f"l{len(front)}"
    node = next(node for node in lowered.graph.nodes if node.name == name)
    tabled = where == "quantised" or kind is qnn.QuantHardSwish
    assert isinstance(node.op, Lookup if tabled else Threshold | Lookup)
    assert len(np.unique(evaluate(lowered.graph, quantise(lowered.graph, lowered.arrange(
        rows((2, 4, 4))))))) > 3  # fmt: skip


class Decision(nn.Module):
    """Scores, and the number of the largest."""

    def __init__(self, decide: Callable[[Tensor], Tensor], bias: bool) -> None:
        super().__init__()
        self.inp, self.decide = identity(), decide
        self.fc = qnn.QuantLinear(6, 5, bias=bias, weight_quant=WEIGHT, weight_bit_width=3)
        self.bn = nn.BatchNorm1d(5) if bias else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.decide(self.bn(self.fc(self.inp(x))))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "decide",
    [lambda x: x.argmax(1), lambda x: torch.argmax(x, dim=-1), lambda x: x.argmax(1, True)],
    ids=["method", "function", "keepdim"],
)
def test_decisions(decide: Callable[[Tensor], Tensor], bias: bool) -> None:
    model = settle(Decision(decide, bias), (6,))
    lowered = lower(model, 6, labels="abcde")
    assert isinstance(lowered.graph.nodes[-1].op, ArgMax)
    x = rows((6,), 3000)
    with torch.no_grad():
        y = model(torch.from_numpy(x)).flatten().numpy()
    report = compare(model, lowered, x, y)
    assert report.differing == report.differing_decisions == 0
    assert report.accuracy_torch == 1.0 and report.accuracy_reference > (0.9 if not bias else 0.999)
    assert [one.name for one in report.tensors][-1] == "argmax"
    # The negative control: other scores.
    changed = [
        replace(n, inputs=("fc_other",)) if isinstance(n.op, ArgMax) else n
        for n in lowered.graph.nodes
    ]
    scores = changed[-2].output
    factors = np.array([1, 2, 1, 1, 1])
    other = Node(
        Requantize(factors, 0 * factors, 0),
        (scores.name,),
        replace(scores, name="fc_other", type=replace(scores.type, width=scores.type.width + 1)),
    )
    graph = replace(lowered.graph, nodes=(*changed[:-1], other, changed[-1]))
    assert compare(model, replace(lowered, graph=graph), x).differing_decisions > 100
