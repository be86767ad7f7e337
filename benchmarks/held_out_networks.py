"""Whole networks that no number of the cost model was fitted to: trained, random and drawn ones.

Weights and plans are kept as files (benchmarks/networks), so that no estimate that changes, and no
training that is run again, moves what was measured of them (`held_out`).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bitwright.cost_model import find_plan, make_plan
from bitwright.models.data import Dataset, digits
from bitwright.models.graph import (
    Engine,
    Graph,
    Plan,
    Target,
    Unrolled,
    load,
    load_plan,
)
from bitwright.models.zoo import random_cnn, random_mlp

FOLDER = Path(__file__).parent / "networks"
DRAWS = {1: 16}
"""Seeds of `python -m benchmarks.drawn`, and how many networks each gave."""
TARGETS: tuple[Target, ...] = ("xc7", "ecp5", "ice40", "gowin", "xcup")
LARGE = ("digits_w8a6", "digits_float", "jets_w6", "jets_w8", "mlp_jets", "mlp_large")
"""Measured last, and on the first two targets only: together they take an hour of a core each."""

Make = Callable[[], Graph]


@dataclass(frozen=True)
class Network:
    """A network and how it is planned: for a clock of so many MHz, unrolled; or folded, for so many
    frames a second, with `unrolled` layers in between.
    """

    name: str
    make: Make
    mhz: float | None = None
    fps: float | None = None
    unrolled: tuple[str, ...] = ()
    targets: tuple[Target, ...] = TARGETS
    """Where it is measured."""

    @property
    def folder(self) -> Path:
        """Where its graph and its plan lie."""
        return FOLDER / self.name

    def load(self) -> tuple[Graph, Plan]:
        """The graph and the plan as they are kept."""
        return load(self.folder), load_plan(self.folder / "plan.json")

    def plan(self, graph: Graph) -> Plan:
        """The plan, made once: whatever the cost model says later, it stays as it is."""
        if self.fps is None:
            return make_plan(graph, "xc7", self.mhz or 200.0)
        plan = find_plan(graph, "xc7", 200.0, target_fps=self.fps)
        engines: dict[str, Engine] = {
            **plan.engines,
            **{name: Unrolled(2) for name in self.unrolled},
        }
        return replace(plan, engines=engines)


@dataclass(frozen=True)
class Trained:
    """A Brevitas perceptron, trained on data that come with bitwright or are given by the user."""

    data: str
    sizes: tuple[int, ...]
    bits: tuple[int, ...]
    acts: tuple[int, ...]
    sparsity: float = 0.0
    weights: str = "integer"
    epochs: int = 25
    seed: int = 0

    def __call__(self) -> Graph:
        """Train, and lower to integers."""
        from bitwright.models.lower import lower
        from bitwright.models.train import Recipe, train

        model = self._model()
        hidden = {f"fc{i}": self.sparsity for i in range(len(self.bits)) if self.sparsity}
        recipe = Recipe(epochs=self.epochs, batch=64, learning_rate=5e-3, noise=0.1,
                        sparsity=hidden, seed=self.seed)  # fmt: skip
        result = train(model, _data(self.data), recipe)
        Console().print(f"{self}: test accuracy {result.accuracy:.1%}")
        return lower(model, self.sizes[0], name="network").graph

    def _model(self) -> Any:
        from collections import OrderedDict

        import torch
        from brevitas import nn as qnn
        from brevitas.quant import binary
        from brevitas.quant.fixed_point import (
            Int8WeightPerTensorFixedPoint,
            Uint8ActPerTensorFixedPointMaxInit,
        )
        from brevitas.quant.float import Fp8e4m3WeightPerTensorFloat
        from torch import nn

        from bitwright.models.layers import TiledLinear, Tiling

        act = {"act_quant": Uint8ActPerTensorFixedPointMaxInit, "return_quant_tensor": True}
        signs = binary.SignedBinaryWeightPerTensorConst.let(scaling_const=1.0)
        torch.manual_seed(self.seed)
        layers: list[tuple[str, nn.Module]] = [
            ("source", qnn.QuantIdentity(bit_width=self.acts[0], max_val=1.0, **act))
        ]
        shapes = zip(self.sizes, self.sizes[1:], self.bits, strict=False)
        for i, (inputs, outputs, bits) in enumerate(shapes):
            integer = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": bits}
            if self.weights == "tiled" and i == 0:
                made: nn.Module = TiledLinear(inputs, outputs, bias=False, tiling=Tiling(4, 0))
            elif bits == 1:
                made = qnn.QuantLinear(inputs, outputs, bias=False, weight_quant=signs)
            elif self.weights == "float":
                quant = Fp8e4m3WeightPerTensorFloat.let(
                    bit_width=bits, exponent_bit_width=2, mantissa_bit_width=bits - 3,
                    restrict_scaling_type="power_of_two",
                )  # fmt: skip
                made = qnn.QuantLinear(inputs, outputs, bias=False, weight_quant=quant)
            else:
                made = qnn.QuantLinear(inputs, outputs, bias=False, **integer)
            layers += [(f"fc{i}", made), (f"bn{i}", nn.BatchNorm1d(outputs))]
            if i + 1 < len(self.bits):
                relu = qnn.QuantReLU(bit_width=self.acts[i + 1], max_val=2.0, **act)
                layers.append((f"act{i}", relu))
        return nn.Sequential(OrderedDict(layers))


@dataclass(frozen=True)
class TrainedCnn:
    """Two convolutions and a dense layer of 3 bits, trained on digits."""

    seed: int = 0

    def __call__(self) -> Graph:
        """Train, and lower to integers."""
        from collections import OrderedDict

        import torch
        from brevitas import nn as qnn
        from brevitas.quant.fixed_point import (
            Int8WeightPerTensorFixedPoint,
            Uint8ActPerTensorFixedPointMaxInit,
        )
        from torch import nn

        from bitwright.models.lower import lower
        from bitwright.models.train import Recipe, train

        act: dict[str, Any] = {
            "act_quant": Uint8ActPerTensorFixedPointMaxInit, "return_quant_tensor": True,
            "bit_width": 3,
        }  # fmt: skip
        weight: dict[str, Any] = {
            "weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 3, "bias": False,
        }  # fmt: skip
        torch.manual_seed(self.seed)
        model = nn.Sequential(
            OrderedDict(
                source=qnn.QuantIdentity(max_val=1.0, **act),
                conv0=qnn.QuantConv2d(1, 6, 3, padding=1, **weight),
                bn0=nn.BatchNorm2d(6),
                act0=qnn.QuantReLU(max_val=2.0, **act),
                pool0=nn.MaxPool2d(2),
                conv1=qnn.QuantConv2d(6, 8, 3, **weight),
                bn1=nn.BatchNorm2d(8),
                act1=qnn.QuantReLU(max_val=2.0, **act),
                flat=nn.Flatten(),
                fc=qnn.QuantLinear(32, 10, **weight),
                bn2=nn.BatchNorm1d(10),
            )
        )
        data = digits()
        images = (data.x_train.reshape(-1, 1, 8, 8), data.x_test.reshape(-1, 1, 8, 8))
        data = replace(data, x_train=images[0], x_test=images[1])
        result = train(model, data, Recipe(epochs=15, batch=64, learning_rate=5e-3, noise=0.1))
        Console().print(f"{self}: test accuracy {result.accuracy:.1%}")
        return lower(model, (1, 8, 8), name="network").graph


def _data(name: str) -> Dataset:
    if name == "digits":
        return digits()
    folder = os.environ.get("BITWRIGHT_DATA", "data")
    with np.load(Path(folder) / f"{name}.npz", allow_pickle=False) as file:
        parts = {key: file[key] for key in file}
    if name == "mnist":  # 14 x 14
        x = {
            key: parts[key].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255
            for key in ("x_train", "x_test")
        }
        rows = {"x_train": slice(0, 8000), "x_test": slice(0, 2000)}
        made = {key: x[key][rows[key]].astype(np.float32) for key in rows}
        labels = {f"y{k[1:]}": parts[f"y{k[1:]}"][rows[k]].astype(np.int64) for k in rows}
        return Dataset(**made, **labels, labels=tuple("0123456789"), source="MNIST, 14 x 14")
    x = parts["x"]
    x = np.clip((x - np.median(x, axis=0)) / (4 * x.std(axis=0)) + 0.5, 0, 1).astype(np.float32)
    y = parts["y"].astype(np.int64)
    return Dataset(x[200:], y[200:], x[:200], y[:200], tuple("gqtwz"), "jets, 1,000 of them")


def demo() -> Graph:
    """The demo's network, trained as in the demo but from another seed."""
    from bitwright.models.lower import lower
    from bitwright.models.train import train
    from bitwright.models.zoo import digits_mlp, digits_recipe

    model = digits_mlp(1)
    train(model, digits(), replace(digits_recipe(), seed=1))
    return lower(model, 64, name="network").graph


def _trained() -> list[Network]:
    """Digits, jets and small MNIST images; integers of 1 to 8 bits, tiles, minifloats."""
    d, j = partial(Trained, "digits"), partial(Trained, "jsc_sample1000")
    m = partial(Trained, "mnist")
    return [
        Network("digits_demo", demo, mhz=200),
        Network("digits_w4a4", d((64, 16, 10), (4, 4), (4, 4), 0.6), mhz=150),
        Network("digits_w2a2", d((64, 24, 10), (2, 2), (3, 2), 0.3), mhz=250),
        Network("digits_w3a3", d((64, 20, 16, 10), (3, 3, 3), (4, 3, 3), 0.7, seed=1), mhz=100),
        Network("digits_w6a5", d((64, 12, 10), (6, 5), (5, 5), 0.75, seed=2), mhz=200),
        Network("digits_w8a6", d((64, 10, 10), (8, 8), (6, 6), 0.8, seed=3), mhz=120),
        Network("digits_binary", d((64, 32, 10), (1, 1), (1, 1)), mhz=150),
        Network("digits_tiled", d((64, 48, 10), (1, 4), (2, 2), weights="tiled"), mhz=150),
        Network("digits_float", d((64, 14, 10), (4, 4), (4, 3), weights="float", seed=4), mhz=200),
        Network("jets_w6", j((16, 32, 16, 5), (6, 4, 4), (6, 5, 4), 0.6), mhz=200),
        Network("jets_w3", j((16, 24, 12, 5), (3, 3, 3), (5, 3, 3), 0.3, seed=1), mhz=300),
        Network("jets_w8", j((16, 16, 16, 5), (8, 6, 6), (8, 6, 6), 0.7, seed=2), mhz=80),
        Network("mnist_w2", m((196, 12, 10), (2, 2), (2, 2), 0.8, epochs=6), mhz=150),
        Network("mnist_w3", m((196, 20, 16, 10), (3, 3, 3), (3, 3, 3), 0.85, epochs=6), mhz=200),
    ]  # fmt: skip


def _random() -> list[Network]:
    """Random perceptrons, unrolled."""

    def mlp(seed: int, sizes: Sequence[int], bits: Sequence[int], acts: Sequence[int],
            density: float, **more: Any) -> Make:  # fmt: skip
        return partial(random_mlp, sizes, bits, acts, seed=seed, density=density,
                       name="network", **more)  # fmt: skip

    bell: dict[str, Any] = {"spread": "bell"}
    steps: dict[str, Any] = {"form": "threshold"}
    return [
        Network("mlp_small", mlp(11, (12, 24, 8), (5, 5), (5, 5), 0.4, **bell), mhz=200),
        Network("mlp_steps", mlp(12, (32, 16, 16, 4), (3, 3, 4), (4, 4, 3), 0.6, **bell, **steps),
                mhz=150),
        Network("mlp_wide", mlp(13, (40, 24, 10), (4, 4), (3, 4), 0.3, **bell), mhz=250),
        Network("mlp_deep", mlp(14, (16, 16, 16, 16, 8), (4,) * 4, (4,) * 4, 0.5), mhz=100),
        Network("mlp_ternary", mlp(15, (64, 24, 10), (2, 2), (2, 2), 0.5, **steps), mhz=200),
        Network("mlp_binary", mlp(16, (64, 20, 10), (1, 1), (2, 1), 1.0, **steps), mhz=120),
        Network("mlp_8bit", mlp(17, (16, 12, 6), (8, 8), (8, 8), 0.5, **bell), mhz=150),
        Network("mlp_dense", mlp(18, (20, 16, 8), (3, 5), (6, 3), 1.0, **bell), mhz=300),
        Network("mlp_jets", mlp(19, (16, 64, 32, 32, 5), (6, 4, 3, 4), (6, 5, 4, 4), 0.5),
                mhz=200),
        Network("mlp_large", mlp(20, (48, 48, 24, 10), (4, 4, 4), (4, 4, 4), 0.3, **bell, **steps),
                mhz=150),
    ]  # fmt: skip


def _folded() -> list[Network]:
    """Convolutional networks, and perceptrons of the lists above, folded for a rate."""

    def cnn(seed: int, shape: tuple[int, int, int], channels: Sequence[int], bits: int, acts: int,
            **more: Any) -> Make:  # fmt: skip
        return partial(random_cnn, shape, channels, weight_bits=bits, activation_bits=acts,
                       seed=seed, name="network", **more)  # fmt: skip

    def again(name: str) -> Make:
        return partial(load, FOLDER / name)

    bell: dict[str, Any] = {"spread": "bell"}
    steps: dict[str, Any] = {"form": "threshold", **bell}
    pixels = ("conv0", "conv0_act", "conv1", "conv1_act")
    return [
        Network("cnn_digits", TrainedCnn(), fps=20_000),
        Network("cnn_max", cnn(31, (8, 8, 3), (8, 16), 4, 4, **bell), fps=100_000),
        Network("cnn_binary", cnn(32, (12, 12, 2), (8,), 1, 1, residual=True, **steps), fps=20_000),
        Network("cnn_depthwise", cnn(33, (10, 10, 4), (8, 12), 2, 3, depthwise=True, pooling="sum",
                                     **steps), fps=40_000),
        Network("cnn_w3", cnn(34, (16, 16, 1), (8, 8), 3, 3, density=0.6, **steps), fps=20_000),
        Network("cnn_w8", cnn(35, (10, 10, 3), (6, 8), 8, 8, **bell), fps=12_000),
        Network("cnn_residual", cnn(36, (8, 8, 4), (8, 8), 4, 4, residual=True, pooling="none"),
                fps=20_000),
        Network("cnn_slow", cnn(37, (24, 24, 3), (8, 16), 5, 4, **bell), fps=2_000),
        Network("cnn_wide", cnn(38, (6, 6, 8), (32,), 2, 2, density=0.7, **steps), fps=300_000),
        Network("cnn_mixed", cnn(39, (8, 8, 2), (6, 8), 3, 4, density=0.3), fps=20_000,
                unrolled=("scores",)),
        Network("cnn_pixels", cnn(40, (8, 8, 1), (4, 4), 3, 3, pooling="none", density=0.5,
                                  **bell), fps=10_000, unrolled=pixels),
        Network("digits_w4a4_folded", again("digits_w4a4"), fps=1e6),
        Network("digits_binary_folded", again("digits_binary"), fps=1e7),
        Network("digits_tiled_folded", again("digits_tiled"), fps=4e6),
        Network("digits_float_folded", again("digits_float"), fps=1e6),
        Network("mlp_8bit_folded", again("mlp_8bit"), fps=6e6),
        Network("mlp_jets_folded", again("mlp_jets"), fps=1e6),
        Network("mlp_mixed", again("mlp_steps"), fps=2e6, unrolled=("fc2",)),
    ]  # fmt: skip


def drawn_name(seed: int, number: int) -> str:
    """The name of a network of a draw."""
    return f"drawn{seed}_{number:02d}"


def drawn(seed: int) -> list[Network]:
    """The networks of a draw, which are kept as files alone."""
    names = [drawn_name(seed, number) for number in range(DRAWS[seed])]
    return [Network(name, partial(load, FOLDER / name), targets=TARGETS[:2]) for name in names]


def networks() -> list[Network]:
    """All of them, in the order in which they are measured."""
    found = [*_trained(), *_random(), *_folded(), *(one for seed in DRAWS for one in drawn(seed))]
    found = [replace(one, targets=TARGETS[:2]) if one.name in LARGE else one for one in found]
    return sorted(found, key=lambda network: network.name in LARGE)
