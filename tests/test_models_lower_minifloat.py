"""Brevitas' minifloats become integers that mean the same, in every format, ties included."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import fixed_point
from brevitas.quant.float import (
    Fp8e4m3ActPerTensorFloat,
    Fp8e4m3WeightPerChannelFloat,
    Fp8e4m3WeightPerTensorFloat,
)
from brevitas.quant.float_quant_fnuz import FpFNUZActPerTensorFloat, FpFNUZWeightPerTensorFloat
from brevitas.quant.float_quant_ocp import (
    Fp8e4m3OCPActPerTensorFloat,
    Fp8e5m2OCPActPerTensorFloat,
    Fp8e5m2OCPWeightPerTensorFloat,
    FpOCPWeightPerTensorFloat,
)
from brevitas.quant.mx_quant_ocp import MXFloat8e4m3Act, MXFloat8e4m3Weight
from torch import nn

from bitwright.hls import simulate, write
from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import (
    Codebook,
    Dense,
    Graph,
    Lookup,
    Plan,
    Threshold,
    Unrolled,
    decode,
    evaluate,
    quantise,
    stored_bits,
)
from bitwright.models.graph.codebooks import minifloat_table
from bitwright.models.lower import Lowered, compare, lower
from bitwright.rtl_tb import emit
from bitwright.rtl_tb.bulk import build

torch.set_num_threads(1)

INPUTS, HIDDEN, OUTPUTS = 12, 7, 5
INTEGER = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(min_val=-2.0, max_val=2.0)
FORMATS = [(2, 0), (3, 0), (1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (2, 3), (3, 3), (4, 3), (5, 2)]
"""Exponent and mantissa bits; E1 is an even grid, and E4M3 and E5M2 need sums above 24 bits."""

SOME = [(2, 0), (1, 2), (2, 1), (4, 3)]


def minifloat(base: type, x: int, y: int, power_of_two: bool = True, **kwargs: object) -> type:
    kwargs = {"bit_width": 1 + x + y, "exponent_bit_width": x, "mantissa_bit_width": y, **kwargs}
    if power_of_two:
        kwargs["restrict_scaling_type"] = "power_of_two"
    return base.let(**kwargs)  # type: ignore[attr-defined, no-any-return]


def activation(x: int = 2, y: int = 1, **kwargs: object) -> type:
    return minifloat(Fp8e4m3ActPerTensorFloat, x, y, **kwargs)  # type: ignore[arg-type]


def weights(x: int = 2, y: int = 1, **kwargs: object) -> type:
    return minifloat(Fp8e4m3WeightPerTensorFloat, x, y, **kwargs)  # type: ignore[arg-type]


def source(bits: int = 5) -> nn.Module:
    return qnn.QuantIdentity(act_quant=INTEGER, bit_width=bits, return_quant_tensor=True)


def network(weight: type, act: type, relu: bool = False) -> nn.Module:
    kind = qnn.QuantReLU if relu else qnn.QuantIdentity
    layers: list[tuple[str, nn.Module]] = [
        ("inp", source()),
        ("fc1", qnn.QuantLinear(INPUTS, HIDDEN, bias=True, weight_quant=weight)),
        ("bn", nn.BatchNorm1d(HIDDEN)),
        ("act", kind(act_quant=act, return_quant_tensor=True)),
        ("fc2", qnn.QuantLinear(HIDDEN, OUTPUTS, bias=True, weight_quant=weight)),
    ]
    return settled(nn.Sequential(OrderedDict(layers)))


def settled(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, -1.5, 1.5)
        if isinstance(module, qnn.QuantLinear):
            nn.init.normal_(module.weight, 0.0, 0.5)
    model.train()
    for _ in range(10):
        model(torch.randn(64, INPUTS))
    return model.eval()


def rows(count: int = 2000) -> np.ndarray:
    """Random inputs, half of them on the exact steps of the input quantiser."""
    x = np.random.default_rng(1).normal(0, 1.5, (count, INPUTS))
    x[: count // 2] = np.round(x[: count // 2] * 32) / 32
    x[0], x[1], x[2] = 0, 100, -100
    return x.astype(np.float32)


def dense(lowered: Lowered, name: str) -> Dense:
    (op,) = (node.op for node in lowered.graph.nodes if node.name == name)
    assert isinstance(op, Dense)
    return op


@pytest.mark.parametrize(
    ("x", "y", "sign"),
    [(*one, "signed") for one in FORMATS]
    + [(*one, sign) for one in SOME for sign in ("unsigned", "relu")],
)
def test_every_format_computes_what_torch_does(x: int, y: int, sign: str) -> None:
    act = activation(x, y, signed=sign != "unsigned")
    model = network(weights(x, y), act, relu=sign == "relu")
    lowered = lower(model, INPUTS)
    report = compare(model, lowered, rows())
    assert [one.differing for one in report.tensors[:-1]] == [0, 0]
    assert report.differing_decisions == 0
    if lowered.graph.output.type.width <= 24:
        assert report.differing == 0
    else:  # float32 itself rounds such sums
        assert report.largest_output_error < 1e-6
    for name in ("fc1", "fc2"):
        assert isinstance(dense(lowered, name).weights, Codebook)


@pytest.mark.parametrize(
    ("x", "y", "rounding"),
    [(*one, "round") for one in FORMATS] + [(*one, "floor") for one in SOME],
)
def test_every_integer_that_an_8_bit_input_can_be(x: int, y: int, rounding: str) -> None:
    """All 256, so that every tie of the format that an integer can meet is met."""
    act = activation(x, y, float_to_int_impl_type=rounding)
    model = nn.Sequential(
        OrderedDict(
            inp=source(8),
            act=qnn.QuantIdentity(act_quant=act, return_quant_tensor=True),
            fc=qnn.QuantLinear(1, 2, bias=False, weight_quant=weights()),
        )
    )
    model.train()
    for _ in range(5):
        model(torch.full((64, 1), 1.9))  # the format's ends lie inside the inputs' range
    model.eval()
    lowered = lower(model, 1)
    step = float(lowered.graph.ports["inp"].scale)
    every = (np.arange(-128, 128) * step).astype(np.float32)[:, None]
    assert len(np.unique(quantise(lowered.graph, every))) == 256
    report = compare(model, lowered, every)
    assert [one.differing for one in report.tensors] == [0, 0, 0]


@pytest.mark.parametrize(
    ("weight", "act", "largest"),
    [
        (minifloat(FpOCPWeightPerTensorFloat, 4, 3), Fp8e4m3OCPActPerTensorFloat, 448 << 9),
        (Fp8e5m2OCPWeightPerTensorFloat, Fp8e5m2OCPActPerTensorFloat, 57344 << 16),
        (minifloat(FpFNUZWeightPerTensorFloat, 3, 2), minifloat(FpFNUZActPerTensorFloat, 3, 2),
         7 << 6),
    ],
    ids=["OCP E4M3", "OCP E5M2", "FNUZ E3M2"],
)  # fmt: skip
def test_formats_that_spend_codes_or_another_bias(weight: type, act: type, largest: int) -> None:
    model = network(
        weight.let(restrict_scaling_type="power_of_two"),  # type: ignore[attr-defined]
        act.let(restrict_scaling_type="power_of_two"),  # type: ignore[attr-defined]
    )
    lowered = lower(model, INPUTS)
    report = compare(model, lowered, rows())
    assert [one.differing for one in report.tensors[:-1]] == [0, 0]
    (table,) = (node.op.table for node in lowered.graph.nodes if isinstance(node.op, Lookup))
    assert table.max() == largest


def test_scales_that_are_no_powers_of_two_are_counted() -> None:
    model = network(
        minifloat(Fp8e4m3WeightPerChannelFloat, 3, 2, power_of_two=False),
        activation(3, 2, power_of_two=False),
    )
    lowered = lower(model, INPUTS)
    report = compare(model, lowered, rows())
    assert sum(one.differing for one in report.tensors[:-1]) <= 1e-4 * report.compared
    assert report.differing_decisions == 0


def test_a_codebook_is_the_format_where_it_is_used() -> None:
    model = network(weights(3, 2), activation())
    codec = dense(lower(model, INPUTS), "fc1").weights
    assert isinstance(codec, Codebook)
    table = minifloat_table(3, 2)
    used = np.isin(np.arange(64), codec.indices)
    ratio = np.unique(table[used & (table != 0)] / codec.table[0][used & (table != 0)])
    assert len(ratio) == 1 and np.log2(ratio[0]) % 1 == 0
    assert not codec.table[0][~used].any() and 0 < used.sum() < 64
    assert np.gcd.reduce(codec.table[0]) % 2 == 1  # nothing is wider than it has to be
    assert stored_bits(codec) == INPUTS * HIDDEN * 6 + 64 * codec.entry_bits
    quantised = model.fc1.quant_weight()  # type: ignore[union-attr, operator]
    unit = quantised.scale * 2.0 ** (1 - 3 - 2) * ratio[0]
    assert torch.equal(torch.tensor(decode(codec).T).float() * unit, quantised.value)


def test_an_even_format_needs_no_table_and_may_be_the_input() -> None:
    lowered = lower(network(weights(), activation(1, 2)), INPUTS)
    assert not any(isinstance(node.op, Lookup) for node in lowered.graph.nodes)
    first = qnn.QuantIdentity(act_quant=activation(1, 2), return_quant_tensor=True)
    model = nn.Sequential(first, qnn.QuantLinear(INPUTS, 3, bias=False, weight_quant=weights()))
    lowered = lower(settled(model), INPUTS)
    assert str(lowered.graph.input.type) == "s4"
    assert compare(model, lowered, rows()).differing == 0


def test_one_wrong_step_or_value_is_seen() -> None:
    model = network(weights(), activation())
    lowered = lower(model, INPUTS)
    assert compare(model, lowered, rows()).differing == 0
    for i, node in enumerate(lowered.graph.nodes):
        match node.op:
            case Threshold():
                changed = node.op.thresholds.copy()
                changed[0, 7] -= 1
                wrong = replace(node, op=replace(node.op, thresholds=np.sort(changed)))
            case Lookup():
                table = node.op.table.copy()
                table[0, 9] += 1
                wrong = replace(node, op=replace(node.op, table=table))
            case _:
                continue
        nodes = (*lowered.graph.nodes[:i], wrong, *lowered.graph.nodes[i + 1 :])
        spoilt = replace(lowered, graph=replace(lowered.graph, nodes=nodes))
        assert compare(model, spoilt, rows()).differing > 0


def test_a_convolution_of_minifloats() -> None:
    weight = minifloat(Fp8e4m3WeightPerChannelFloat, 2, 1)
    torch.manual_seed(0)
    model = nn.Sequential(
        source(),
        qnn.QuantConv2d(2, 6, 3, padding=1, bias=False, weight_quant=weight),
        nn.BatchNorm2d(6),
        qnn.QuantReLU(act_quant=activation(), return_quant_tensor=True),
        nn.Flatten(),
        qnn.QuantLinear(96, 5, bias=False, weight_quant=weight),
    )
    model.train()
    for _ in range(10):
        model(torch.randn(32, 2, 4, 4))
    model.eval()
    lowered = lower(model, (2, 4, 4))
    kinds = [node.kind for node in lowered.graph.nodes]
    assert kinds == ["conv2d", "threshold", "lookup", "reshape", "dense"]
    x = np.random.default_rng(0).normal(0, 1, (300, 2, 4, 4)).astype(np.float32)
    assert compare(model, lowered, x).differing == 0


def test_hls_and_rtl_compute_a_minifloat_network(tmp_path: Path) -> None:
    graph: Graph = lower(network(weights(2, 1), activation(2, 1), relu=True), INPUTS).graph
    kinds = [node.kind for node in graph.nodes]
    assert kinds == ["dense", "threshold", "lookup", "dense", "requantize"]
    x = quantise(graph, rows(3000))
    expected = evaluate(graph, x)
    assert np.array_equal(simulate(write(graph, tmp_path / "hls"), x), expected)
    plan = Plan({node.name: Unrolled(1) for node in graph.nodes})
    bench = build(emit(graph, plan, tmp_path / "rtl"), tmp_path / "sim")
    assert bench.verify(x, expected).passed
    expected[17, 2] += 1
    assert bench.verify(x, expected).mismatches == 1


def act(quant: type) -> nn.Module:
    return qnn.QuantIdentity(act_quant=quant, return_quant_tensor=True)


def fc(weight: type) -> nn.Module:
    return qnn.QuantLinear(INPUTS, OUTPUTS, bias=False, weight_quant=weight)


def fractional() -> nn.Module:
    layer = fc(weights(3, 2, mantissa_bit_width_impl_type="parameter"))
    impl = layer.weight_quant.tensor_quant.mantissa_bit_width_impl  # type: ignore[union-attr]
    impl.forward = lambda: torch.tensor(2.5)
    return layer


REFUSED: dict[str, tuple[Callable[[], list[nn.Module]], str]] = {
    "at the input": (
        lambda: [act(activation(3, 2)), fc(weights())],
        "quantises the network's input to E3M2, and a port's values are evenly spaced: put a "
        "QuantIdentity with an integer quantiser in front of it",
    ),
    "infinite activations": (
        lambda: [
            source(),
            act(activation(4, 3, saturating=False, nan_values=("111",))),
            fc(weights()),
        ],
        "has an activation quantiser that makes infinity or NaN: set saturating=True",
    ),
    "infinite weights": (
        lambda: [source(), fc(weights(4, 3, saturating=False, nan_values=("111",)))],
        "has a weight quantiser that makes infinity or NaN: set saturating=True",
    ),
    "activations by chance": (
        lambda: [
            source(),
            act(activation(float_to_int_impl_type="stochastic_round")),
            fc(weights()),
        ],
        "rounds with StochasticRoundSte: use FloatToIntImplType.ROUND or FLOOR",
    ),
    "weights by chance": (
        lambda: [
            source(),
            fc(
                weights(
                    float_to_int_impl_type="stochastic_round",
                    deterministic_inference=False,
                )
            ),
        ],
        "rounds by chance in eval mode too: give it deterministic_inference=True",
    ),
    "half precision": (
        lambda: [source(), act(activation(5, 10)), fc(weights())],
        "of format E5M10: use a minifloat of at most 8 bits",
    ),
    "too many exponent bits": (
        lambda: [source(), fc(weights(6, 1))],
        "of format E6M1: use a minifloat",
    ),
    "fractional widths": (
        lambda: [source(), fractional()],
        "has a weight quantiser with several or fractional mantissa widths",
    ),
    "scales inside a row": (
        lambda: [source(), fc(MXFloat8e4m3Weight)],
        "has weights quantised to GroupwiseFloatQuantTensor: use an integer, binary or minifloat",
    ),
    "scales by group": (
        lambda: [
            source(),
            qnn.QuantIdentity(act_quant=MXFloat8e4m3Act, group_dim=1),
            fc(weights()),
        ],
        "of type GroupwiseActFloatQuantProxyFromInjector: use an integer, binary or minifloat",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case: str) -> None:
    layers, message = REFUSED[case]
    with pytest.raises(UnsupportedError) as error:
        lower(nn.Sequential(*layers()).eval(), INPUTS)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
