"""Learned bits: exact in the graph, with gradients to every width, and pruned at 0 bits."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import fixed_point
from torch import nn

from bitwright.models.data import Dataset
from bitwright.models.errors import InputError
from bitwright.models.graph import Dense, decode
from bitwright.models.layers import LearnedConv2d, LearnedLinear, learn_bits
from bitwright.models.layers.learned import LearnedWidth, cost
from bitwright.models.lower import compare, lower
from bitwright.models.train import Recipe, train

torch.set_num_threads(1)


def network() -> nn.Module:
    torch.manual_seed(0)
    act = {
        "act_quant": fixed_point.Uint8ActPerTensorFixedPointMaxInit,
        "return_quant_tensor": True,
    }
    weight = {"weight_quant": fixed_point.Int8WeightPerChannelFixedPoint, "weight_bit_width": 6}
    return nn.Sequential(
        OrderedDict(
            inp=qnn.QuantIdentity(bit_width=4, max_val=1.0, **act),
            fc1=qnn.QuantLinear(6, 8, bias=False, **weight),
            bn=nn.BatchNorm1d(8),
            act=qnn.QuantReLU(bit_width=4, max_val=2.0, **act),
            fc2=qnn.QuantLinear(8, 3, bias=True, **weight),
        )
    )


def blobs() -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = rng.normal(0, 0.1, (240, 6)) + np.eye(3).repeat(2, axis=1)[y] * 0.5
    x = x.clip(0, 1).astype(np.float32)
    return Dataset(x[:180], y[:180], x[180:], y[180:], ("a", "b", "c"), "blobs")


@pytest.mark.parametrize("granularity", ["weight", "channel", "layer"])
def test_training_under_the_cost_leaves_few_bits_and_an_exact_graph(granularity: str) -> None:
    model, data = learn_bits(network(), granularity), blobs()  # type: ignore[arg-type]
    model(torch.from_numpy(data.x_train[:8]))
    before = float(cost(model).detach())

    def loss(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(net(x), y) + cost(net) / before

    done = train(model, data, Recipe(epochs=12, batch=16, learning_rate=1e-2), loss=loss)
    after = float(cost(model).detach())
    assert after < before / 2 and done.accuracy > 0.9
    lowered = lower(model, 6)
    found = compare(model, lowered, data.x_test, data.y_test)
    assert (found.differing, found.accuracy_reference) == (0, done.accuracy)
    # The graph's weights are the layer's, in units of each output's scale; 0 bits are zeros.
    layer, node = model.get_submodule("fc1"), lowered.graph.nodes[0]
    assert isinstance(layer, LearnedLinear) and isinstance(node.op, Dense)
    quantised = layer.quant_weight()
    integers = (quantised.value / quantised.scale).detach().numpy()
    assert np.array_equal(decode(node.op.weights).T, integers)
    none = (layer.weight_bits() == 0).numpy()
    assert np.array_equal(np.broadcast_to(none, integers.shape), integers == 0)


def test_gradients_follow_the_error_and_the_bits() -> None:
    torch.manual_seed(1)
    layer = LearnedLinear(5, 4, bias=False, fraction_bits=2.0)
    value = layer.quant_weight().value
    error = (layer.weight - value).detach()
    value.sum().backward()
    assert torch.equal(layer.weight.grad, torch.ones_like(layer.weight))
    # value = w - error * 2^-(f - f0), and f is 8 times what is trained.
    expected = error * np.log(2) * 8
    assert torch.allclose(layer.fraction.grad, expected, atol=1e-6)
    layer.zero_grad()
    layer.weight_bits().sum().backward()
    used = layer.weight_bits() > 0
    assert torch.equal(layer.fraction.grad > 0, used)


def test_bits_of_a_weight_by_hand() -> None:
    layer = LearnedLinear(4, 1, bias=False, fraction_bits=3.0)
    with torch.no_grad():
        # 0.05 is 0 at a step of 1/8; 0.3 is 2/8 and so 1/4: two bits above the point's third.
        layer.weight.copy_(torch.tensor([[0.05, 0.3, -1.5, 0.125]]))
    assert layer.weight_bits().tolist() == [[0.0, 2.0, 4.0, 1.0]]
    quantised = layer.quant_weight()
    assert (quantised.value / quantised.scale).tolist() == [[0.0, 2.0, -12.0, 1.0]]
    assert float(quantised.bit_width) == 5  # -12 and its sign


def test_what_is_converted_and_what_is_not() -> None:
    act = {"act_quant": fixed_point.Uint8ActPerTensorFixedPointMaxInit, "max_val": 1.0}
    model = nn.Sequential(
        qnn.QuantIdentity(bit_width=1, **act),
        qnn.QuantConv2d(2, 3, 3, padding=1, stride=2, bias=True),
        qnn.QuantReLU(bit_width=3, **act),
        nn.Linear(4, 2),
    )
    bias = model[1].bias
    learn_bits(model)
    assert isinstance(model[1], LearnedConv2d) and model[1].bias is bias
    assert (model[1].stride, model[1].padding) == ((2, 2), (1, 1))
    assert type(model[3]) is nn.Linear
    widths = [m for m in model.modules() if isinstance(m, LearnedWidth)]
    assert [float(w()) for w in widths] == [3.0]
    with pytest.raises(InputError, match="choose weight, channel, layer"):
        LearnedLinear(2, 2, granularity="tile")  # type: ignore[arg-type]
