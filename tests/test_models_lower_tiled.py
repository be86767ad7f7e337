"""Tiled layers keep their tile on the way to integers, and compute what torch computes."""

import warnings

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import Int8ActPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from torch import nn

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Dense, Tiled, stored_bits
from bitwright.models.layers import TiledLinear, Tiling
from bitwright.models.lower import compare, lower


def network(p: int, scale: str = "per_tile", norm: bool = True) -> nn.Module:
    torch.manual_seed(p)
    tiling = Tiling(p, min_compress_size=100, scale=scale)  # type: ignore[arg-type]
    first = TiledLinear(20, 24, bias=False, tiling=tiling)
    layers = [
        qnn.QuantIdentity(
            act_quant=Int8ActPerTensorFixedPoint, bit_width=5, return_quant_tensor=True
        ),
        first,
        nn.BatchNorm1d(24) if norm else nn.Identity(),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=3, return_quant_tensor=True),
        TiledLinear(24, 4, bias=False, tiling=Tiling(2)),  # too small: plain binary
    ]
    model = nn.Sequential(*layers)
    model.train()
    for _ in range(20):
        model(torch.randn(64, 20))
    return model.eval()


@pytest.mark.parametrize("p", [2, 4, 8, 12])
def test_a_tile_stays_a_tile_and_computes_what_torch_does(p: int) -> None:
    model = network(p)
    lowered = lower(model, 20)
    first = lowered.graph.nodes[0].op
    assert isinstance(first, Dense) and isinstance(first.weights, Tiled)
    assert first.weights.copies == p
    assert stored_bits(first.weights) == 20 * 24 // p
    x = np.random.default_rng(0).normal(0, 1, (2000, 20)).astype(np.float32)
    result = compare(model, lowered, x)
    assert result.compared > 2000 * 24
    # alpha and batch-norm are float32 in torch, exact here: a rare tie may fall on the other side.
    assert result.differing <= 1e-4 * result.compared


def test_scales_inside_a_row_are_refused_with_the_remedy() -> None:
    with pytest.raises(UnsupportedError, match="scale='single', or a compression that divides"):
        lower(network(5), 20)
    assert lower(network(5, scale="single"), 20).graph.nodes[0].op.weights.copies == 5  # type: ignore[union-attr]


def test_replicas_that_cannot_differ_are_told() -> None:
    with pytest.warns(UserWarning, match="computes only 12 different ones"):
        lower(network(2, scale="single", norm=False), 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lower(network(2), 20)
