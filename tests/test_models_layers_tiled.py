"""Tiled layers against their definition written as loops, in value and in both gradients."""

import brevitas.nn as qnn
import pytest
import torch
from brevitas.quant_tensor import IntQuantTensor

from bitwright.models.errors import InputError
from bitwright.models.layers import TiledConv2d, TiledLinear, Tiling
from bitwright.models.layers.signs import reste_power, reste_slope, sign
from bitwright.models.layers.tiled import copies_for, distinct_rows


def layer(**options: object) -> TiledLinear:
    torch.manual_seed(0)
    tiling = Tiling(4, min_compress_size=0, **options)  # type: ignore[arg-type]
    return TiledLinear(6, 8, bias=False, tiling=tiling)


def weights_by_definition(scores: torch.Tensor, scale: torch.Tensor, p: int) -> torch.Tensor:
    """Section 3 of the paper, element by element."""
    flat, values = scores.flatten(), scale.flatten()
    q = len(flat) // p
    made = torch.empty_like(flat)
    for k in range(len(flat)):
        total = sum(float(flat[i * q + k % q]) for i in range(p))
        tile = k // q
        alpha = float(values[tile * q : (tile + 1) * q].abs().mean())
        made[k] = alpha * (1.0 if total > 0 else -1.0)
    return made.reshape(scores.shape)


@pytest.mark.parametrize("source", ["own", "scores"])
def test_forward_is_the_definition(source: str) -> None:
    made = layer(scale_from=source)
    values = made.weight if made.scale_values is None else made.scale_values
    expected = weights_by_definition(made.weight.detach(), values.detach(), 4)
    weight = made.quant_weight()
    assert isinstance(weight, IntQuantTensor)
    assert torch.allclose(weight.value, expected, rtol=1e-6)
    assert torch.equal(weight.value.sign(), expected.sign())
    x = torch.randn(3, 6)
    assert torch.allclose(made(x), x @ expected.T, rtol=1e-4, atol=1e-6)


def test_a_sum_of_zero_is_minus_one() -> None:
    made = layer()
    with torch.no_grad():
        made.weight.zero_()
    assert torch.equal(made.tile, -torch.ones(12))
    assert torch.equal(made.signs(), -torch.ones(8, 6))


def test_one_scale_for_all() -> None:
    made = layer(scale="single", scale_from="scores")
    scale = made.weight.abs().mean()
    assert torch.allclose(made.quant_weight().value, made.signs() * scale)
    assert made.scale_per_output


@pytest.mark.parametrize("estimator", ["identity", "reste"])
def test_the_authors_gradient_reaches_each_score_alone(estimator: str) -> None:
    made = layer(estimator=estimator)
    made.power = 2.0
    upstream = torch.randn(8, 6)
    made.signs().backward(upstream)
    sums = made.weight.detach().reshape(4, -1).sum(0).repeat(4).reshape(8, 6)
    slope = reste_slope(sums, 2.0) if estimator == "reste" else torch.ones(8, 6)
    assert made.weight.grad is not None
    assert torch.allclose(made.weight.grad, upstream * slope)


@pytest.mark.parametrize("estimator", ["identity", "reste"])
def test_the_exact_gradient_is_the_sum_over_the_copies(estimator: str) -> None:
    made = layer(gradient="exact", estimator=estimator)
    made.power = 2.0
    upstream = torch.randn(8, 6)
    made.signs().backward(upstream)
    sums = made.weight.detach().reshape(4, -1).sum(0)
    slope = reste_slope(sums, 2.0) if estimator == "reste" else torch.ones(12)
    expected = (upstream.reshape(4, -1).sum(0) * slope).repeat(4).reshape(8, 6)
    assert made.weight.grad is not None
    assert torch.allclose(made.weight.grad, expected, rtol=1e-5)
    assert not torch.allclose(made.weight.grad, upstream)  # it is another rule


def test_both_gradients_give_the_same_signs_after_a_step_of_sgd() -> None:
    """The sum of a sign's scores moves by the same direction, p times as far for the exact rule."""
    upstream = torch.randn(8, 6)
    moved = []
    for gradient, rate in (("authors", 0.4), ("exact", 0.1)):
        made = layer(gradient=gradient)
        made.signs().backward(upstream)
        assert made.weight.grad is not None
        moved.append((made.weight - rate * made.weight.grad).reshape(4, -1).sum(0))
    assert torch.allclose(moved[0], moved[1], atol=1e-5)


def test_small_layers_stay_plain_binary() -> None:
    torch.manual_seed(0)
    made = TiledLinear(6, 8, tiling=Tiling(4, min_compress_size=49))
    assert made.copies == 1 and len(made.tile) == 48
    assert torch.equal(made.signs(), torch.where(made.weight > 0, 1.0, -1.0))


@pytest.mark.parametrize(
    ("p", "outputs", "fan_in", "message"),
    [(5, 8, 6, "do not divide 48"), (8, 8, 6, "all outputs would be equal"),
     (16, 8, 6, "all outputs would be equal"), (0, 8, 6, "at least 1")],
)  # fmt: skip
def test_tiles_that_do_not_fit_are_refused(p: int, outputs: int, fan_in: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TiledLinear(fan_in, outputs, tiling=Tiling(p, min_compress_size=0))


@pytest.mark.parametrize("p", [1, 2, 3, 4, 6, 12])
def test_distinct_rows_are_counted_right(p: int) -> None:
    made = TiledLinear(6, 8, tiling=Tiling(p, min_compress_size=0))
    with torch.no_grad():
        made.weight.copy_(torch.randn(8, 6))
    rows = {tuple(row.tolist()) for row in made.signs()}
    assert len(rows) <= distinct_rows(8, 6, p)
    scores = torch.arange(48.0).reshape(p, -1)[0]  # every place of the tile told apart
    spread = scores.repeat(p).reshape(8, 6)
    assert len({tuple(row.tolist()) for row in spread}) == distinct_rows(8, 6, p)


def test_scales_inside_a_row_are_said() -> None:
    made = TiledLinear(6, 8, bias=False, tiling=Tiling(3, min_compress_size=0))
    assert not made.scale_per_output
    weight = made.quant_weight()
    assert not isinstance(weight, IntQuantTensor)
    assert made.scale_values is not None
    expected = weights_by_definition(made.weight.detach(), made.scale_values.detach(), 3)
    assert torch.allclose(weight, expected)


def test_a_convolution_shares_whole_filters() -> None:
    torch.manual_seed(0)
    made = TiledConv2d(3, 8, 3, padding=1, bias=False, tiling=Tiling(4, min_compress_size=0))
    signs = made.signs().detach()
    assert all(torch.equal(signs[i], signs[i + 2 * k]) for i in range(2) for k in range(4))
    x = torch.randn(2, 3, 5, 5)
    expected = torch.nn.functional.conv2d(x, made.quant_weight().value, padding=1)
    assert torch.allclose(made(x), expected, rtol=1e-4, atol=1e-5)


def test_quantised_activations_and_bias_are_brevitas_own() -> None:
    model = torch.nn.Sequential(
        qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),
        TiledLinear(6, 8, tiling=Tiling(4, min_compress_size=0)),
        qnn.QuantReLU(bit_width=3, return_quant_tensor=True),
    )
    loss = model(torch.randn(5, 6)).value.sum()
    loss.backward()
    assert model[1].weight.grad is not None
    assert model[1].scale_values.grad is not None


def test_copies_can_be_asked_for_without_a_layer() -> None:
    assert copies_for(Tiling(4), 128, 784, "layer") == 4
    assert copies_for(Tiling(4), 10, 128, "layer") == 1


def test_reste_sharpens_on_a_cosine() -> None:
    assert [round(reste_power(t), 6) for t in (0.0, 0.5, 1.0)] == [1.0, 2.0, 3.0]
    x = torch.tensor([-2.0, -1.5, -0.5, 0.0, 0.05, 0.1, 1.0, 1.6])
    assert torch.allclose(reste_slope(x, 1.0), (x.abs() <= 1.5).float())
    sharp = reste_slope(x, 3.0)
    assert sharp[0] == 0 and sharp[-1] == 0 and sharp[3] == sharp[5] == sharp.max()
    assert torch.isclose(sharp[2], torch.tensor(0.5 ** (-2 / 3) / 3))
    assert torch.equal(sign(torch.tensor([0.0, -0.0, 1e-30])), torch.tensor([-1.0, -1.0, 1.0]))
