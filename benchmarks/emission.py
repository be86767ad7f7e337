"""How emission grows with the weights: seconds and bytes over three decades, and a plot of them."""

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.row import FOLDER, Row, write
from bitwright.cost_model import make_plan
from bitwright.models.graph import Conv2d, Dense, decode
from bitwright.models.zoo import random_cnn
from bitwright.rtl_tb import emit

CHANNELS = (8, 16, 32, 64, 128, 256)  # 10^3.3 to 10^6.3 weights
CLOCK_MHZ = 100.0


def growth() -> list[Row]:
    """The powers of the number of weights with which emission grows, at the upper end."""
    weights, seconds, size = [], [], []
    with tempfile.TemporaryDirectory() as name:
        for channels in CHANNELS:
            graph = random_cnn((16, 16, 8), (channels, channels, 2 * channels), name="net")
            plan = make_plan(graph, "xc7", CLOCK_MHZ)
            start = time.perf_counter()
            design = emit(graph, plan, Path(name) / str(channels))
            seconds.append(time.perf_counter() - start)
            products = (n.op for n in graph.nodes if isinstance(n.op, Dense | Conv2d))
            weights.append(sum(decode(op.weights).size for op in products))
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


def main() -> None:
    write("emission", growth())


if __name__ == "__main__":
    main()
