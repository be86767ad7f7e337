"""Power grids against their definition written as loops; their exponent, searched and learned."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant.fixed_point import (
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPointMaxInit,
)
from torch import nn

from bitwright.models.data import digits
from bitwright.models.errors import InputError
from bitwright.models.layers import PowerConv2d, PowerGrid, PowerLinear
from bitwright.models.layers.power import LOWEST
from bitwright.models.train import Recipe, accuracy, train

torch.set_num_threads(1)


def layer(bits: int = 4, exponent: float | None = 0.5, **options: object) -> PowerLinear:
    torch.manual_seed(0)
    grid = PowerGrid(bits, exponent, **options)  # type: ignore[arg-type]
    made = PowerLinear(6, 8, bias=False, grid=grid)
    with torch.no_grad():
        made.weight.normal_()
    return made


def by_definition(made: PowerLinear, a: float) -> torch.Tensor:
    """q = round(s sign(w) |w|^a) and back, levels rounded to integers times the scale."""
    n = 2 ** (made.grid.bits - 1) - 1
    limit = 2 ** (made.grid.entry_bits - 1) - 1
    top = float(made.weight.abs().max())
    scale = next(2.0**k for k in range(-40, 40) if limit * 2.0**k >= top)
    largest = round(top / scale)
    expected = torch.empty(8, 6)
    for o in range(8):
        for i in range(6):
            weight = float(made.weight[o, i])
            q = min(round(n * (abs(weight) / (largest * scale)) ** a), n)
            level = round((q / n) ** (1 / a) * largest)
            expected[o, i] = np.sign(weight) * level * scale
    return expected


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_forward_is_the_definition(bits: int, exponent: float) -> None:
    made = layer(bits, exponent)
    weight = made.quant_weight()
    assert torch.equal(weight.value, by_definition(made, exponent))
    assert torch.equal(weight.value, weight.int().float() * weight.scale)
    x = torch.randn(3, 6)
    assert torch.allclose(made(x), x @ weight.value.T, rtol=1e-4, atol=1e-6)
    table, indices, _ = made.coded()
    assert table.shape == (1, 2**bits) and int(indices.max()) < 2**bits and int(indices.min()) >= 0


def test_a_weight_gets_its_own_gradient() -> None:
    made = layer()
    upstream = torch.randn(8, 6)
    made.quant_weight().value.backward(upstream)
    assert made.weight.grad is not None
    assert torch.equal(made.weight.grad, upstream)


def test_the_exponents_gradient_is_the_chain_rule() -> None:
    """Against autograd through the same function, its rounding passed straight through."""
    made = layer(bits=5, exponent=0.6, entry_bits=16)
    upstream = torch.randn(8, 6)
    made.quant_weight().value.backward(upstream)
    a = torch.tensor(float(made.exponent), dtype=torch.float64, requires_grad=True)
    top = made.weight.detach().abs().max().double()
    r = made.weight.detach().abs().double() / top
    x = 15 * r**a
    q = x + (x.round() - x).detach()
    used = x.round() > 0
    level = top * (q.clamp(min=1e-9) / 15) ** (1 / a) * made.weight.detach().sign()
    (level * upstream * used).sum().backward()
    assert made.exponent.grad is not None and a.grad is not None
    assert float(made.exponent.grad) == pytest.approx(float(a.grad), rel=1e-3)
    assert abs(float(a.grad)) > 1e-2


def test_the_search_finds_the_exponent_that_made_the_weights() -> None:
    n = 7
    levels = torch.arange(-n, n + 1) / n
    for a in (0.4, 0.6, 0.8):
        made = PowerLinear(5, 3, bias=False, grid=PowerGrid(4, entry_bits=16))
        with torch.no_grad():
            made.weight.copy_((levels.sign() * levels.abs() ** (1 / a)).reshape(3, 5))
        made.fit()
        assert made.power == pytest.approx(a, abs=0.03)
        error = (made.quant_weight().value - made.weight).abs().max()
        assert error < 0.02


def test_bell_shaped_weights_want_an_exponent_below_one() -> None:
    torch.manual_seed(1)
    made = PowerLinear(64, 64, bias=False, grid=PowerGrid(4, learned=False))
    assert made.power > 0.85  # the first weights are uniformly distributed
    with torch.no_grad():
        made.weight.normal_()
    even = float((made.quant_weight().value - made.weight).square().mean())
    made.fit()
    assert LOWEST < made.power < 0.8
    assert float((made.quant_weight().value - made.weight).square().mean()) < 0.8 * even
    made.quant_weight().value.sum().backward()
    assert made.exponent.grad is None and not made.exponent.requires_grad


def test_a_trained_exponent_stays_in_its_range() -> None:
    made = layer()
    with torch.no_grad():
        made.exponent.fill_(-3.0)
    assert made.power == LOWEST
    assert torch.isfinite(made.quant_weight().value).all()


def test_weights_of_zero_are_zero() -> None:
    made = layer()
    with torch.no_grad():
        made.weight.zero_()
    made.quant_weight().value.sum().backward()
    assert not made.quant_weight().value.any()
    assert made.exponent.grad is not None and float(made.exponent.grad) == 0


def test_a_convolution_shares_the_code() -> None:
    torch.manual_seed(0)
    made = PowerConv2d(3, 4, 3, padding=1, bias=False, grid=PowerGrid(3))
    weight = made.quant_weight().value
    assert len(weight.unique()) <= 7
    x = torch.randn(2, 3, 5, 5)
    expected = nn.functional.conv2d(x, weight, padding=1)
    assert torch.allclose(made(x), expected, rtol=1e-4, atol=1e-5)
    made(x).sum().backward()
    assert made.exponent.grad is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "a power grid of 1 bits"),
        ({"bits": 9}, "a power grid of 9 bits"),
        ({"bits": 4, "entry_bits": 17}, "levels of 17 bits"),
        ({"bits": 4, "exponent": 1.5}, r"an exponent of 1.5 is outside 0.2\.\.1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PowerGrid(**options)  # type: ignore[arg-type]


def test_training_beats_the_start_and_keeps_up_with_integers_of_equal_bits() -> None:
    data = digits()
    act = {"act_quant": Uint8ActPerTensorFixedPointMaxInit, "return_quant_tensor": True}
    reached = {}
    for kind in ("power", "integer"):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for inputs, outputs in ((64, 16), (16, 10)):
            if kind == "power":
                layers.append(PowerLinear(inputs, outputs, bias=False, grid=PowerGrid(3)))
            else:
                weight = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 3}
                layers.append(qnn.QuantLinear(inputs, outputs, bias=False, **weight))
        model = nn.Sequential(
            qnn.QuantIdentity(bit_width=4, max_val=1.0, **act),
            layers[0],
            nn.BatchNorm1d(16),
            qnn.QuantReLU(bit_width=3, max_val=4.0, **act),
            layers[1],
            nn.BatchNorm1d(10),
        )
        untrained = accuracy(model, data.x_test, data.y_test)
        reached[kind] = train(model, data, Recipe(epochs=6, noise=0.1)).accuracy
        assert reached[kind] > untrained + 0.5
        if kind == "power":
            assert all(0 < one.power < 1 for one in layers)  # type: ignore[operator]
    assert reached["power"] > reached["integer"] - 0.02
