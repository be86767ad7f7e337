"""Folded engines and streams synthesised by Yosys: the rows that the cost model is fitted to.

`python -m benchmarks.folded_cost measure` appends what cost_model/data/folded.csv lacks, `fit`
writes cost_model/data/folded.json, and `errors` shows how far the estimates are from the rows.
"""

import argparse
import csv
import json
import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from bitwright.cost_model import STREAMS as BETWEEN
from bitwright.cost_model import Cost, estimate, find_plan, measure
from bitwright.cost_model.blends import EXPECTED, amounts_cost, certain, logic
from bitwright.cost_model.cells import KINDS, Amounts
from bitwright.cost_model.streamed import between, block_parts
from bitwright.models.graph import (
    Conv2d,
    Dense,
    Engine,
    Folded,
    Graph,
    IntType,
    MaxPool,
    Plain,
    Plan,
    SumPool,
    Target,
    Unrolled,
    Window,
)
from bitwright.models.graph.build import Builder
from bitwright.models.graph.cycles import sized
from bitwright.models.zoo import random_cnn
from bitwright.rtl_tb import emit

FILE = Path("cost_model/data/folded.csv")
TARGETS: tuple[Target, ...] = ("xc7", "ecp5", "ice40")
COLUMNS = ("point", "target", "tool", "lut", "ff", "carry", "dsp", "bram")
STREAMS = "streams"
NETWORKS_FILE = Path("cost_model/data/folded_networks.csv")
FITTED_FILE = Path("cost_model/data/folded.json")
HOLD = 0.03
"""How strongly numbers are held to what is expected, in units of one row's relative error."""


@dataclass(frozen=True, slots=True)
class Point:
    """One folded operation alone. shape: of the input; outputs 0: a pool."""

    name: str
    shape: tuple[int, ...]
    outputs: int
    weight_bits: int
    kind: IntType
    engine: Folded
    window: Window
    groups: int = 1
    largest: bool = True

    def graph(self) -> Graph:
        """Random weights of full range, alike every time; a bias of a few bits."""
        rng = np.random.default_rng(sum(map(ord, self.name)))
        b = Builder(self.name)
        x = b.input("x", self.shape, self.kind)
        if not self.outputs:
            op = MaxPool(self.window) if self.largest else SumPool(self.window)
            return b.graph(b.add("y", op, x))
        rows = self.shape[-1] // self.groups * self.window.taps
        half = 1 << (self.weight_bits - 1)
        size = (rows, self.outputs)
        weights = rng.choice([-1, 1], size) if half == 1 else rng.integers(1 - half, half, size)
        bias = rng.integers(-8, 9, self.outputs)
        codec = Plain(weights, self.weight_bits)
        if len(self.shape) == 1:
            return b.graph(b.add("y", Dense(codec, bias), x))
        return b.graph(b.add("y", Conv2d(codec, bias, self.window, self.groups), x))


def _window(size: int, stride: int = 1, padding: int = 0) -> Window:
    return Window((size, size), (stride, stride), (padding,) * 4)


ONE = Window((1, 1))


def u(width: int) -> IntType:
    """An unsigned type."""
    return IntType(width, False)


POINTS = (
    Point("d_b64x16", (64,), 16, 1, u(1), Folded(4, 16), ONE),
    Point("c_b16", (8, 8, 16), 16, 1, u(1), Folded(8, 16), _window(3, 1, 1)),
    Point("d_m32x16", (32,), 16, 4, u(4), Folded(2, 4), ONE),
    Point("c_m3", (8, 8, 3), 8, 4, u(4), Folded(2, 3), _window(3, 1, 1)),
    Point("p_max8", (8, 8, 8), 0, 0, u(4), Folded(8), _window(2, 2)),
    Point("d_i64x10", (64,), 10, 1, u(4), Folded(2, 8), ONE),
    Point("c_m8", (8, 8, 8), 8, 2, u(2), Folded(4, 4), _window(3)),
    Point("d_d64x10", (64,), 10, 8, u(8), Folded(2, 4), ONE),
    Point("p_sum8", (8, 8, 8), 0, 0, u(4), Folded(4), _window(2, 2), largest=False),
    Point("d_b128x32", (128,), 32, 1, u(1), Folded(8, 32), ONE),
    Point("c_s12", (12, 12, 4), 8, 4, u(4), Folded(2, 4), _window(3, 2, 1)),
    Point("c_depth", (8, 8, 8), 8, 4, u(4), Folded(2), _window(3, 1, 1), 8),
    Point("c_five", (16, 16, 4), 8, 3, u(3), Folded(1, 1), _window(5)),
    Point("d_b64x16s", (64,), 16, 1, u(1), Folded(1, 8), ONE),
    Point("c_one", (8, 8, 8), 16, 4, u(4), Folded(4, 8), ONE),
    Point("p_all", (4, 4, 16), 0, 0, u(4), Folded(2), _window(4), largest=False),
    Point("c_grouped", (8, 8, 8), 16, 3, u(4), Folded(2, 2), _window(3, 1, 1), 2),
    Point("d_m32x16w", (32,), 16, 2, u(2), Folded(4, 8), ONE),
    Point("c_d32", (32, 32, 3), 16, 8, u(8), Folded(1, 3), _window(3, 1, 1)),
    Point("d_i64x32", (64,), 32, 1, IntType(8, True), Folded(4, 8), ONE),
    Point("p_max3", (15, 15, 4), 0, 0, u(8), Folded(1), _window(3, 2, 1)),
    Point("c_m16", (16, 16, 16), 32, 2, u(2), Folded(8, 8), _window(3, 1, 1)),
    Point("d_b784", (784,), 128, 1, u(1), Folded(8, 16), ONE),
    Point("c_m6", (10, 10, 6), 6, 6, IntType(5, True), Folded(3, 2), _window(3)),
    Point("c_b32", (32, 32, 8), 8, 1, u(1), Folded(4, 8), _window(3, 1, 1)),
    Point("d_m48", (48,), 12, 4, u(4), Folded(4, 12), ONE),
    Point("p_max12", (12, 12, 16), 0, 0, u(2), Folded(4), _window(2, 2)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one tool counted of one point: of the node's module, or of the streams around it."""

    point: str
    target: Target
    tool: str
    cost: Cost


def read(file: Path = FILE) -> list[Row]:
    """The rows that are there."""
    if not file.is_file():
        return []
    with file.open(newline="") as lines:
        return [
            Row(
                line["point"],
                next(t for t in TARGETS if t == line["target"]),
                line["tool"],
                Cost(*(int(line[name]) for name in COLUMNS[3:])),
            )
            for line in csv.DictReader(lines)
        ]


def measured(points: tuple[Point, ...], known: list[Row]) -> Iterator[Row]:
    """The rows that are missing, one after the other."""
    have = {(row.point, row.target) for row in known}
    for point in points:
        for target in TARGETS:
            if (point.name, target) in have:
                continue
            graph = point.graph()
            with tempfile.TemporaryDirectory() as folder:
                design = emit(graph, Plan({"y": point.engine}, target), Path(folder) / "rtl")
                tops = {"y": design.modules["y"], STREAMS: design.top}
                found = measure(design.files, tops, target, jobs=2)
            yield Row(point.name, target, found.tool, found.nodes["y"])
            yield Row(f"{point.name}/{STREAMS}", target, found.tool, found.nodes[STREAMS])


def append(row: Row, file: Path = FILE) -> None:
    """One more row, with the heading in front of the first."""
    new = not file.is_file()
    with file.open("a", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerow([row.point, row.target, row.tool, *row.cost.as_dict().values()])


def parts(row: Row) -> Amounts:
    """What the model says that a row's hardware consists of."""
    name, _, streams = row.point.partition("/")
    point = next(p for p in POINTS if p.name == name)
    graph = point.graph()
    plan = Plan({"y": point.engine}, row.target)
    made = sized(graph, plan)
    if streams:
        return between(graph, row.target, made)
    found = block_parts(graph, plan, made.blocks[0], made.blocks[0].steps[0])
    assert isinstance(found, Amounts)
    return found


def fitted(rows: list[Row], what: str) -> dict[str, float]:
    """Numbers a bit for one target: least squares of relative errors, and few standing for many."""
    column = ("lut", "carry").index(what)
    expected = np.array([EXPECTED[kind][column] for kind in KINDS])
    matrix, goal = [], []
    for row in rows:
        part = parts(row)
        measured = row.cost.as_dict()[what]
        rest = measured - certain(part, row.target).as_dict()[what]
        scale = max(measured, 20)
        amounts = logic(part, row.target)
        matrix.append([amounts[kind] / scale for kind in KINDS])
        goal.append(rest / scale)
    near = np.diag(HOLD / np.maximum(expected, 0.1))
    numbers, _ = nnls(np.vstack([matrix, near]), np.concatenate([goal, near @ expected]))
    return {kind: round(float(n), 4) for kind, n in zip(KINDS, numbers, strict=True)}


def fit(rows: list[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """The numbers of every target."""
    return {
        target: {
            what: fitted([row for row in rows if row.target == target], what)
            for what in ("lut", "carry")
        }
        for target in TARGETS
    }


def errors(rows: list[Row]) -> None:
    """Print how far the estimate is from each row, and the medians."""
    for target in TARGETS:
        seen: dict[str, list[float]] = {}
        for row in rows:
            if row.target != target:
                continue
            cost = amounts_cost(parts(row), target).as_dict()
            for what, measured in row.cost.as_dict().items():
                kind = STREAMS if row.point.endswith(STREAMS) else "node"
                if measured:
                    seen.setdefault(f"{kind} {what}", []).append(cost[what] / measured - 1)
                elif what in ("dsp", "bram") and cost[what]:
                    seen.setdefault(f"{kind} {what}", []).append(math.inf)
            shown = ", ".join(f"{w} {cost[w]}/{m}" for w, m in row.cost.as_dict().items() if m)
            print(f"{target} {row.point}: {shown}")
        for what, found in sorted(seen.items()):
            size = np.abs(found)
            print(
                f"{target} {what}: {len(found)} points, median {np.median(size):.1%}, "
                f"95th percentile {np.percentile(size, 95):.1%}, mean {np.mean(found):+.1%}"
            )


def networks() -> dict[str, tuple[Graph, float]]:
    """Networks that no number was fitted to, each with the rate that it is planned for."""
    return {
        "cnn4": (random_cnn(name="cnn4"), 20_000.0),
        "binary": (
            random_cnn(
                (12, 12, 2), (8,), weight_bits=1, activation_bits=1, residual=True,
                form="threshold", name="binary",
            ),
            20_000.0,
        ),
        "depthwise": (
            random_cnn(
                (10, 10, 4), (8, 12), weight_bits=2, activation_bits=3, depthwise=True,
                pooling="sum", name="depthwise",
            ),
            10_000.0,
        ),
    }  # fmt: skip


def held_out(done: set[tuple[str, str]]) -> Iterator[dict[str, object]]:
    """Estimate beside measurement, node by node, of each network on each target."""
    for target in TARGETS:
        for name, (graph, rate) in networks().items():
            if (name, target) in done:
                continue
            plan = find_plan(graph, target, 200.0, target_fps=rate)
            estimated = estimate(graph, plan)
            with tempfile.TemporaryDirectory() as folder:
                design = emit(graph, plan, Path(folder) / "rtl")
                tops = {**design.modules, BETWEEN: design.top}
                found = measure(design.files, tops, target, jobs=2)
            for node, cost in estimated.nodes.items():
                real = found.nodes.get(node, Cost()).as_dict()
                counts = {f"{what}_estimated": n for what, n in cost.as_dict().items()}
                counts |= {f"{what}_measured": n for what, n in real.items()}
                yield {"network": name, "target": target, "tool": found.tool, "node": node,
                       "engine": str(plan.engines.get(node, "")), **counts}  # fmt: skip


def check() -> None:
    """Measure the networks that are missing, and print the error of each one's totals."""
    rows: list[dict[str, object]] = []
    if NETWORKS_FILE.is_file():
        with NETWORKS_FILE.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
    done = {(str(row["network"]), str(row["target"])) for row in rows}
    for row in held_out(done):
        new = not NETWORKS_FILE.is_file()
        with NETWORKS_FILE.open("a", newline="") as lines:
            writer = csv.DictWriter(lines, list(row), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
    summary()


def _engine(text: str) -> Engine:
    """An engine from what it says of itself."""
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    return Folded(*numbers) if text.startswith("folded") else Unrolled(*(numbers or [0]))


def comparisons() -> Iterator[tuple[str, Target, dict[str, int], dict[str, int]]]:
    """Network, target, and its totals as estimated today and as measured."""
    with NETWORKS_FILE.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for target in TARGETS:
        for name, (graph, _) in networks().items():
            mine = [row for row in rows if (row["network"], row["target"]) == (name, target)]
            if mine:
                engines = {row["node"]: _engine(row["engine"]) for row in mine if row["engine"]}
                total = estimate(graph, Plan(engines, target)).total.as_dict()
                real = {w: sum(int(row[f"{w}_measured"]) for row in mine) for w in total}
                yield name, target, total, real


def summary() -> None:
    """Print the error of every network."""
    for name, target, total, real in comparisons():
        told = [
            f"{what} {n:,} / {real[what]:,} ({n / max(real[what], 1) - 1:+.1%})"
            for what, n in total.items()
            if n or real[what]
        ]
        print(f"{target} {name}: {', '.join(told)}")


def main() -> None:
    """Measure what is missing, fit, show the errors, or check whole networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["measure", "fit", "errors", "check"])
    what = parser.parse_args().what
    if what == "measure":
        for row in measured(POINTS, read()):
            append(row)
            print(row.point, row.target, row.cost.as_dict(), flush=True)
        return
    if what == "check":
        check()
        return
    rows = read()
    if what == "fit":
        FITTED_FILE.write_text(json.dumps(fit(rows), indent=1) + "\n")
    errors(rows)


if __name__ == "__main__":
    main()
