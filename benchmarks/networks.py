"""The networks that people have, from torch to RTL: FINN's CNV and those of MLPerf Tiny, untrained.

python -m benchmarks.networks [--only NAME …] lowers each at its real size, plans and estimates it,
emits it, compiles it with Verilator and compares every output of a few random inputs, and its
cycles. Random weights: it is about what can be mapped, how exactly, how large and how fast.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import nn

from benchmarks.row import FOLDER
from bitwright.cost_model import estimate, find_plan
from bitwright.models.graph import Conv2d, Dense, decode, evaluate, stored_bits
from bitwright.models.lower import lower
from bitwright.models.zoo import cnv
from bitwright.rtl_tb import emit
from bitwright.rtl_tb.bulk import build
from examples import mlperf_tiny

TARGET, CLOCK_MHZ, LUTS, INPUTS = "xc7", 100.0, 20_000, 6

Network = tuple[Callable[[], nn.Module], tuple[int, ...]]
NETWORKS: dict[str, Network] = {
    "CNV w1a1": (cnv, (3, 32, 32)),
    "CNV w2a2": (lambda: cnv(2, 2), (3, 32, 32)),
    "image ResNet-8 w4a4": (mlperf_tiny.images, (3, 32, 32)),
    "keywords DS-CNN w4a4": (mlperf_tiny.keywords, (1, 49, 10)),
    "anomalies autoencoder w4a4": (mlperf_tiny.anomalies, (640,)),
}


@dataclass(frozen=True)
class Result:
    """One network. cycles: between two inputs."""

    network: str
    weights: int
    weight_bits: int
    lut: int
    bram: int
    dsp: int
    cycles: int
    latency: int
    inputs: int
    differ: int
    emit_s: float
    build_s: float


def measure(name: str) -> Result:
    """Take one network all the way."""
    make, shape = NETWORKS[name]
    graph = lower(make().eval(), shape).graph
    plan = find_plan(graph, TARGET, CLOCK_MHZ, max_lut=LUTS)
    cost = estimate(graph, plan)
    kind = graph.input.type
    dice = np.random.default_rng(0)
    x = dice.integers(kind.min, kind.max, (INPUTS, *graph.input.shape), endpoint=True)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        design = emit(graph, plan, Path(folder) / "rtl")
        emitted = time.perf_counter()
        simulator = build(design, Path(folder) / "sim")
        built = time.perf_counter()
        found = simulator.verify(x, evaluate(graph, x), paused=1)
    if found.faults:
        raise SystemExit(f"{name}: {'; '.join(found.faults)}")
    products = [node.op for node in graph.nodes if isinstance(node.op, Dense | Conv2d)]
    return Result(
        network=name,
        weights=sum(decode(op.weights).size for op in products),
        weight_bits=sum(stored_bits(op.weights) for op in products),
        lut=round(cost.total.lut),
        bram=round(cost.total.bram),
        dsp=round(cost.total.dsp),
        cycles=design.interval,
        latency=design.latency,
        inputs=len(x),
        differ=found.mismatches,
        emit_s=round(emitted - start, 1),
        build_s=round(built - emitted, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Networks from torch to verified RTL.")
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS), help="these alone")
    told = parser.parse_args()
    head = (
        "| network | weights | bits | LUT | BRAM18 | DSP | cycles an input | a second at "
        f"{CLOCK_MHZ:g} MHz | differ |"
    )
    print(head + "\n| " + "--- | " * (head.count("|") - 1), flush=True)
    results = []
    for name in told.only or NETWORKS:
        one = measure(name)
        results.append(one)
        rate = CLOCK_MHZ * 1e6 / one.cycles
        print(
            f"| {name} | {one.weights:,} | {one.weight_bits:,} | {one.lut:,} | {one.bram:,} | "
            f"{one.dsp:,} | {one.cycles:,} | {rate:,.0f} | {one.differ} of {one.inputs} |",
            flush=True,
        )
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [asdict(one) for one in results]
    (FOLDER / "networks.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
