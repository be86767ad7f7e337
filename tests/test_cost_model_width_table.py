"""Costs by bit width: as numbers, and as a function that has a gradient."""

import numpy as np
import pytest
import torch

from bitwright.cost_model import estimate
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.differentiable import LayerCost
from bitwright.cost_model.rows import Row
from bitwright.cost_model.width_table import BITS, Layer, width_table
from bitwright.models.errors import InputError
from bitwright.models.graph import Folded

LAYER = Layer(6, 4, sparsity=0.5)
TABLE = width_table(LAYER, solved=False)


def test_entries_are_estimates() -> None:
    point = LAYER.point(3, 5)
    made = estimate(point.graph(), point.plan("xc7"))
    assert TABLE.counts("lut")[2, 4] == made.total.lut
    assert TABLE.counts("latency")[2, 4] == made.latency
    assert TABLE.counts("latency_ns")[2, 4] == pytest.approx(made.latency_ns)
    lut = TABLE.counts("lut")
    assert lut.shape == (8, 8) and lut[7, 7] > lut[3, 3] > lut[1, 1]


def test_codecs_have_their_own_widths() -> None:
    tiled = width_table(Layer(8, 4, "tiled"), solved=False).counts("lut")
    assert not np.isnan(tiled[0]).any() and np.isnan(tiled[1:]).all()
    minifloat = width_table(Layer(6, 4, "float"), solved=False).counts("lut")
    assert np.isnan(minifloat[:2]).all() and not np.isnan(minifloat[2:]).any()


def test_folded_layers() -> None:
    folded = Layer(8, 4, folded=Folded(2, 4), target="ecp5")
    found = width_table(folded, solved=False)
    assert (found.counts("ii") == 4).all()
    assert found.counts("dsp")[3, 3] == 8 and found.counts("dsp")[0, 3] == 0


def test_measured_layers_are_found_by_name() -> None:
    name = LAYER.point(4, 4).name
    rows = [
        Row(name, "xc7", "Yosys", "node", Cost(lut=99)),
        Row(name, "ecp5", "Yosys", "node", Cost(lut=7)),
        Row("dense_6u4_4_w4_100_r1", "xc7", "Yosys", "node", Cost(lut=5)),
    ]
    assert width_table(LAYER, rows, solved=False).measured == {(4, 4): Cost(lut=99)}


@pytest.mark.parametrize("resource", ["lut", "ff", "latency", "clock_mhz"])
def test_the_torch_form_is_equal_at_whole_widths(resource: str) -> None:
    cost = LayerCost(TABLE, resource)
    w, a = (torch.tensor(m, dtype=torch.float64) for m in np.meshgrid(BITS, BITS, indexing="ij"))
    assert np.array_equal(cost(w, a).numpy(), TABLE.counts(resource))


def test_the_torch_form_lies_between_whole_widths_and_has_their_slope() -> None:
    cost, lut = LayerCost(TABLE), TABLE.counts("lut")
    w = torch.tensor(3.25, requires_grad=True)
    a = torch.tensor(5.0, requires_grad=True)
    found = cost(w, a)
    found.backward()
    assert found.item() == pytest.approx(0.75 * lut[2, 4] + 0.25 * lut[3, 4])
    assert w.grad is not None and w.grad.item() == pytest.approx(lut[3, 4] - lut[2, 4])
    assert a.grad is not None and a.grad.item() == pytest.approx(
        0.75 * (lut[2, 5] - lut[2, 4]) + 0.25 * (lut[3, 5] - lut[3, 4])
    )
    # the last piece has its upper end, and what is beyond costs what the end does
    top = torch.tensor(8.0, requires_grad=True)
    cost(top, torch.tensor(2.0)).backward()
    assert top.grad is not None and top.grad.item() == pytest.approx(lut[7, 1] - lut[6, 1])
    assert cost(torch.tensor(9.5), torch.tensor(0.5)).item() == lut[7, 0]


def test_a_budget_is_found_by_gradient() -> None:
    """Widths that begin at 8 go down until the layer costs no more than it may."""
    cost = LayerCost(TABLE)
    budget = 0.5 * float(TABLE.counts("lut")[7, 7])
    widths = torch.full((2,), 8.0, requires_grad=True)
    for _ in range(200):
        over = torch.relu(cost(widths[0], widths[1]) / budget - 1)
        if over.item() == 0:
            break
        (slope,) = torch.autograd.grad(over, widths)
        widths.data -= 0.1 * slope
    assert cost(widths[0], widths[1]).item() <= budget
    assert (widths.detach() > 2).all()


def test_minifloats_begin_at_three_bits() -> None:
    table = width_table(Layer(6, 4, "float"), solved=False)
    cost, lut = LayerCost(table), table.counts("lut")
    assert cost(torch.tensor(3.0), torch.tensor(4.0)).item() == lut[2, 3]
    assert cost(torch.tensor(1.0), torch.tensor(4.0)).item() == lut[2, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0, 4), "give it 1 to"), ((1000, 1000), "give it 1 to"), ((8, 4, "huffman"), "codec"),
        ((8, 4, "plain", 1.0), "sparsity of 1.0"), ((9, 3, "tiled"), "not 4 equal tiles"),
    ],
)  # fmt: skip
def test_what_is_no_layer(settings: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Layer(*settings)  # type: ignore[arg-type]
