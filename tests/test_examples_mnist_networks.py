"""The networks that recipes name: every choice makes one, and lowering keeps its integers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bitwright.models.errors import InputError
from bitwright.models.graph import Tiled
from bitwright.models.layers import TiledConv2d, TiledLinear
from bitwright.models.lower import compare, load_model, lower

torch.set_num_threads(1)


def network(root: Path, factory: str, **arguments: object) -> nn.Module:
    torch.manual_seed(0)
    file = "resnet.py" if factory == "resnet18" else "mnist_networks.py"
    return load_model(f"{root}/examples/{file}:{factory}", arguments=arguments)


@pytest.mark.parametrize(("factory", "tiled"), [("mlp", ["fc1"]), ("cnn", ["conv2", "fc1"])])
@pytest.mark.parametrize("bits", [4, 8])
def test_lowered_to_the_same_decisions(
    root: Path, factory: str, tiled: list[str], bits: int
) -> None:
    model = network(root, factory, compression=4, activations=bits)
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 256, (64, 1, 28, 28)) / 256).astype(np.float32)
    model.train()
    for _ in range(3):  # statistics of batch-norm
        model(torch.from_numpy(x))
    model.eval()
    lowered = lower(model, (1, 28, 28))
    report = compare(model, lowered, x)
    # Scales of tiles are no powers of two: torch rounds in float32, at ties another way.
    assert report.differing <= 1e-4 * report.compared and report.compared > 64 * 784
    assert report.differing_decisions == 0
    assert lowered.graph.input.type.width == bits
    found = [n.name for n in lowered.graph.nodes if isinstance(getattr(n.op, "weights", 0), Tiled)]
    assert found == tiled
    # Another network is told from it.
    other = network(root, factory, compression=4, activations=bits)
    for layer in other.modules():
        if isinstance(layer, TiledConv2d | TiledLinear):
            nn.init.normal_(layer.weight)
    assert compare(other.eval(), lowered, x).differing > 0.01 * report.compared


def test_float_activations_and_weights_are_torchs_own(root: Path) -> None:
    for factory in ("mlp", "cnn"):
        plain = network(root, factory, weights="float", activations=32)
        kinds = {type(m).__module__.split(".")[0] for m in plain.modules()}
        assert kinds == {"torch"}
        tiled = network(root, factory, activations=32)
        assert any(isinstance(m, TiledLinear) for m in tiled.modules())
        assert any(type(m) is nn.ReLU for m in tiled.modules())


@pytest.mark.parametrize("factory", ["mlp", "cnn", "resnet18"])
def test_unknown_weights_are_refused(root: Path, factory: str) -> None:
    with pytest.raises(InputError, match="weights 'ternary': choose float or tiled"):
        network(root, factory, weights="ternary")
