"""Bottlenecks into a trained network: sources, targets, the baseline beside, loading, refusals."""

import copy
import io
import json

import numpy as np
import pytest
import torch
from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Uint8ActPerTensorFixedPoint
from brevitas.quant_tensor import IntQuantTensor
from rich.console import Console
from torch import Tensor, nn

from bitwright.models.errors import InputError
from bitwright.models.layers import BitwiseBottleneck, Point, insert, place


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantIdentity(bit_width=8, return_quant_tensor=True)
        self.fc1 = QuantLinear(8, 24, bias=True, weight_bit_width=4)
        self.act1 = QuantReLU(bit_width=5, return_quant_tensor=True)
        self.fc2 = QuantLinear(24, 12, bias=True, weight_bit_width=4)
        self.act2 = QuantReLU(
            act_quant=Uint8ActPerTensorFixedPoint, bit_width=6, return_quant_tensor=True
        )
        self.fc3 = QuantLinear(12, 6, bias=True, weight_bit_width=4)
        self.act3 = nn.ReLU()
        self.fc4 = QuantLinear(6, 2, bias=True, weight_bit_width=4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.fc1(self.quant(x)))
        x = self.act2(self.fc2(x))
        return self.fc4(self.act3(self.fc3(x)))


X = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trained() -> Net:
    torch.manual_seed(0)
    model = Net()
    for _ in range(3):
        model(X)
    return model.eval()


def test_a_rate_is_kept_and_the_baseline_stands_beside(trained: Net) -> None:
    before = copy.deepcopy(trained.state_dict())
    made, report = insert(trained, X.split(64), rate=3.0)
    assert report.rate <= 3.0
    assert [layer.path for layer in report.layers] == ["act1", "act2", "act3"]
    assert [layer.curve.activations for layer in report.layers] == [24, 12, 6]
    spent = sum(layer.curve.activations * layer.chosen.bits for layer in report.layers)
    assert report.rate == spent / 42
    for layer in report.layers:
        bottleneck = made.get_submodule(layer.path).bottleneck
        assert bottleneck.quantiser == layer.chosen.quantiser
        planes = layer.bitplanes
        assert layer.uniform.bits == layer.chosen.bits
        better = planes is not None and planes.mse < layer.uniform.mse
        assert layer.winner == ("bitplanes" if better else "uniform")
        assert layer.chosen.mse <= layer.uniform.mse
    # The network that was given is untouched.
    assert not any(isinstance(m, BitwiseBottleneck) for m in trained.modules())
    assert all(torch.equal(a, before[k]) for k, a in trained.state_dict().items())


def test_the_activations_own_quantiser_is_the_source(trained: Net) -> None:
    made, report = insert(trained, [X], rate=3.0, kinds=("bitplanes",))
    first, second, third = (layer.chosen.quantiser for layer in report.layers)
    assert all(layer.chosen.kind == "bitplanes" for layer in report.layers)
    assert first.source_bits == 5
    assert first.scale == float(trained.act1.act_quant.scale())
    assert (second.source_bits, third.source_bits) == (6, 8)
    # Behind its own quantiser a bottleneck's u is the quantiser's integer, whatever the scale.
    for path, quantiser in (("act1", first), ("act2", second)):
        seen = {}
        both = made.get_submodule(path)
        both.activation.register_forward_hook(lambda _, __, y, s=seen: s.update(before=y))
        both.bottleneck.register_forward_hook(lambda _, __, y, s=seen: s.update(after=y))
        made(X)
        u = seen["before"].int()
        assert isinstance(seen["after"], IntQuantTensor)
        assert float(seen["before"].value.detach().max()) > 0
        assert (quantiser.source(seen["before"].value.detach().numpy()) == u.numpy()).all()
        table = np.zeros(1 << quantiser.source_bits, int)
        for plane, a in zip(quantiser.planes, quantiser.coefficients, strict=True):
            table += a * (np.arange(len(table)) >> plane & 1)
        assert (seen["after"].int().numpy() == table[u.numpy()]).all()


def test_all_planes_change_nothing(trained: Net) -> None:
    made, report = insert(trained, [X], rate=16, kinds=("bitplanes",), paths=["act1", "act2"])
    assert [layer.chosen.psnr for layer in report.layers] == [float("inf")] * 2
    assert torch.allclose(made(X), trained(X), atol=1e-6)


def test_a_floor_is_reached_with_the_fewest_bits(trained: Net) -> None:
    _, report = insert(trained, [X], psnr_floor=25.0, kinds=("bitplanes",))
    for layer in report.layers:
        assert layer.chosen.psnr >= 25.0
        assert all(p.psnr < 25 for p in layer.curve.bitplanes if p.bits < layer.chosen.bits)
    with pytest.raises(InputError, match="reaches a PSNR of 300 dB"):
        insert(trained, [X], psnr_floor=300.0, paths=["act3"])


def test_powers_of_two_and_the_lagrangian(trained: Net) -> None:
    _, report = insert(
        trained,
        [X],
        rate=3.0,
        source_bits=6,
        power_of_two_scale=True,
        coefficients="power_of_two",
        method="lagrangian",
    )
    assert report.rate <= 3.0
    for layer in report.layers:
        points: tuple[Point, ...] = (*layer.curve.bitplanes, *layer.curve.uniform)
        assert all(np.frexp(p.quantiser.scale)[0] == 0.5 for p in points)
        assert all(c & (c - 1) == 0 for p in points for c in p.quantiser.coefficients)


def test_the_result_trains_and_loads_into_an_empty_structure(trained: Net) -> None:
    made, report = insert(trained, [X], rate=2.5, kinds=("bitplanes",))
    made.train()
    adam = torch.optim.Adam(made.parameters(), lr=1e-2)
    target = (X[:, 0] > 0).long()
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(made(X), target)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    for layer in report.layers:
        bottleneck = made.get_submodule(layer.path).bottleneck
        assert bottleneck.quantiser == layer.chosen.quantiser
    made.eval()
    empty, paths = place(Net())
    assert paths == ("act1", "act2", "act3")
    empty.load_state_dict(made.state_dict())
    assert torch.equal(empty.eval()(X), made(X))


def test_the_report_is_for_machines_and_people(trained: Net) -> None:
    _, report = insert(trained, [X], rate=3.0)
    rows = json.loads(json.dumps(report.rows(), allow_nan=False))
    assert [row["layer"] for row in rows] == ["act1", "act2", "act3"]
    assert rows[0]["uniform_psnr"] == pytest.approx(report.layers[0].uniform.psnr)
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(report.table())
    text = console.export_text()
    assert "act2" in text
    assert report.layers[0].winner in text


class Twice(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.act1(super().forward(x)).value


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (Net, {}, "exactly one of the two"),
        (Net, {"rate": 2.0, "psnr_floor": 30.0}, "exactly one of the two"),
        (Net, {"rate": 2.0, "paths": ["act9"]}, "no activation to follow at act9: .*act1"),
        (Net, {"rate": 2.0, "paths": ["fc1"]}, "fc1: activations go down to"),
        (Net, {"rate": 2.0, "batches": []}, "act1 ran 0 times for 0 batches"),
        (Net, {"rate": 0.5}, r"rate of 0\.5 bits"),
        (Twice, {"rate": 2.0}, "act1 ran 3 times for 1 batches"),
        (lambda: nn.Sequential(nn.Linear(8, 2)), {"rate": 2.0}, "at any path"),
    ],
)
def test_what_cannot_be_done_is_refused(model, arguments: dict, message: str) -> None:
    torch.manual_seed(0)
    given = model()
    given.eval()
    batches = arguments.pop("batches", [X])
    with pytest.raises(InputError, match=message):
        insert(given, batches, **arguments)
    assert not any(len(m._forward_hooks) for m in given.modules())
