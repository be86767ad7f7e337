"""Learned codebooks against their definition written as loops, and trained beside Brevitas' own."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import Int8Bias
from brevitas.quant.fixed_point import (
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPointMaxInit,
)
from torch import nn

from bitwright.models.data import Dataset, digits
from bitwright.models.errors import InputError
from bitwright.models.layers import CodebookConv2d, CodebookLinear, Codebooks
from bitwright.models.layers.codebook import power_of_two_scale
from bitwright.models.train import Recipe, accuracy, train

torch.set_num_threads(1)


def layer(groups: int = 2, index_bits: int = 2, entry_bits: int = 6) -> CodebookLinear:
    torch.manual_seed(0)
    codebooks = Codebooks(index_bits, groups, entry_bits)
    return CodebookLinear(6, 8, bias=False, codebooks=codebooks)


def by_definition(made: CodebookLinear) -> torch.Tensor:
    """Every weight is the nearest of its group's entries, rounded to integers times the scale."""
    largest = float(made.codebook.detach().abs().max())
    limit = 2 ** (made.entry_bits - 1) - 1
    scale = next(2.0**k for k in range(-40, 40) if limit * 2.0**k >= largest)
    expected = torch.empty(8, 6)
    for o in range(8):
        entries = [
            round(float(c) / scale) * scale
            for c in made.codebook.detach()[o * len(made.codebook) // 8]
        ]
        for i in range(6):
            weight = float(made.weight.detach()[o, i])
            expected[o, i] = min(entries, key=lambda entry: abs(entry - weight))
    return expected


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("index_bits", [1, 2, 4])
def test_forward_is_the_definition(groups: int, index_bits: int) -> None:
    made = layer(groups, index_bits)
    weight = made.quant_weight()
    assert torch.equal(weight.value, by_definition(made))
    assert torch.equal(weight.value, weight.int().float() * weight.scale)
    x = torch.randn(3, 6)
    assert torch.allclose(made(x), x @ weight.value.T, rtol=1e-4, atol=1e-6)
    assert not torch.equal(weight.value, made.weight)
    table, indices, scale = made.coded()
    assert table.shape == (groups, 2**index_bits) and indices.shape == (8, 6)
    assert table.abs().max() <= 31 and float(scale).hex().startswith("0x1.0000000000000p")


def test_gradients_are_the_sum_for_an_entry_and_its_own_for_a_weight() -> None:
    made = layer()
    upstream = torch.randn(8, 6)
    made.quant_weight().value.backward(upstream)
    _, indices, _ = made.coded()
    expected = torch.zeros(2, 4)
    inside = torch.zeros(8, 6, dtype=torch.bool)
    for o in range(8):
        group = o // 4
        for i in range(6):
            expected[group, indices[o, i]] += upstream[o, i]
            low, high = made.codebook[group].min(), made.codebook[group].max()
            inside[o, i] = low <= made.weight[o, i] <= high
    assert made.codebook.grad is not None and made.weight.grad is not None
    assert torch.allclose(made.codebook.grad, expected, atol=1e-6)
    assert torch.equal(made.weight.grad[inside], upstream[inside])
    assert 0 < inside.sum() < 48


def test_no_gradient_leads_farther_out_of_the_table() -> None:
    made = layer(groups=1)
    with torch.no_grad():
        made.weight[0, :2] = 9.0
        made.weight[1, :2] = -9.0
        made.codebook[0] = torch.tensor([-1.0, 0.0, 0.5, 1.0])
    upstream = torch.zeros(8, 6)
    upstream[0, 0], upstream[0, 1], upstream[1, 0], upstream[1, 1] = -1, 1, 1, -1
    made.quant_weight().value.backward(upstream)
    assert made.weight.grad is not None
    assert made.weight.grad[:2, :2].tolist() == [[0, 1], [0, -1]]


def test_an_index_moves_to_a_neighbour_once_its_weight_has_passed_the_middle() -> None:
    made = layer(groups=1, index_bits=2, entry_bits=8)
    with torch.no_grad():
        made.codebook[0] = torch.tensor([-1.0, 1.0, 0.0, 0.5])  # in any order
    seen = []
    for weight in torch.linspace(-1.2, 1.2, 97):
        with torch.no_grad():
            made.weight.fill_(weight)
        seen.append(made.quant_weight().value[0, 0].item())
    assert sorted(set(seen)) == [-1, 0, 0.5, 1] and seen == sorted(seen)


def test_fit_is_no_worse_than_any_other_even_split_and_stays_where_it_is() -> None:
    torch.manual_seed(3)
    weights = torch.cat([torch.randn(40) * 0.01 - 1, torch.randn(40) * 0.01 + 2])
    made = CodebookLinear(10, 8, bias=False, codebooks=Codebooks(1, entry_bits=12))
    with torch.no_grad():
        made.weight.copy_(weights.reshape(8, 10))
    before = (made.quant_weight().value - made.weight).square().sum()
    made.fit()
    after = (made.quant_weight().value - made.weight).square().sum()
    means = torch.stack([weights[:40].mean(), weights[40:].mean()])
    assert torch.allclose(made.codebook[0].sort().values, means, atol=1e-5)
    assert after < before / 100
    again = made.codebook.clone()
    made.fit()
    assert torch.equal(made.codebook, again)


def test_groups_of_different_outputs_get_tables_of_their_own() -> None:
    one, two = layer(groups=1, entry_bits=12), layer(groups=2, entry_bits=12)
    for made in (one, two):
        with torch.no_grad():
            made.weight[4:] *= 10
        made.fit()

    def error(made: CodebookLinear) -> float:
        return float((made.quant_weight().value - made.weight)[:4].square().sum())

    assert error(two) < error(one) / 4


def test_a_convolution_shares_the_code() -> None:
    torch.manual_seed(0)
    made = CodebookConv2d(3, 8, 3, padding=1, bias=False, codebooks=Codebooks(2, groups=4))
    weight = made.quant_weight().value
    for group in range(4):
        assert len(weight[2 * group : 2 * group + 2].unique()) == 4
    x = torch.randn(2, 3, 5, 5)
    expected = nn.functional.conv2d(x, weight, padding=1)
    assert torch.allclose(made(x), expected, rtol=1e-4, atol=1e-5)
    made(x).sum().backward()
    assert made.codebook.grad is not None and made.codebook.grad.abs().sum() > 0


def test_quantised_activations_and_bias_are_brevitas_own() -> None:
    model = nn.Sequential(
        qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),
        CodebookLinear(6, 8, codebooks=Codebooks(2), bias_quant=Int8Bias, return_quant_tensor=True),
        qnn.QuantReLU(bit_width=3, return_quant_tensor=True),
    )
    model(torch.randn(5, 6)).value.sum().backward()
    assert model[1].weight.grad is not None and model[1].codebook.grad is not None


def test_a_state_dict_holds_all_of_it() -> None:
    made = layer()
    other = CodebookLinear(6, 8, bias=False, codebooks=Codebooks(2, 2, 6))
    assert not torch.equal(other.quant_weight().value, made.quant_weight().value)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other.quant_weight().value, made.quant_weight().value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index_bits": 2, "groups": 3}, "8 outputs cannot be split into 3 equal groups: choose"),
        ({"index_bits": 0}, "0 index bits"),
        ({"index_bits": 9}, "9 index bits"),
        ({"index_bits": 2, "entry_bits": 1}, "entries of 1 bits"),
        ({"index_bits": 2, "groups": 0}, "0 codebooks"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CodebookLinear(6, 8, codebooks=Codebooks(**options))


def test_scales_are_the_smallest_powers_of_two_that_hold() -> None:
    assert float(power_of_two_scale(torch.tensor(7.0), 4)) == 1
    assert float(power_of_two_scale(torch.tensor(7.01), 4)) == 2
    assert float(power_of_two_scale(torch.tensor(0.4), 8)) == 2**-8
    assert float(power_of_two_scale(torch.tensor(0.0), 8)) == 1
    with pytest.raises(InputError, match="largest weight is nan"):
        power_of_two_scale(torch.tensor(float("nan")), 8)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits()


def small_network(first: nn.Module, last: nn.Module) -> nn.Module:
    act = {"act_quant": Uint8ActPerTensorFixedPointMaxInit, "return_quant_tensor": True}
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=4, max_val=1.0, **act),
        first,
        nn.BatchNorm1d(16),
        qnn.QuantReLU(bit_width=3, max_val=4.0, **act),
        last,
        nn.BatchNorm1d(10),
    )


def test_training_beats_the_start_and_keeps_up_with_integers_of_equal_bits(data: Dataset) -> None:
    reached = {}
    for kind in ("codebook", "integer"):
        torch.manual_seed(0)
        if kind == "codebook":
            layers = [
                CodebookLinear(i, o, bias=False, codebooks=Codebooks(2))
                for i, o in ((64, 16), (16, 10))
            ]
        else:
            layers = [
                qnn.QuantLinear(
                    i, o, bias=False, weight_bit_width=2, weight_quant=Int8WeightPerTensorFixedPoint
                )
                for i, o in ((64, 16), (16, 10))
            ]
        model = small_network(*layers)
        untrained = accuracy(model, data.x_test, data.y_test)
        start = [made.weight.detach().clone() for made in layers]
        reached[kind] = train(model, data, Recipe(epochs=6, noise=0.1)).accuracy
        assert reached[kind] > untrained + 0.5
        assert all(not torch.equal(a, b.weight) for a, b in zip(start, layers, strict=True))
    assert reached["codebook"] > reached["integer"] - 0.02
    assert np.isfinite(list(reached.values())).all()
