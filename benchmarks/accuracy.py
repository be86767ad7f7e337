"""What methods cost in accuracy: trains every row that docs/results does not have yet.

    python -m benchmarks.accuracy [--only mnist_mlp] [--data FOLDER] [--list]

Each row is a recipe of examples/recipes with some arguments changed. A row is added to its table
once it is whole, and training goes on from its checkpoint after a kill; delete a row to make it
anew. `python -m benchmarks.accuracy_tables` prints the tables of docs/experiments.md.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from torch import nn
from typing_extensions import assert_never

from bitwright.cost_model import estimate, find_plan, unrolled_plan
from bitwright.models.checkpoints import save_tensors
from bitwright.models.data import Dataset
from bitwright.models.data_files import load_dataset
from bitwright.models.errors import BitwrightError
from bitwright.models.graph import Target
from bitwright.models.layers import TiledConv2d, TiledLinear, insert
from bitwright.models.layers.rate_distortion import Kind
from bitwright.models.lower import load_model, lower
from bitwright.models.recipes import RecipeFile, read_recipe
from bitwright.models.train import accuracy, train

RECIPES = Path("examples/recipes")
RESULTS = Path("docs/results")
RUNS = Path("out/accuracy")
TARGET: Target = "xc7"
CLOCK_MHZ, CYCLES = 100.0, 2_000  # of images: so many cycles each at most
FLOAT = 32

WEIGHTS: Mapping[str, dict[str, object]] = {
    "float": {"weights": "float", "compression": 1},
    "binary": {"weights": "tiled", "compression": 1},
    "tiled_p4": {"weights": "tiled", "compression": 4},
    "tiled_p8": {"weights": "tiled", "compression": 8},
    "tiled_p16": {"weights": "tiled", "compression": 16},
    # The honest baselines: as many stored bits, in fewer neurons that are all different.
    "binary_h32": {"weights": "tiled", "compression": 1, "hidden": 32},
    "binary_h16": {"weights": "tiled", "compression": 1, "hidden": 16},
}
CIFAR = ("float", "binary", "tiled_p4", "tiled_p8", "tiled_p16")
RATES = (4, 3, 2, 1)
KINDS: tuple[Kind, ...] = ("uniform", "bitplanes")
CALIBRATION_ROWS = 32
TUNING_ROWS = 5_000
"""Training rows of the one epoch after bottlenecks were put in: short, as recipes say."""


@dataclass(frozen=True)
class Training:
    """A row of accuracy.csv: a recipe with other arguments."""

    recipe: str
    weights: str
    activations: int

    @property
    def name(self) -> str:
        bits = "" if self.recipe.startswith("cifar10") else f"_a{self.activations}"
        return f"{self.recipe}_{self.weights}{bits}"

    def recipe_file(self) -> RecipeFile:
        made = read_recipe(RECIPES / f"{self.recipe}.toml")
        arguments = {**made.arguments, **WEIGHTS[self.weights]}
        if "activations" in arguments:
            arguments["activations"] = self.activations
        return replace(made, arguments=arguments)


@dataclass(frozen=True)
class Estimation:
    """A row of luts.csv: what a trained network would cost.

    MLPs with every layer unrolled, images folded so that they all are as fast.
    """

    of: Training

    @property
    def name(self) -> str:
        return self.of.name


@dataclass(frozen=True)
class Tuning:
    """A row of bottlenecks.csv: bottlenecks into a trained network, and a short fine-tuning."""

    start: Training
    kind: Kind
    rate: int

    @property
    def name(self) -> str:
        return f"{self.start.name}_{self.kind}_{self.rate}"


Job = Training | Tuning | Estimation


def jobs() -> Iterator[Job]:
    """Every row there is, each behind those that it needs; estimates, which need most, at last."""
    every = {}
    for network in ("mnist_mlp", "mnist_cnn"):
        every[network] = [Training(network, "float", FLOAT)]
        for weights in ("binary", "tiled_p4", "tiled_p8"):
            every[network] += [Training(network, weights, bits) for bits in (FLOAT, 8, 4)]
        if network == "mnist_mlp":
            every[network] += [Training(network, f"binary_h{n}", 4) for n in (32, 16)]
        yield from every[network]
    yield from _tunings(every["mnist_cnn"][0])
    short = [Training("cifar10_resnet18_short", weights, FLOAT) for weights in CIFAR]
    yield from short
    yield from _tunings(short[0])
    for network in ("mnist_mlp", "mnist_cnn"):
        yield from (Estimation(row) for row in every[network] if row.activations != FLOAT)


def _tunings(start: Training) -> Iterator[Tuning]:
    for rate in RATES:
        for kind in KINDS:
            yield Tuning(start, kind, rate)


def stored_bits(model: nn.Module) -> tuple[int, int]:
    """(bits, weights) of all layers: a tile's signs once, a float's 32; no biases and scales."""
    stored = weights = 0
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            size = layer.weight.numel()
            if isinstance(layer, TiledLinear | TiledConv2d):
                stored += size // layer.copies
            else:
                stored += FLOAT * size
            weights += size
    return stored, weights


def cost(model: nn.Module, data: Dataset) -> dict[str, object]:
    """LUTs, memory blocks and cycles by the cost model."""
    graph = lower(model, data.x_test.shape[1:]).graph
    if all(len(value.shape) == 1 for value in graph.values.values()):
        plan = unrolled_plan(graph, TARGET)
    else:
        plan = find_plan(graph, TARGET, CLOCK_MHZ, target_fps=CLOCK_MHZ * 1e6 / CYCLES)
    found = estimate(graph, plan)
    return {"lut": found.total.lut, "bram": found.total.bram, "cycles": found.ii, "target": TARGET}


class Campaign:
    """Data read once, and the folder of runs."""

    def __init__(self, folder: Path | None, console: Console) -> None:
        self._folder, self._console = folder, console
        self._data: dict[str, Dataset] = {}
        self._starts: dict[Training, float] = {}

    def data(self, name: str) -> Dataset:
        if name not in self._data:
            self._data = {name: load_dataset(name, self._folder)}  # one at a time: they are large
        return self._data[name]

    def trained(self, job: Training) -> tuple[nn.Module, float, float]:
        """The network, its accuracy and the seconds it took; from its run where there is one."""
        recipe, folder = job.recipe_file(), RUNS / job.name
        data = self.data(recipe.data)
        model = recipe.network()
        checkpoint = folder / "checkpoint.pt"
        done = train(model, data, recipe.training, checkpoint=checkpoint, console=self._console)
        save_tensors(folder / "weights.pt", model.state_dict(), "weights")
        return model, done.accuracy, done.seconds

    def row(self, job: Job) -> dict[str, object]:
        match job:
            case Training():
                return self._trained_row(job)
            case Tuning():
                return self._tuned_row(job)
            case Estimation():
                model, _, _ = self.trained(job.of)
                data = self.data(job.of.recipe_file().data)
                return {"row": job.name, **cost(model, data)}
            case _:
                assert_never(job)

    def _trained_row(self, job: Training) -> dict[str, object]:
        recipe = job.recipe_file()
        data = self.data(recipe.data)
        model, reached, seconds = self.trained(job)
        bits, weights = stored_bits(model)
        return {
            "row": job.name,
            "network": job.recipe,
            "weights": job.weights,
            "p": "" if job.weights == "float" else recipe.arguments["compression"],
            "activations": job.activations,
            "stored_bits": bits,
            "bits_per_weight": round(bits / weights, 4),
            "accuracy": round(reached, 4),
            **self._origin(recipe, data, recipe.training.epochs, seconds),
        }

    def _tuned_row(self, job: Tuning) -> dict[str, object]:
        recipe = job.start.recipe_file()
        data = self.data(recipe.data)
        model = load_model(recipe.model, RUNS / job.start.name / "weights.pt", recipe.arguments)
        if job.start not in self._starts:
            self._starts[job.start] = accuracy(model, data.x_test, data.y_test)
        calibration = [torch.from_numpy(data.x_train[:CALIBRATION_ROWS])]
        made, report = insert(model, calibration, rate=job.rate, kinds=(job.kind,), source_bits=8)
        before = accuracy(made, data.x_test, data.y_test)
        rows = TUNING_ROWS
        short = replace(data, x_train=data.x_train[:rows], y_train=data.y_train[:rows])
        settings = replace(
            recipe.training, epochs=1, optimiser="adam", learning_rate=1e-4, weight_decay=0.0
        )
        done = train(made, short, settings, console=self._console)
        return {
            "row": job.name,
            "network": job.start.recipe,
            "kind": job.kind,
            "rate": job.rate,
            "bits": round(report.rate, 4),
            "float_accuracy": round(self._starts[job.start], 4),
            "accuracy_before_tuning": round(before, 4),
            "accuracy": round(done.accuracy, 4),
            "tuning_rows": rows,
            **self._origin(recipe, data, 1, done.seconds),
        }

    def _origin(
        self, recipe: RecipeFile, data: Dataset, epochs: int, seconds: float
    ) -> dict[str, object]:
        return {
            "epochs": epochs,
            "seed": recipe.training.seed,
            "seconds": round(seconds),
            "data": data.source,
            "torch": version("torch").split("+")[0],
            "brevitas": version("brevitas"),
        }


def table_of(job: Job) -> Path:
    match job:
        case Training():
            return RESULTS / "accuracy.csv"
        case Tuning():
            return RESULTS / "bottlenecks.csv"
        case Estimation():
            return RESULTS / "luts.csv"
        case _:
            assert_never(job)


def read_table(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add_row(path: Path, row: Mapping[str, object]) -> None:
    """A table with a row more, in the order of `jobs`; a kill leaves the old table or the new one.

    The row takes the place of one of its name.
    """
    rows: list[Mapping[str, object]] = [r for r in read_table(path) if r["row"] != row["row"]]
    order = {job.name: i for i, job in enumerate(jobs()) if table_of(job) == path}
    rows = sorted([*rows, row], key=lambda r: order.get(str(r["row"]), len(order)))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--data", type=Path, help="folder of the data, or BITWRIGHT_DATA")
    parser.add_argument("--list", action="store_true", help="only say which rows are missing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    campaign = Campaign(args.data, Console())
    for job in jobs():
        path = table_of(job)
        if args.only not in job.name or job.name in {row["row"] for row in read_table(path)}:
            continue
        if args.list:
            print(job.name)
            continue
        try:
            row = campaign.row(job)
        except BitwrightError as error:
            raise SystemExit(f"{job.name}: {error}") from None
        add_row(path, row)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
