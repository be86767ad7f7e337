"""The bottleneck layer: equal to its integer graph, frozen, with a straight-through gradient."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from brevitas.nn import QuantLinear, QuantReLU
from brevitas.quant import Int32Bias
from brevitas.quant_tensor import IntQuantTensor
from torch import nn

from bitwright.models.errors import InputError
from bitwright.models.graph import (
    Graph,
    Interval,
    IntType,
    Node,
    Port,
    Value,
    derive_threshold,
    evaluate,
)
from bitwright.models.layers import BitQuantiser, BitwiseBottleneck, bottleneck_ops

ODD = float(np.float32(0.0537))
QUANTISERS = [
    BitQuantiser(2.0**-4, 8, (0, 5, 6, 7), (4, 33, 64, 130), 0),
    BitQuantiser(2.0**-3, 5, (1, 3), (9, 17), 2),
    BitQuantiser(ODD, 6, (0, 2, 5), (3, 8, 61), 1),
    BitQuantiser(ODD, 7, (4, 5, 6), (1, 2, 4), -4),
    BitQuantiser(2.0**-2, 4, (3,), (1,), -3),
    BitQuantiser.uniform(2.0**-5, 3),
]
INPUT = Value("x", (1,), IntType(13, signed=True))
UNIT = 2.0**-7  # of the input: ties of the power-of-two scales are among its multiples


def graph_of(quantiser: BitQuantiser) -> Graph:
    """Threshold to u, then BitPlanes and Lookup, for one channel of integers n meaning n * UNIT."""
    top = (1 << quantiser.source_bits) - 1
    slope = Fraction(UNIT) / Fraction(quantiser.scale)
    interval = Interval.of_type(INPUT)
    threshold = derive_threshold([slope], [Fraction(0)], 0, top, "half_even", interval)
    planes, lookup = bottleneck_ops(quantiser)
    return Graph(
        "bottleneck",
        (INPUT,),
        (
            Node(threshold, ("x",), Value("u", (1,), IntType(quantiser.source_bits, False))),
            Node(planes, ("u",), Value("kept", (1,), IntType(quantiser.bits, False))),
            Node(lookup, ("kept",), Value("y", (1,), IntType(quantiser.value_bits, False))),
        ),
        ("y",),
        {"x": Port(UNIT), "y": Port(quantiser.unit)},
    )


@pytest.mark.parametrize("quantiser", QUANTISERS)
def test_torch_equals_the_integer_graph_on_every_input(quantiser: BitQuantiser) -> None:
    every = np.arange(INPUT.type.min, INPUT.type.max + 1)
    expected = evaluate(graph_of(quantiser), every[:, None])[:, 0]
    layer = BitwiseBottleneck(quantiser).eval()
    made = layer(torch.from_numpy(every).float() * UNIT)
    assert isinstance(made, IntQuantTensor)
    assert float(made.scale) == quantiser.unit
    assert (made.value == torch.from_numpy(expected).float() * made.scale).all()
    assert made.int().tolist() == expected.tolist()
    assert made.is_valid
    assert int(made.bit_width) == quantiser.value_bits
    assert not made.signed
    # Saturated, and with ties among the inputs where the scale is a power of two.
    assert every.max() * UNIT > quantiser.scale * (1 << quantiser.source_bits)
    quotients = [Fraction(int(n)) * Fraction(UNIT) / Fraction(quantiser.scale) for n in every]
    ties = sum(q.denominator == 2 and q > 0 for q in quotients)
    assert ties > 5 or quantiser.scale == ODD
    assert (quantiser.integers(every * UNIT) == expected).all()


def test_a_tie_that_goes_up_would_be_noticed() -> None:
    quantiser = QUANTISERS[0]
    every = np.arange(INPUT.type.min, INPUT.type.max + 1)
    up = np.floor(every * UNIT / quantiser.scale + 0.5).clip(0, 255).astype(int)
    wrong = sum(a * (up >> i & 1) for i, a in zip((0, 5, 6, 7), (4, 33, 64, 130), strict=True))
    assert (wrong != evaluate(graph_of(quantiser), every[:, None])[:, 0]).any()


def test_rounding_is_exact_next_to_ties_of_odd_scales() -> None:
    """float32 division would round quotients to ties that they are not; exact arithmetic decides.

    The nearest float32 neighbours of every tie, by rationals.
    """
    quantiser = BitQuantiser.uniform(ODD, 8)
    ties = np.float32((np.arange(255) + 0.5) * ODD)
    near = np.concatenate([ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, ties * 2)])
    made = BitwiseBottleneck(quantiser)(torch.from_numpy(near)).int()
    exact = [round(Fraction(float(x)) / Fraction(ODD)) for x in near]
    assert made.tolist() == exact
    in_float32 = torch.round(torch.from_numpy(near) / torch.tensor(ODD)).int().tolist()
    assert in_float32 != exact


def test_the_gradient_passes_inside_the_clip_range() -> None:
    layer = BitwiseBottleneck(BitQuantiser(0.5, 3, (1, 2), (3, 5), 1))
    x = torch.tensor([-0.1, 0.0, 0.3, 3.5, 3.6, 9.0], requires_grad=True)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    (layer(x).value * weights).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 0.0, 0.0]


def test_coefficients_stay_while_the_network_is_trained() -> None:
    torch.manual_seed(0)
    quantiser = QUANTISERS[1]
    model = nn.Sequential(
        QuantLinear(8, 16, bias=True, weight_bit_width=4),
        QuantReLU(bit_width=5, return_quant_tensor=True),
        BitwiseBottleneck(quantiser),
        QuantLinear(16, 2, bias=True, weight_bit_width=4, bias_quant=Int32Bias),
    )
    before = model[0].weight.detach().clone()
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    x = torch.randn(64, 8)
    target = (x[:, 0] > 0).long()
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(x), target)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert not torch.equal(before, model[0].weight)
    assert model[2].quantiser == quantiser
    assert not list(model[2].parameters())


def test_any_bottleneck_loads_any_other() -> None:
    for quantiser in QUANTISERS:
        state = BitwiseBottleneck(quantiser).state_dict()
        layer = BitwiseBottleneck()
        layer.load_state_dict(state)
        assert layer.quantiser == quantiser
    state["coefficients"] = torch.zeros_like(state["coefficients"])
    layer.load_state_dict(state)
    with pytest.raises(InputError, match="bit planes"):
        layer(torch.ones(1))


def test_plain_tensors_quant_tensors_and_nan() -> None:
    quantiser = QUANTISERS[2]
    x = torch.tensor([[0.1, float("nan")], [1.7, 9.0]])
    plain = BitwiseBottleneck(quantiser, return_quant_tensor=False)
    made = plain(x)
    assert type(made) is torch.Tensor
    assert made.shape == x.shape
    assert made.isnan().tolist() == [[False, True], [False, False]]
    quantised = QuantReLU(bit_width=8, return_quant_tensor=True).eval()(torch.rand(5, 3))
    assert torch.equal(plain(quantised), plain(quantised.value))
    assert "planes [0, 2, 5] of 6, coefficients [3, 8, 61] / 2^1" in repr(plain)
