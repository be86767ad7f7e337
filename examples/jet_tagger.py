"""A network of your own: a jet tagger, 16-64-32-32-5, with arbitrary float scales.

This file is what a user brings: a function that makes the torch model, and a way to train it.

    python examples/jet_tagger.py jets.pt                 # trains and saves the state_dict
    bitwright lower examples/jet_tagger.py:jet_tagger --weights jets.pt --input-shape 16

The shape is that of the LHC jet-tagging benchmark (Duarte et al., arXiv 1804.06913: 16 jet
features, five classes). Its data are not part of this repository, so the script trains on clouds
of points of the same size; give it your own .npz with x_train, y_train, x_test and y_test instead:

    python examples/jet_tagger.py jets.pt --data jets.npz

Brevitas' default quantisers have float scales. Torch then rounds in float32 what bitwright computes
exactly, and `bitwright lower` tells how many integers differ (usually none).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from brevitas import nn as qnn
from brevitas.quant import Int8WeightPerChannelFloat, Int16Bias
from rich.console import Console
from torch import Tensor, nn

from bitwright.models.data import Dataset
from bitwright.models.train import Recipe, train

JETS = ("gluon", "light quark", "top", "W", "Z")


class JetTagger(nn.Module):
    """Three hidden layers; every layer has its own weight and activation bits."""

    def __init__(self) -> None:
        super().__init__()
        self.features = qnn.QuantIdentity(bit_width=6, return_quant_tensor=True)
        self.hidden = nn.ModuleList(
            [_Hidden(16, 64, 6, 5), _Hidden(64, 32, 4, 4), _Hidden(32, 32, 3, 4)]
        )
        self.scores = qnn.QuantLinear(32, 5, bias=True, weight_bit_width=4, bias_quant=Int16Bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, 16), standardised features. Returns (batch, 5) scores."""
        x = self.features(x)
        for layer in self.hidden:
            x = layer(x)
        return self.scores(x)


class _Hidden(nn.Module):
    def __init__(self, inputs: int, outputs: int, weight_bits: int, activation_bits: int) -> None:
        super().__init__()
        self.fc = qnn.QuantLinear(
            inputs,
            outputs,
            bias=False,
            weight_quant=Int8WeightPerChannelFloat,
            weight_bit_width=weight_bits,
        )
        self.bn = nn.BatchNorm1d(outputs)
        self.relu = qnn.QuantReLU(bit_width=activation_bits, return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.fc(x)))


def jet_tagger() -> nn.Module:
    """The model; `bitwright lower examples/jet_tagger.py:jet_tagger` calls this."""
    return JetTagger()


def clouds(rows: int = 6000, seed: int = 0) -> Dataset:
    """Five overlapping clouds of points in 16 dimensions, standardised: a stand-in for jets."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(JETS), rows)
    x = rng.normal(0, 1, (len(JETS), 16))[y] + rng.normal(0, 1.3, (rows, 16))
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    test = rows // 5
    return Dataset(x[test:], y[test:], x[:test], y[:test], JETS, "clouds of points")


def from_file(path: Path) -> Dataset:
    """The user's own arrays."""
    with np.load(path, allow_pickle=False) as file:
        parts = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    x = {name: parts[name].astype(np.float32) for name in ("x_train", "x_test")}
    y = {name: parts[name].astype(np.int64) for name in ("y_train", "y_test")}
    return Dataset(**x, **y, labels=JETS, source=path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the jet tagger and save its state_dict.")
    parser.add_argument("weights", type=Path, help="where to save, for example jets.pt")
    parser.add_argument("--data", type=Path, help=".npz with x_train, y_train, x_test, y_test")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    data = from_file(args.data) if args.data else clouds()
    torch.manual_seed(0)
    model = jet_tagger()
    recipe = Recipe(epochs=args.epochs, batch=128, learning_rate=5e-3)
    result = train(model, data, recipe, console=Console())
    torch.save(model.state_dict(), args.weights)
    print(f"test accuracy {result.accuracy:.1%} on {data.source}; saved {args.weights}")


if __name__ == "__main__":
    main()
