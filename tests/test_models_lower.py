"""Lowered Brevitas models compute the integers that torch computes, tensor by tensor."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.inject.enum import FloatToIntImplType, ScalingImplType
from brevitas.quant import binary, fixed_point, scaled_int, shifted_scaled_int
from torch import nn

from bitwright.models.graph import Dense, Port, Requantize, Threshold, evaluate, quantise
from bitwright.models.lower import Lowered, compare, identifier, lower

torch.set_num_threads(1)

INPUTS, HIDDEN, OUTPUTS = 12, 7, 5

# Everything a quantiser may be, by a short name: class, keyword arguments.
POWER_OF_TWO_WEIGHTS = {
    "tensor": fixed_point.Int8WeightPerTensorFixedPoint,
    "channel": fixed_point.Int8WeightPerChannelFixedPoint,
    "binary": binary.SignedBinaryWeightPerTensorConst.let(scaling_const=0.125),
    "mse": fixed_point.Int8WeightPerTensorFixedPointMSE,
}
FLOAT_WEIGHTS = {
    "float tensor": scaled_int.Int8WeightPerTensorFloat,
    "float channel": scaled_int.Int8WeightPerChannelFloat,
    "float binary": binary.SignedBinaryWeightPerTensorConst,
    "decoupled": scaled_int.Int8WeightPerChannelFloatDecoupled,
}
SIGNED = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(min_val=-2.0, max_val=2.0)
UNSIGNED = fixed_point.Uint8ActPerTensorFixedPointMaxInit.let(max_val=4.0)
BINARY = binary.SignedBinaryActPerTensorConst.let(min_val=-0.5, max_val=0.5)


def settle(model: nn.Module, seed: int = 0, stretch: float = 1.0) -> nn.Module:
    """Lifelike statistics everywhere: batch-norms that fall as well as rise, biases, scales."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.5)
        if isinstance(module, qnn.QuantLinear):
            nn.init.normal_(module.weight, 0.0, 0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0.0, 0.3)
    model.train()
    for _ in range(20):
        model(stretch * torch.randn(64, INPUTS))
    return model.eval()


def with_ties(model: nn.Module, rows: int = 2000) -> np.ndarray:
    """Random inputs, half of them on the ties and exact steps of a quarter of 1/8."""
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1.5, (rows, INPUTS))
    x[: rows // 2] = np.round(x[: rows // 2] * 32) / 32
    x[0], x[1], x[2] = 0, 100, -100
    return x.astype(np.float32)


def two_layers(
    weight_quant: type,
    act: nn.Module,
    *,
    weight_bits: int = 4,
    bias_quant: type | None = None,
    bias: bool = True,
    batch_norm: bool = True,
    input_quant: type = SIGNED,
    input_bits: int = 5,
    last: type = fixed_point.Int8WeightPerTensorFixedPoint,
    **last_bits: int,
) -> nn.Sequential:
    bits = {} if "Binary" in weight_quant.__mro__[1].__name__ else {"weight_bit_width": weight_bits}
    width = {} if input_quant is BINARY else {"bit_width": input_bits}
    layers: list[tuple[str, nn.Module]] = [
        ("inp", qnn.QuantIdentity(act_quant=input_quant, return_quant_tensor=True, **width)),
        (
            "fc1",
            qnn.QuantLinear(
                INPUTS, HIDDEN, bias=bias, weight_quant=weight_quant, bias_quant=bias_quant, **bits
            ),
        ),
    ]
    if batch_norm:
        layers.append(("bn", nn.BatchNorm1d(HIDDEN)))
    layers += [
        ("act", act),
        ("drop", nn.Dropout(0.3)),
        ("fc2", qnn.QuantLinear(HIDDEN, OUTPUTS, bias=bias, weight_quant=last, **last_bits)),
    ]
    return nn.Sequential(OrderedDict(layers))


def assert_equal(model: nn.Module, stretch: float = 1.0) -> Lowered:
    settle(model, stretch=stretch)
    lowered = lower(model, INPUTS)
    report = compare(model, lowered, with_ties(model))
    assert {one.name: one.differing for one in report.tensors if one.differing} == {}
    assert report.compared == sum(one.compared for one in report.tensors) > 2000 * OUTPUTS
    assert report.differing_decisions == 0
    last = lowered.counterparts[-1]
    largest = np.abs(last.scale).max() * 2**lowered.graph.output.type.width
    # Less than 2^-9 of the sums' LSB, beside what torch's own float32 loses.
    assert report.largest_output_error < np.abs(last.scale).min() * 2**-9 + largest * 2**-24
    return lowered


def relu(bits: int, **kwargs: object) -> nn.Module:
    return qnn.QuantReLU(act_quant=UNSIGNED, bit_width=bits, return_quant_tensor=True, **kwargs)


def identity(quant: type, **kwargs: object) -> nn.Module:
    return qnn.QuantIdentity(act_quant=quant, return_quant_tensor=True, **kwargs)


@pytest.mark.parametrize("weights", POWER_OF_TWO_WEIGHTS)
@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "bn"])
@pytest.mark.parametrize(
    "act",
    [
        relu(3),
        identity(SIGNED, bit_width=4),
        identity(SIGNED, bit_width=4, narrow_range=True),
        identity(BINARY),
        qnn.QuantHardTanh(act_quant=SIGNED, bit_width=3, return_quant_tensor=True),
        qnn.QuantReLU(act_quant=SIGNED, bit_width=4, return_quant_tensor=True),
        identity(UNSIGNED, bit_width=4, float_to_int_impl_type=FloatToIntImplType.FLOOR),
    ],
    ids=["relu", "signed", "narrow", "binary", "hardtanh", "signed relu", "floor"],
)
def test_every_kind_of_weight_and_activation(
    weights: str, batch_norm: bool, act: nn.Module
) -> None:
    assert_equal(two_layers(POWER_OF_TWO_WEIGHTS[weights], act, batch_norm=batch_norm))


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8, 12, 16])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_every_width_of_activation(bits: int, signed: bool) -> None:
    act = identity(SIGNED if signed else UNSIGNED, bit_width=bits)
    # Few weight bits, so that torch's float32 holds the sums of 16-bit activations.
    model = two_layers(
        POWER_OF_TWO_WEIGHTS["tensor"],
        act,
        weight_bits=3,
        input_bits=bits,
        batch_norm=False,
        weight_bit_width=3,
    )
    lowered = assert_equal(model)
    assert lowered.graph.values["act"].type.width == bits


@pytest.mark.parametrize("bits", [1, 2, 4, 9, 16])
def test_every_width_of_weight(bits: int) -> None:
    quant = fixed_point.Int8WeightPerChannelFixedPoint.let(narrow_range=False)
    lowered = assert_equal(two_layers(quant, relu(4), weight_bits=bits, input_bits=3))
    weights = lowered.graph.nodes[0].op.weights
    assert weights.width == max(bits, 2)
    assert np.unique(weights.values).size > min(bits, 4)


@pytest.mark.parametrize(
    "bias_quant",
    [
        None,
        scaled_int.Int8Bias,
        scaled_int.Int16Bias,
        scaled_int.Int32Bias,
        fixed_point.Int8BiasPerTensorFixedPointInternalScaling,
        scaled_int.Int8BiasPerTensorFloatInternalScaling,
    ],
)
def test_every_kind_of_bias(bias_quant: type | None) -> None:
    model = two_layers(
        POWER_OF_TWO_WEIGHTS["channel"], relu(3), batch_norm=False, bias_quant=bias_quant
    )
    model.fc2 = qnn.QuantLinear(
        HIDDEN,
        OUTPUTS,
        bias=True,
        weight_quant=fixed_point.Int8WeightPerTensorFixedPoint,
        bias_quant=bias_quant,
    )
    assert_equal(model)


# A narrow range of one bit holds one value only, which is refused.
@pytest.mark.parametrize(
    ("input_bits", "narrow"), [(1, False), (4, False), (8, False), (2, True), (8, True)]
)
@pytest.mark.parametrize("signed", [False, True])
def test_every_kind_of_input(input_bits: int, narrow: bool, signed: bool) -> None:
    quant = (SIGNED if signed else UNSIGNED).let(narrow_range=narrow)
    lowered = assert_equal(
        two_layers(
            POWER_OF_TWO_WEIGHTS["tensor"], relu(3), input_quant=quant, input_bits=input_bits
        )
    )
    # A port cannot clip inside its type: a narrow range costs a node.
    assert (lowered.graph.nodes[0].name == "inp") == narrow


def test_binary_from_end_to_end() -> None:
    weights = POWER_OF_TWO_WEIGHTS["binary"]
    lowered = assert_equal(two_layers(weights, identity(BINARY), input_quant=BINARY, last=weights))
    graph = lowered.graph
    kinds = ["dense", "threshold", "dense", "requantize"]
    assert [node.kind for node in graph.nodes] == kinds
    assert graph.nodes[2].op.weights.width == 1  # and not doubled, for the halves of a binary input
    assert graph.ports["inp"] == Port(1.0, -0.5, binary=True)
    assert graph.nodes[0].op.weights.width == 1
    # Zero is positive, as Brevitas' binary_sign has it.
    assert quantise(graph, np.zeros((1, INPUTS))).tolist() == [[1] * INPUTS]


@pytest.mark.parametrize("weights", FLOAT_WEIGHTS)
@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "bn"])
def test_float_scales_differ_almost_nowhere_and_it_is_told(weights: str, batch_norm: bool) -> None:
    model = two_layers(
        FLOAT_WEIGHTS[weights],
        qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        input_quant=scaled_int.Int8ActPerTensorFloat,
        last=FLOAT_WEIGHTS[weights],
        batch_norm=batch_norm,
    )
    settle(model)
    lowered = lower(model, INPUTS)
    report = compare(model, lowered, with_ties(model, 4000))
    assert report.differing <= 1e-4 * report.compared
    assert report.differing_decisions <= 1e-3 * report.decisions


def test_zero_points_of_activations_are_offsets() -> None:
    quant = shifted_scaled_int.ShiftedUint8ActPerTensorFixedPoint
    model = two_layers(
        POWER_OF_TWO_WEIGHTS["tensor"], identity(quant, bit_width=4), input_quant=quant
    )
    lowered = assert_equal(model)
    assert lowered.graph.ports["inp"].offset < 0


def test_a_scale_per_channel_goes_into_the_next_weights() -> None:
    act = qnn.QuantIdentity(
        act_quant=fixed_point.Uint8ActPerTensorFixedPoint,
        bit_width=3,
        scaling_per_output_channel=True,
        per_channel_broadcastable_shape=(1, HIDDEN),
        scaling_stats_permute_dims=(1, 0),
    )
    model = two_layers(POWER_OF_TWO_WEIGHTS["tensor"], act, bias=True)
    settle(model)
    with torch.no_grad():
        value = act.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value
        value.copy_(torch.tensor([0.0, 1.0, -1.0, 2.0, 0.0, 1.0, 1.0]).reshape(value.shape))
        act.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.counter = 10**6
    lowered = lower(model, INPUTS)
    report = compare(model, lowered, with_ties(model))
    assert report.differing == 0
    assert len(set(lowered.counterparts[1].scale)) == 4


def test_quantisers_inside_a_linear_layer() -> None:
    model = nn.Sequential(
        qnn.QuantLinear(
            INPUTS,
            HIDDEN,
            bias=True,
            input_quant=SIGNED,
            weight_quant=fixed_point.Int8WeightPerTensorFixedPoint,
            output_quant=SIGNED,
            bias_quant=scaled_int.Int8Bias,
            return_quant_tensor=True,
        ),
        qnn.QuantReLU(act_quant=UNSIGNED, input_quant=SIGNED, input_bit_width=5, bit_width=2),
    )
    lowered = assert_equal(model)
    names = [node.name for node in lowered.graph.nodes]
    assert names == ["l0", "l1"]  # three quantisers in a row are one
    assert lowered.graph.input.name == "l0_input_quant"


def test_quantisers_in_a_row_and_batch_norm_between_them() -> None:
    model = nn.Sequential(
        identity(SIGNED, bit_width=6),
        nn.BatchNorm1d(INPUTS),
        identity(SIGNED, bit_width=4),
        identity(SIGNED, bit_width=4),  # changes nothing
        identity(BINARY),
        qnn.QuantLinear(
            INPUTS, OUTPUTS, bias=False, weight_quant=fixed_point.Int8WeightPerTensorFixedPoint
        ),
    )
    lowered = assert_equal(model)
    assert [node.name for node in lowered.graph.nodes] == [
        "l4",
        "l5",
        "l5_scaled",
    ]  # the others went into it
    assert [one.module for one in lowered.counterparts] == ["0.act_quant", "4.act_quant", ""]


class Custom(nn.Module):
    """A forward with the usual functions around the layers, and one activation used twice."""

    def __init__(self) -> None:
        super().__init__()
        quant = fixed_point.Int8WeightPerTensorFixedPoint
        self.inp = identity(SIGNED, bit_width=4)
        self.act = relu(3)
        self.body = nn.ModuleList(
            [
                qnn.QuantLinear(INPUTS, HIDDEN, bias=False, weight_quant=quant),
                qnn.QuantLinear(HIDDEN, HIDDEN, bias=False, weight_quant=quant),
                qnn.QuantLinear(HIDDEN, OUTPUTS, bias=True, weight_quant=quant),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.view(x.size(0), -1)
        x = torch.flatten(self.inp(x), 1)
        x = self.act(self.body[0](x))
        x = nn.functional.dropout(x, 0.5, training=self.training)
        x = self.act(self.body[1](x)).reshape(x.shape[0], HIDDEN)
        return self.body[2](x)


def test_a_forward_of_your_own_on_images() -> None:
    model = settle(Custom())
    lowered = lower(model, (1, 3, 4), name="image.net", labels="abcde")
    x = with_ties(model).reshape(-1, 1, 3, 4)
    report = compare(model, lowered, x, np.zeros(len(x)))
    assert report.differing == report.differing_decisions == 0
    assert report.accuracy_torch == report.accuracy_reference
    graph = lowered.graph
    assert (graph.name, graph.labels) == ("image_net", tuple("abcde"))
    names = ["body_0", "act", "body_1", "act_1", "body_2", "body_2_scaled"]
    assert [n.name for n in graph.nodes] == names
    assert evaluate(graph, quantise(graph, lowered.arrange(x))).shape == (len(x), OUTPUTS)


def test_wide_activations_become_multiplications_instead_of_tables() -> None:
    model = nn.Sequential(
        identity(SIGNED, bit_width=8),
        qnn.QuantLinear(
            INPUTS, 40, bias=True, weight_quant=fixed_point.Int8WeightPerChannelFixedPoint
        ),
        identity(SIGNED, bit_width=16),
    )
    lowered = assert_equal(model)
    assert isinstance(lowered.graph.nodes[1].op, Requantize)


def test_the_model_is_left_as_it_was() -> None:
    model = settle(two_layers(POWER_OF_TWO_WEIGHTS["tensor"], relu(3)))
    model.train()
    model.bn.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compare(model, lower(model, INPUTS), with_ties(model, 10))
    assert model.training and model.drop.training and not model.bn.training
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_one_wrong_weight_is_found() -> None:
    model = settle(two_layers(POWER_OF_TWO_WEIGHTS["tensor"], relu(3)))
    lowered = lower(model, INPUTS)
    quantised = model.fc1.quant_weight()
    with torch.no_grad():
        model.fc1.weight.copy_(quantised.value)  # the same integers
    assert compare(model, lowered, with_ties(model)).differing == 0
    with torch.no_grad():
        # Within the largest magnitude, which fixes the scale.
        at = model.fc1.weight.abs().argmin()
        model.fc1.weight.view(-1)[at] += quantised.scale.item()
    report = compare(model, lowered, with_ties(model))
    assert report.differing > 0
    assert {one.name for one in report.tensors if one.differing} == {"act", "fc2_scaled"}


@pytest.mark.parametrize("broken", ["threshold", "scale"])
def test_a_graph_that_is_off_by_one_step_is_found(broken: str) -> None:
    from dataclasses import replace

    model = settle(two_layers(POWER_OF_TWO_WEIGHTS["channel"], relu(2)))
    lowered = lower(model, INPUTS)
    graph = lowered.graph
    if broken == "threshold":
        nodes = list(graph.nodes)
        op = nodes[1].op
        assert isinstance(op, Threshold)
        nodes[1] = replace(nodes[1], op=Threshold(op.thresholds + 1, op.base, op.step))
        graph = replace(graph, nodes=tuple(nodes))
        assert compare(model, replace(lowered, graph=graph), with_ties(model)).differing > 0
    else:
        name, port = graph.output.name, graph.ports[graph.output.name]
        graph = replace(graph, ports={**graph.ports, name: replace(port, scale=port.scale * 1.5)})
        report = compare(model, replace(lowered, graph=graph), with_ties(model))
        assert report.largest_output_error > port.scale


def test_names() -> None:
    assert identifier("net.0") == "net_0"
    assert identifier("0") == "l0"
    assert identifier("_hidden..__layer-1_") == "hidden_layer_1"


def test_no_bias_in_front_of_a_quantiser() -> None:
    """Scale, bias and batch-norm all end in the threshold, so that the sums stay narrow."""
    lowered = assert_equal(two_layers(POWER_OF_TWO_WEIGHTS["tensor"], relu(2)))
    first = lowered.graph.nodes[0].op
    assert isinstance(first, Dense) and not first.bias.any()


def test_learned_scales_and_bit_widths_are_read_from_the_module() -> None:
    act = qnn.QuantReLU(
        act_quant=fixed_point.Uint8ActPerTensorFixedPoint.let(
            bit_width_impl_type="parameter", scaling_impl_type=ScalingImplType.PARAMETER_FROM_STATS
        ),
        bit_width=5,
        return_quant_tensor=True,
    )
    model = two_layers(POWER_OF_TWO_WEIGHTS["tensor"], act)
    settle(model)
    with torch.no_grad():
        impl = act.act_quant.fused_activation_quant_proxy.tensor_quant.msb_clamp_bit_width_impl
        impl.bit_width_offset.fill_(0.9 + float(impl.bit_width_offset) - 2)
    lowered = lower(model, INPUTS)
    assert lowered.graph.values["act"].type.width == int(act.act_quant.bit_width())
    assert compare(model, lowered, with_ties(model)).differing == 0
