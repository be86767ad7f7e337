"""What cannot be lowered is refused with one sentence: the module, its class, the remedy."""

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from brevitas import nn as qnn
from brevitas.inject.enum import FloatToIntImplType
from brevitas.quant import (
    SignedBinaryActPerTensorConst,
    SignedTernaryWeightPerTensorConst,
    binary,
    fixed_point,
    scaled_int,
    shifted_scaled_int,
)
from torch import nn

from bitwright.models.errors import GraphError, InputError, UnsupportedError
from bitwright.models.lower import lower
from bitwright.models.lower.edges import MAX_LEVELS, MAX_WEIGHT_BITS

torch.set_num_threads(1)

ACT = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(min_val=-1.0, max_val=1.0)
UNSIGNED = fixed_point.Uint8ActPerTensorFixedPointMaxInit.let(max_val=2.0)
WEIGHT = fixed_point.Int8WeightPerTensorFixedPoint


def act(bits: int = 4, quant: type = ACT, **kwargs: object) -> qnn.QuantIdentity:
    return qnn.QuantIdentity(act_quant=quant, bit_width=bits, **kwargs)


def linear(inputs: int = 4, outputs: int = 3, **kwargs: object) -> qnn.QuantLinear:
    kwargs = {"weight_quant": WEIGHT, "bias": False, **kwargs}
    return qnn.QuantLinear(inputs, outputs, **kwargs)


def net(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def changed(layer: nn.Module, change: Callable[[nn.Module], object]) -> nn.Module:
    with torch.no_grad():
        change(layer)
    return layer


def no_scale(layer: nn.Module) -> None:
    scaling = layer.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl
    scaling.value.fill_(-1e30)  # a power of two: 2^-1e30


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.act, self.fc = act(), act(), linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.act(self.fc(self.inp(x))))


class Two(nn.Module):
    def __init__(self, result: Callable[[torch.Tensor, torch.Tensor], object]) -> None:
        super().__init__()
        self.inp, self.one, self.two, self.result = act(), linear(), linear(), result

    def forward(self, x: torch.Tensor) -> object:
        x = self.inp(x)
        return self.result(self.one(x), self.two(x))


class Inputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp = act()

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.inp(x * mask)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.fc = act(), linear()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.inp(x)) if x.sum() > 0 else x


class Function(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inp, self.fc, self.function = act(), linear(), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.function(self.inp(x)))


class OwnLinear(qnn.QuantLinear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 2


def shared() -> nn.Module:
    one, two = linear(4, 4), linear(4, 4)
    two.weight = one.weight
    return net(inp=act(), one=one, act=act(), two=two)


def per_channel(values: list[float]) -> nn.Module:
    quant = fixed_point.Uint8ActPerTensorFixedPointMaxInit.let(
        scaling_per_output_channel=True,
        per_channel_broadcastable_shape=(1, 4),
        restrict_scaling_type="fp",
    )
    layer = act(quant=quant, max_val=1.0)
    scaling = layer.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl
    return changed(layer, lambda _: scaling.value.copy_(torch.tensor([values])))


def nan(layer: nn.Module, value: float = float("nan")) -> nn.Module:
    return changed(layer, lambda m: m.weight[0, 0].fill_(value))


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "an unquantised layer": (
        lambda: net(inp=act(), fc=nn.Linear(4, 3)),
        "fc (Linear) is not quantised: use brevitas.nn.QuantLinear",
    ),
    "an unquantised relu": (
        lambda: net(inp=act(), fc=linear(), relu=nn.ReLU()),
        "the output fc is the result of an activation function that is not quantised: put a "
        "QuantIdentity behind it",
    ),
    "an unknown layer": (
        lambda: net(inp=act(), norm=nn.LayerNorm(4)),
        "norm (LayerNorm) is not supported: use QuantIdentity, QuantLinear,",
    ),
    "a brevitas layer that is not supported": (
        lambda: net(inp=act(), scale=qnn.QuantScaleBias(4, bias=True, runtime_shape=(1, 4))),
        "scale (QuantScaleBias) is not supported",
    ),
    "no input quantiser": (
        lambda: net(fc=linear()),
        "fc (QuantLinear) reads a tensor that is not quantised: put a QuantIdentity",
    ),
    "no quantiser between layers": (
        lambda: net(inp=act(), fc1=linear(4, 4), fc2=linear()),
        "fc2 (QuantLinear) reads a tensor that is not quantised",
    ),
    "batch-norm in front of a layer": (
        lambda: net(inp=act(), bn=nn.BatchNorm1d(4), fc=linear()),
        "fc (QuantLinear) reads a tensor that is not quantised",
    ),
    "batch-norm on the input": (
        lambda: net(bn=nn.BatchNorm1d(4), inp=act(), fc=linear()),
        "bn (BatchNorm1d) reads the real input: put a QuantIdentity in front of it",
    ),
    "an activation without quantiser": (
        lambda: net(inp=act(), fc=linear(), relu=qnn.QuantReLU(act_quant=None)),
        "relu (QuantReLU) applies ReLU without an activation quantiser: give it a quantiser",
    ),
    "a hard tanh without quantiser": (
        lambda: net(
            inp=act(),
            fc=linear(),
            tanh=qnn.QuantHardTanh(act_quant=None, min_val=-1.0, max_val=1.0),
        ),
        "tanh (QuantHardTanh) applies Hardtanh: only ReLU",
    ),
    "no weight quantiser": (
        lambda: net(inp=act(), fc=linear(weight_quant=None)),
        "fc (QuantLinear) has no weight quantiser: give it weight_quant=…",
    ),
    "NaN weights": (
        lambda: net(inp=act(), fc=nan(linear())),
        "fc (QuantLinear) has a weight that is nan: train it again",
    ),
    "infinite weights": (
        lambda: net(inp=act(), fc=nan(linear(), float("inf"))),
        "fc (QuantLinear) has a weight that is inf",
    ),
    "a NaN bias": (
        lambda: net(inp=act(), fc=changed(linear(bias=True), lambda m: m.bias.fill_(float("nan")))),
        "fc (QuantLinear) has a bias that is nan",
    ),
    "a weight scale of 0": (
        lambda: net(
            inp=act(),
            fc=linear(
                weight_quant=binary.SignedBinaryWeightPerTensorConst, weight_scaling_const=0.0
            ),
        ),
        "fc (QuantLinear) has a weight quantiser with a scale of 0: set its scale",
    ),
    "an activation scale of 0": (
        lambda: net(inp=changed(act(), no_scale), fc=linear()),
        "inp (QuantIdentity) has an activation quantiser with a scale of 0",
    ),
    "a NaN scale": (
        lambda: net(
            inp=changed(
                act(),
                lambda m: (
                    m.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value.fill_(
                        float("nan")
                    )
                ),
            )
        ),
        "inp (QuantIdentity) has a scale of an activation quantiser that is nan",
    ),
    "too many activation bits": (
        lambda: net(inp=act(17), fc=linear()),
        "inp (QuantIdentity) has an activation quantiser of 17 bits: bit widths are integers from "
        "1 to 16",
    ),
    "too many weight bits": (
        lambda: net(inp=act(), fc=linear(weight_bit_width=20)),
        "fc (QuantLinear) has a weight quantiser of 20 bits",
    ),
    "one value only": (
        lambda: net(inp=act(1, narrow_range=True), fc=linear()),
        "inp (QuantIdentity) has an activation quantiser that can only make the integer 0",
    ),
    "a binary relu": (
        lambda: net(inp=act(), relu=qnn.QuantReLU(act_quant=SignedBinaryActPerTensorConst)),
        "relu (QuantReLU) has an activation quantiser that is binary behind a ReLU",
    ),
    "a zero point of weights": (
        lambda: net(
            inp=act(),
            fc=linear(weight_quant=shifted_scaled_int.ShiftedUint8WeightPerTensorFloat),
        ),
        "fc (QuantLinear) has weights with a zero point: use a symmetric weight quantiser",
    ),
    "rounding up": (
        lambda: net(inp=act(float_to_int_impl_type=FloatToIntImplType.CEIL), fc=linear()),
        "inp (QuantIdentity) has an activation quantiser that rounds with CeilSte: use "
        "FloatToIntImplType.ROUND or FLOOR",
    ),
    "rounding down at the input": (
        lambda: net(inp=act(float_to_int_impl_type=FloatToIntImplType.FLOOR), fc=linear()),
        "inp (QuantIdentity) rounds the network's input with floor, and a port rounds half to even",
    ),
    "a quantisation delay": (
        lambda: net(inp=act(quant_delay_steps=5), fc=linear()),
        "inp (QuantIdentity) has an activation quantiser that does not compute what its parts say",
    ),
    "a delay of the weights": (
        lambda: net(inp=act(), fc=linear(weight_quant_delay_steps=5)),
        "fc (QuantLinear) has weights that are not integer multiples of their scale",
    ),
    "scales per input channel": (
        lambda: net(inp=per_channel([1.0, 2.0, 1.0, 1.0]), fc=linear()),
        "inp (QuantIdentity) quantises the network's input with one scale per channel",
    ),
    "scales without a common unit": (
        lambda: net(inp=act(), mid=per_channel([1.0, 1.1, 1.2, 1.3]), fc=linear()),
        f"the limit is {MAX_WEIGHT_BITS}): quantise its input per tensor",
    ),
    "scales of another channel count": (
        lambda: net(inp=act(), fc=linear(4, 1), mid=per_channel([1.0, 2.0, 1.0, 1.0])),
        "mid (QuantIdentity) has 4 scales for 1 channels",
    ),
    "too many thresholds": (
        lambda: net(
            inp=act(8),
            fc=linear(4, 40),
            bn=changed(nn.BatchNorm1d(40), lambda m: m.weight.fill_(0.3)),
            act=act(16),
        ),
        f"act (QuantIdentity) needs 40 x 65535 thresholds, above the limit of {MAX_LEVELS}: use "
        "fewer bits or channels",
    ),
    "batch-norm without statistics": (
        lambda: net(inp=act(), fc=linear(), bn=nn.BatchNorm1d(3, track_running_stats=False)),
        "bn (BatchNorm1d) has no running statistics: train it with track_running_stats=True",
    ),
    "a negative variance": (
        lambda: net(
            inp=act(),
            fc=linear(),
            bn=changed(nn.BatchNorm1d(3), lambda m: m.running_var.fill_(-1)),
        ),
        "bn (BatchNorm1d) has a running variance of -1: train it again",
    ),
    "a constant output": (
        lambda: net(
            inp=act(), fc=linear(), bn=changed(nn.BatchNorm1d(3), lambda m: m.weight.zero_())
        ),
        "the output fc is constant: every channel's scale is 0",
    ),
    "a huge bias": (
        lambda: net(inp=act(), fc=changed(linear(bias=True), lambda m: m.bias[0].fill_(1e30))),
        "too large to compute with",
    ),
    "a layer called twice": (Twice, "fc (QuantLinear) is called twice: make two layers"),
    "shared weights": (shared, "two (QuantLinear) shares its weights with one"),
    "two outputs": (
        lambda: Two(lambda a, b: (a, b)),
        "Two returns 2 outputs in a tuple: only models that return one tensor",
    ),
    "a product of two layers": (
        lambda: Two(lambda a, b: a * b),
        "the call of mul in the model's forward takes 2 tensors: only additions and",
    ),
    "a layer that nothing reads": (
        lambda: Two(lambda a, b: a),
        "two (QuantLinear) makes a tensor that nothing reads: remove it",
    ),
    "two inputs": (Inputs, "Inputs takes 2 inputs (x, mask): only models with one input"),
    "control flow": (Branching, "Branching cannot be traced by torch.fx (symbolically traced"),
    "a function": (
        lambda: Function(torch.exp),
        "the call of exp in the model's forward is not supported",
    ),
    "arithmetic": (
        lambda: Function(lambda x: x * 2.0),
        "fc (QuantLinear) reads a tensor that is not quantised",
    ),
    "a reshape that mixes": (
        lambda: Function(lambda x: x.reshape(6, 2).reshape(3, 4)),
        "the call of reshape in the model's forward turns shape (3, 4) into (6, 2)",
    ),
    "a forward of its own": (
        lambda: net(inp=act(), fc=OwnLinear(4, 3, weight_quant=WEIGHT)),
        "fc (OwnLinear) has a forward of its own: use QuantLinear as Brevitas defines it",
    ),
    "no quantiser at all": (
        lambda: net(flatten=nn.Flatten()),
        "the model has no quantiser: put a QuantIdentity at its input",
    ),
    "a single layer": (lambda: linear(), "the model is a single layer, QuantLinear: wrap it"),
    "double precision": (
        lambda: net(inp=act(), fc=linear()).double(),
        "is torch.float64: call model.float() first",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(UnsupportedError) as error:
        lower(make().eval(), 4)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


class Remembering(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.rnn = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rnn(x)[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (nn.LSTM(4, 3), r"rnn \(LSTM\) is recurrent, not supported"),
        (nn.GRU(4, 3), r"rnn \(GRU\) is recurrent, not supported"),
        (qnn.QuantLSTM(4, 3), r"rnn \(QuantLSTM\) is recurrent, not supported"),
        (nn.MultiheadAttention(4, 1), r"rnn \(MultiheadAttention\) is attention, not supported"),
    ],
)
def test_recurrent_layers_and_attention_are_refused_before_torch_fails(
    layer: nn.Module, told: str
) -> None:
    with pytest.raises(UnsupportedError, match=told):
        lower(Remembering(layer), 4)


def test_ternary_weights_are_integers_too() -> None:
    lowered = lower(
        net(inp=act(), fc=linear(weight_quant=SignedTernaryWeightPerTensorConst)).eval(), 4
    )
    weights = lowered.graph.nodes[0].op.weights
    assert (weights.width, abs(weights.values).max()) == (2, 1)


def test_a_module_that_needs_flat_input() -> None:
    with pytest.raises(UnsupportedError, match=r"fc \(QuantLinear\) reads .*\(batch, 2, 4\): put"):
        lower(net(inp=act(), fc=linear()).eval(), (2, 4))
    with pytest.raises(UnsupportedError, match="the output has shape"):
        lower(net(inp=act()).eval(), (2, 4))


@pytest.mark.parametrize("shape", [5, (), (0,), (4, -1), (1, 1, 5)])
def test_a_wrong_input_shape(shape: object) -> None:
    with pytest.raises(InputError, match="shape"):
        lower(net(inp=act(), flat=nn.Flatten(), fc=linear()).eval(), shape)


def test_a_layer_that_fails_is_named() -> None:
    model = net(inp=act(), fc=linear(bias=True, bias_quant=scaled_int.Int8Bias))
    with pytest.raises(InputError, match=r"fails at fc .*Input scale required"):
        lower(model.eval(), 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reg", "'reg', a reserved word"),
        ("Input", "'Input', a reserved word"),
        ("x" * 65, "cannot become an identifier"),
        ("__", "cannot become an identifier"),
    ],
)
def test_names_that_hardware_cannot_have(name: str, message: str) -> None:
    model = nn.Sequential()
    model.inp = act()
    model._modules[name] = linear()
    with pytest.raises(GraphError, match=message):
        lower(model.eval(), 4)


def test_names_that_meet() -> None:
    model = nn.Sequential()
    model._modules.update({"fc_1": act(), "fc-1": linear()})
    with pytest.raises(GraphError, match="two tensors are named 'fc_1'"):
        lower(model.eval(), 4)


def test_labels_of_another_count() -> None:
    with pytest.raises(GraphError, match="2 labels for 3 classes"):
        lower(net(inp=act(), fc=linear()).eval(), 4, labels=["a", "b"])


def test_a_relu_of_a_signed_quantiser_loses_its_sign() -> None:
    model = net(inp=act(), relu=qnn.QuantReLU(act_quant=ACT, bit_width=4), fc=linear())
    assert lower(model.eval(), 4).graph.values["relu"].type.signed is False
    assert UNSIGNED is not ACT
