"""Whole networks that no number of the cost model was fitted to, and what Yosys counts of them.

`python -m benchmarks.held_out make` trains or draws the networks that benchmarks/networks lacks and
plans them, `measure` counts the cells of each layer, into cost_model/data/networks.csv, `simulate`
compares their predicted cycles with Verilator's, into cost_model/data/cycles.csv, and `list` shows
what is there. Weights and plans are kept as files, so that no estimate that changes, and no
training that is run again, moves what was measured.

The split: sample points (cost_model/sweep.py) are single operations with constants of their own
seeds; networks have other constants, shapes and plans, and no row of networks.csv enters a fit.
`shared_layers` compares the constants themselves.
"""

import argparse
import csv
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.held_out_networks import networks
from bitwright.characterise import Limits, Subject, measure, measure_clocks
from bitwright.console import campaign
from bitwright.cost_model.points import Point
from bitwright.cost_model.rows import DATA, NETWORKS, read_rows
from bitwright.models.graph import (
    Conv2d,
    Dense,
    Graph,
    Target,
    cycles,
    decode,
    evaluate,
    save,
    save_plan,
)
from bitwright.rtl_tb import emit
from bitwright.rtl_tb.bulk import build

ROWS = DATA / "networks.csv"
CYCLES = DATA / "cycles.csv"
CYCLE_COLUMNS = (
    "network", "verilator", "latency_predicted", "latency_simulated", "ii_predicted",
    "ii_simulated", "vectors", "mismatches",
)  # fmt: skip
VECTORS = 24


def make(names: Sequence[str]) -> None:
    """Write the networks that are missing, or some of them."""
    console = Console()
    for network in networks():
        if (network.folder / "plan.json").is_file() or (names and network.name not in names):
            continue
        graph = network.make()
        save(graph, network.folder)
        save_plan(network.plan(graph), network.folder / "plan.json")
        console.print(f"{network.name}: {len(graph.nodes)} nodes")


def subjects() -> list[Subject]:
    """What is measured, of the networks that are there."""
    return [
        Subject(network.name, network.load, network.targets)
        for network in networks()
        if (network.folder / "plan.json").is_file()
    ]


def constants(graph: Graph) -> dict[str, bytes]:
    """What tells a product's layer from others: its shape and its weights, by node."""
    found = {}
    for node in graph.nodes:
        if isinstance(node.op, Dense | Conv2d):
            weights = decode(node.op.weights)
            found[node.name] = str(weights.shape).encode() + weights.tobytes()
    return found


def shared_layers(points: Sequence[Point]) -> list[str]:
    """The layers of networks whose constants are those of a sample point: none may be."""
    known = {layer for point in points for layer in constants(point.graph()).values()}
    return [
        f"{network.name}.{node}"
        for network in networks()
        for node, layer in constants(network.load()[0]).items()
        if layer in known
    ]


def measure_all(names: Sequence[str], limits: Limits, clocks: bool) -> None:
    """Measure what is missing, or route it."""
    chosen = [subject for subject in subjects() if not names or subject.name in names]
    with campaign("networks") as progress:
        if clocks:
            found = measure_clocks(chosen, DATA / "clocks.csv", limits, progress)
        else:
            found = measure(chosen, ROWS, NETWORKS, limits, progress)
    Console().print(f"{found.rows} rows measured, {found.left} left, {found.failed}")


def simulate(names: Sequence[str]) -> None:
    """Run the networks that cycles.csv lacks in Verilator, and compare cycles and every output."""
    have = {row["network"] for row in cycle_rows()}
    for network in networks():
        if network.name in have or (names and network.name not in names):
            continue
        graph, plan = network.load()
        kind, shape = graph.input.type, graph.input.shape
        x = np.random.default_rng(0).integers(kind.min, kind.max, (VECTORS, *shape), endpoint=True)
        predicted = cycles(graph, plan)
        with tempfile.TemporaryDirectory() as folder:
            simulator = build(emit(graph, plan, Path(folder) / "rtl"), Path(folder) / "sim")
            found = simulator.verify(x, evaluate(graph, x))
        row = (network.name, version("verilator"), predicted.latency, found.latency,
               predicted.interval, found.interval, found.vectors, found.mismatches)  # fmt: skip
        new = not CYCLES.is_file()
        with CYCLES.open("a", newline="") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerows([CYCLE_COLUMNS, row] if new else [row])
        Console().print(*row)


def cycle_rows() -> list[dict[str, str]]:
    """The rows of cycles.csv."""
    if not CYCLES.is_file():
        return []
    with CYCLES.open(newline="") as lines:
        return list(csv.DictReader(lines))


def main() -> None:
    """Make, measure, simulate, or list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", "measure", "simulate", "list"])
    parser.add_argument("names", nargs="*", help="some networks only")
    parser.add_argument("--target", action="append", default=[], help="some targets only")
    parser.add_argument("--jobs", type=int, default=None, help="processes at a time")
    parser.add_argument("--limit-minutes", type=float, default=None)
    parser.add_argument("--clocks", action="store_true", help="route instead of counting cells")
    args = parser.parse_args()
    if args.what == "make":
        make(args.names)
    elif args.what == "simulate":
        simulate(args.names)
    elif args.what == "measure":
        measure_all(args.names, Limits(args.target, args.jobs, args.limit_minutes), args.clocks)
    else:
        show()


def show() -> None:
    """Print the networks and what is measured of each."""
    table = Table("network", "nodes", "target", "LUT", "FF", "DSP", "BRAM")
    sums: dict[tuple[str, Target], list[int]] = {}
    for row in read_rows(ROWS):
        counts = sums.setdefault((row.name, row.target), [0, 0, 0, 0, 0])
        counts[0] += 1
        for i, count in enumerate((row.cost.lut, row.cost.ff, row.cost.dsp, row.cost.bram), 1):
            counts[i] += count
    for network in networks():
        for target in network.targets:
            counts = sums.get((network.name, target), [0, 0, 0, 0, 0])
            table.add_row(network.name, str(counts[0]), target, *(f"{n:,}" for n in counts[1:]))
    Console().print(table)


if __name__ == "__main__":
    main()
