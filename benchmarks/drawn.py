"""Networks that a random generator draws: held out even from those who change the formulas.

The lists of `held_out` were written by hand, and errors on them were seen while formulas were being
changed. `python -m benchmarks.drawn SEED COUNT` draws networks and plans them, and what it gives is
kept before a single one of them is measured. Their errors are looked at once the formulas are
final; another change of the formulas wants another draw (`held_out_networks.DRAWS`).
"""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Literal, TypeVar

import numpy as np
from rich.console import Console

from benchmarks.held_out_networks import Network, Trained, TrainedCnn, drawn_name
from bitwright.cost_model import estimate
from bitwright.models.errors import BitwrightError
from bitwright.models.graph import Graph, save, save_plan
from bitwright.models.zoo import random_cnn, random_mlp

T = TypeVar("T")

LEAST, MOST = 500, 6_000
"""Look-up tables of a network, as estimated when it is drawn: what is routed in minutes."""


def draw(seed: int, number: int) -> None:
    """Keep the first network of a sequence of draws that has a plan and such a size."""
    rng = np.random.default_rng([seed, number])
    kinds = (_perceptron, _images, _trained, _folded_perceptron)
    while True:
        network = kinds[number % len(kinds)](drawn_name(seed, number), rng)
        if network.folder.is_dir():
            return
        try:
            graph = network.make()
            plan = network.plan(graph)
            found = estimate(graph, plan).total
        except BitwrightError as error:  # no plan reaches the rate, an image smaller than a kernel
            Console().print(f"{network.name}: drawn again: {error}")
            continue
        if LEAST <= found.lut <= MOST:
            save(graph, network.folder)
            save_plan(plan, network.folder / "plan.json")
            Console().print(f"{network.name}: {network}")
            return
        Console().print(f"{network.name}: drawn again: {found.lut:,} LUTs")


_SPREADS: tuple[Literal["even", "bell"], ...] = ("even", "bell")
_FORMS: tuple[Literal["requantize", "threshold"], ...] = ("requantize", "threshold")
_POOLINGS: tuple[Literal["none", "max", "sum"], ...] = ("none", "max", "sum")


def _one(rng: np.random.Generator, of: Sequence[T]) -> T:
    return of[int(rng.choice(len(of)))]


def _random_perceptron(rng: np.random.Generator) -> "partial[Graph]":
    layers = int(rng.integers(2, 4))
    sizes = [int(n) for n in rng.integers(8, 49, layers)] + [int(rng.integers(3, 11))]
    return partial(
        random_mlp,
        sizes,
        [int(n) for n in rng.integers(1, 7, layers)],
        [int(n) for n in rng.integers(2, 7, layers)],
        seed=int(rng.integers(1 << 30)),
        density=float(rng.uniform(0.2, 0.8)),
        spread=_one(rng, _SPREADS),
        form=_one(rng, _FORMS),
        name="network",
    )  # fmt: skip


def _perceptron(name: str, rng: np.random.Generator) -> Network:
    return Network(name, _random_perceptron(rng), mhz=float(rng.choice([100, 150, 200, 250])))


def _folded_perceptron(name: str, rng: np.random.Generator) -> Network:
    return Network(name, _random_perceptron(rng), fps=float(10 ** rng.uniform(5.3, 7.2)))


def _images(name: str, rng: np.random.Generator) -> Network:
    fps = float(10 ** rng.uniform(3.5, 5.2))
    if rng.random() < 0.2:
        return Network(name, TrainedCnn(seed=int(rng.integers(1, 1 << 30))), fps=fps)
    side = int(rng.integers(6, 17))
    make = partial(
        random_cnn,
        (side, side, int(rng.integers(1, 5))),
        [int(n) for n in rng.integers(3, 17, int(rng.integers(1, 3)))],
        weight_bits=int(rng.integers(1, 8)),
        activation_bits=int(rng.integers(1, 7)),
        pooling=_one(rng, _POOLINGS),
        residual=bool(rng.random() < 0.3),
        depthwise=bool(rng.random() < 0.3),
        seed=int(rng.integers(1 << 30)),
        density=float(rng.uniform(0.3, 0.9)),
        spread=_one(rng, _SPREADS),
        form=_one(rng, _FORMS),
        name="network",
    )  # fmt: skip
    return Network(name, make, fps=fps)


def _trained(name: str, rng: np.random.Generator) -> Network:
    """On digits, unrolled or folded."""
    layers = int(rng.integers(2, 4))
    sizes = (64, *(int(n) for n in rng.integers(8, 25, layers - 1)), 10)
    bits = tuple(int(n) for n in rng.integers(2, 7, layers))
    acts = tuple(int(n) for n in rng.integers(2, 7, layers))
    make = Trained("digits", sizes, bits, acts, sparsity=float(rng.uniform(0.3, 0.85)),
                   seed=int(rng.integers(1 << 30)))  # fmt: skip
    if rng.random() < 0.5:
        return Network(name, make, mhz=float(rng.choice([100, 150, 200, 250])))
    return Network(name, make, fps=float(10 ** rng.uniform(5.3, 6.7)))


def main() -> None:
    """Draw what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    args = parser.parse_args()
    for number in range(args.count):
        draw(args.seed, number)


if __name__ == "__main__":
    main()
