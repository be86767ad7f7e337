"""Convolutional networks, folded: how emission grows with the weights, and CNV as a whole.

CNV is FINN's binary network for CIFAR-10 (six convolutions, three dense layers, 1.5 million
weights), untrained, lowered from Brevitas; the images are random.
"""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.row import FOLDER, Row, write
from bitwright.cost_model import make_plan
from bitwright.models.graph import Conv2d, Dense, Graph, evaluate
from bitwright.models.zoo import random_cnn
from bitwright.rtl_tb import emit
from bitwright.rtl_tb.bulk import build

IMAGES = 8
CLOCK_MHZ = 100.0
EMIT_LIMIT_S, BUILD_LIMIT_S, SECONDS_AN_IMAGE, MEMORY_GIB = 30.0, 300.0, 1.0, 8.0


def growth() -> list[Row]:
    """Emission time and bytes of networks of 10^3.3 to 10^6.3 weights, and the plot of them."""
    weights, seconds, size = [], [], []
    with tempfile.TemporaryDirectory() as name:
        for channels in (8, 16, 32, 64, 128, 256):
            graph = random_cnn((16, 16, 8), (channels, channels, 2 * channels), name="net")
            plan = make_plan(graph, "xc7", CLOCK_MHZ)
            start = time.perf_counter()
            design = emit(graph, plan, Path(name) / str(channels))
            seconds.append(time.perf_counter() - start)
            weights.append(sum(_weights(graph)))
            size.append(sum(file.stat().st_size for file in design.files))
            print(
                f"{weights[-1]:9,} weights: {seconds[-1]:.2f} s, {size[-1] / 1e6:.2f} MB",
                flush=True,
            )
    _plot(weights, seconds, size)
    exponent = [np.polyfit(np.log(weights[-3:]), np.log(y[-3:]), 1)[0] for y in (seconds, size)]
    return [
        Row("emission_seconds_exponent", exponent[0], "power", "linear growth", exponent[0]),
        Row("emitted_bytes_exponent", exponent[1], "power", "linear growth", exponent[1]),
    ]


def _weights(graph: Graph) -> list[int]:
    return [
        int(np.prod(node.op.weights.values.shape))
        for node in graph.nodes
        if isinstance(node.op, Dense | Conv2d) and hasattr(node.op.weights, "values")
    ]


def _plot(weights: list[int], seconds: list[float], size: list[int]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axes, values, label in ((left, seconds, "seconds to emit"),
                                (right, [n / 1e6 for n in size], "megabytes emitted")):  # fmt: skip
        axes.loglog(weights, values, "o-", color="#0072b2")
        line = [values[-1] * w / weights[-1] for w in weights]
        axes.loglog(weights, line, ":", color="#666666", label="linear")
        axes.set_xlabel("weights")
        axes.set_ylabel(label)
        axes.grid(True, which="major", alpha=0.3)
        axes.legend(frameon=False)
    FOLDER.mkdir(parents=True, exist_ok=True)
    figure.savefig(FOLDER / "emission.png", dpi=120)


def whole() -> list[Row]:
    """CNV: lower, emit, compile, simulate and compare."""
    from bitwright.models.lower import lower
    from bitwright.models.zoo import cnv

    graph = lower(cnv().eval(), (3, 32, 32)).graph
    x = np.random.default_rng(0).integers(0, 256, (IMAGES, *graph.input.shape))
    expected = evaluate(graph, x)
    plan = make_plan(graph, "xc7", CLOCK_MHZ)
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        design = emit(graph, plan, Path(name) / "rtl")
        emitted = time.perf_counter()
        simulator = build(design, Path(name) / "sim")
        built = time.perf_counter()
        result = simulator.verify(x, expected, paused=0)
        done = time.perf_counter()
    if not result.passed:
        raise SystemExit(f"the design is wrong: {'; '.join(result.faults)}")
    used = [resource.getrusage(who).ru_maxrss for who in
            (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]  # fmt: skip
    measured = (emitted - start, built - emitted, (done - built) / IMAGES, max(used) / 2**20)
    names = ("cnv_emit_seconds", "cnv_build_seconds", "cnv_seconds_an_image", "cnv_memory_gib")
    limits = (EMIT_LIMIT_S, BUILD_LIMIT_S, SECONDS_AN_IMAGE, MEMORY_GIB)
    return [
        Row(
            row,
            value,
            "GiB" if row.endswith("gib") else "s",
            f"the limit of {limit:g}",
            value / limit,
        )
        for row, value, limit in zip(names, measured, limits, strict=True)
    ]


def main() -> None:
    write("images", [*growth(), *whole()])


if __name__ == "__main__":
    main()
