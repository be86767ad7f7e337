"""Convolutional networks from torch to checked HLS and RTL, and CNV's speed: out/bench/conv.json.

FINN's CNV and MLPerf Tiny's three networks at their real size, untrained, with random inputs: they
show what can be mapped, how exactly, how large and how fast. A network trained on scikit-learn's
digits, and one on MNIST where BITWRIGHT_DATA names a folder with it, run on their whole test sets.

Every output of every vector is compared: reference with hls4ml's C++ and with the RTL, simulated
cycles with those predicted. That the comparison sees a mistake is tried for each network: a design
is held against what a graph with one wrong weight bit (or the next kind of mistake) computes.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from benchmarks.qonnx_peer import reference_rows, settled
from benchmarks.row import FOLDER, Row
from bitwright import hls
from bitwright.checks import check_hls
from bitwright.controls import mistakes
from bitwright.cost_model import estimate, make_plan
from bitwright.inputs import affordable, random_vectors
from bitwright.models.data_files import FOLDER_VARIABLE, load_dataset
from bitwright.models.files import replace_file
from bitwright.models.graph import (
    Conv2d,
    Dense,
    IntArray,
    Target,
    decode,
    evaluate,
    quantise,
    stored_bits,
)
from bitwright.models.lower import Lowered, compare, lower
from bitwright.models.recipes import read_recipe
from bitwright.models.train import train
from bitwright.models.zoo import cnv
from bitwright.rtl_tb import emit
from bitwright.rtl_tb.bulk import build
from examples import mlperf_tiny

FILE = FOLDER / "conv.json"
TARGET: Target = "xc7"
CLOCK_MHZ = 100.0
CYCLES, MOST_VECTORS = 500_000, 1_000  # that random inputs may take in simulation; at least 16
PAUSED, CONTROL = 4, 16  # vectors that run again with pauses, and with a mistake
EMIT_S, BUILD_S, IMAGES_A_SECOND, MEMORY_GIB = 30.0, 300.0, 1.0, 8.0

CNV = "CNV w1a1"
UNTRAINED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    CNV: (cnv, (3, 32, 32)),
    "CNV w2a2": (lambda: cnv(2, 2), (3, 32, 32)),
    "image ResNet-8 w4a4": (mlperf_tiny.images, (3, 32, 32)),
    "keywords DS-CNN w4a4": (mlperf_tiny.keywords, (1, 49, 10)),
    "anomalies autoencoder w4a4": (mlperf_tiny.anomalies, (640,)),
}
TRAINED = {"digits CNN": "digits_cnn.toml", "MNIST CNN": "mnist_cnn.toml"}
NAMES = (*UNTRAINED, *TRAINED)


@dataclass(frozen=True)
class Network:
    """One network, verified. vectors: through either engine; mismatches: wrong answers of both.

    cycles: between two inputs. faults: whatever was wrong in the RTL, in sentences. control: in how
    many vectors a mistake shows, and in how many it was seen. bulk_per_second: inputs through RTL.
    """

    name: str
    data: str
    vectors: int
    mismatches: int
    predicted_cycles: int
    simulated_cycles: int | None
    predicted_latency: int
    simulated_latency: int | None
    faults: tuple[str, ...]
    control: tuple[int, int]
    hls_io: str | None
    weights: int
    weight_bits: int
    lut: int
    bram: int
    dsp: int
    hls_seconds: float
    emit_seconds: float
    build_seconds: float
    bulk_per_second: float

    @property
    def passed(self) -> bool:
        """Whether all is equal, and the mistake was seen."""
        shows, seen = self.control
        return self.mismatches == 0 and not self.faults and shows == seen

    @property
    def line(self) -> str:
        """A row of the table in docs/experiments.md."""
        return (
            f"| {self.name} | {self.weights:,} | {self.weight_bits:,} | {self.lut:,} | "
            f"{self.bram:,} | {self.dsp:,} | {self.predicted_cycles:,} | "
            f"{CLOCK_MHZ * 1e6 / self.predicted_cycles:,.0f} | {self.data} | "
            f"{self.mismatches} of {self.vectors:,} |"
        )


HEAD = (
    "| network | weights | stored bits | LUT | BRAM18 | DSP | cycles an input | a second at "
    f"{CLOCK_MHZ:g} MHz | inputs | differ |\n" + "| --- " * 10 + "|"
)


def lowered(name: str) -> tuple[Lowered, str, IntArray | None]:
    """A network as integers, what it is tried on, and its test set where it was trained."""
    if name in UNTRAINED:
        make, shape = UNTRAINED[name]
        raw = lower(make().eval(), shape).graph
        port, kind = raw.ports[raw.input.name], raw.input.type
        ends = [port.scale * (n + port.offset) for n in (kind.min, kind.max)]
        return lower(settled(make(), shape, *ends), shape), "random", None
    recipe = read_recipe(Path("examples/recipes") / TRAINED[name])
    data, model = load_dataset(recipe.data), recipe.network()
    with tempfile.TemporaryDirectory() as folder:
        train(model, data, recipe.training, checkpoint=Path(folder) / "checkpoint.pt")
    made = lower(model, data.x_test.shape[1:])
    found = compare(model, made, data.x_test, data.y_test)
    assert found.accuracy_reference is not None
    told = f"test set, {100 * found.accuracy_reference:.2f} % right"
    if found.differing_decisions:
        told += f", torch decides {found.differing_decisions} otherwise"
    return made, told, quantise(made.graph, made.arrange(data.x_test))


def verified(name: str) -> Network:
    """Take one network all the way."""
    made, data, x = lowered(name)
    graph = made.graph
    plan = make_plan(graph, TARGET, CLOCK_MHZ)
    cost = estimate(graph, plan)
    if x is None:
        x = random_vectors(graph, affordable(CYCLES, cost.ii, MOST_VECTORS))
    expected = evaluate(graph, x)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        in_hls = check_hls(hls.write(graph, Path(folder) / "hls"), x, expected)
        start = time.perf_counter()
        design = emit(graph, plan, Path(folder) / "rtl")
        emitted = time.perf_counter()
        simulator = build(design, Path(folder) / "sim")
        built = time.perf_counter()
        in_rtl = simulator.verify(x, expected, paused=0)
        done = time.perf_counter()
        paused = simulator.verify(x[:PAUSED], expected[:PAUSED], paused=PAUSED)
        few = x[-CONTROL:]
        mistake = next(iter(mistakes(graph, few)), None)
        if mistake is None:
            raise SystemExit(f"{name}: no mistake shows in its outputs, so there is nothing to see")
        seen = simulator.verify(few, evaluate(mistake.graph, few), paused=0).mismatches
    products = [node.op for node in graph.nodes if isinstance(node.op, Dense | Conv2d)]
    return Network(
        name=name,
        data=data,
        vectors=len(x),
        mismatches=in_hls.mismatches + in_rtl.mismatches + paused.paused_mismatches,
        predicted_cycles=cost.ii,
        simulated_cycles=in_rtl.interval,
        predicted_latency=cost.latency,
        simulated_latency=in_rtl.latency,
        faults=(*in_rtl.faults, *paused.faults),
        control=(mistake.differing, seen),
        hls_io=in_hls.io,
        weights=sum(decode(op.weights).size for op in products),
        weight_bits=sum(stored_bits(op.weights) for op in products),
        lut=cost.total.lut,
        bram=cost.total.bram,
        dsp=cost.total.dsp,
        hls_seconds=round(start - began, 2),
        emit_seconds=round(emitted - start, 2),
        build_seconds=round(built - emitted, 2),
        bulk_per_second=round(len(x) / (done - built), 3),
    )


def cnv_rows(network: Network) -> Iterator[Row]:
    """What CNV took, beside the limits."""
    used = max(resource.getrusage(who).ru_maxrss for who in
               (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20  # fmt: skip
    for name, value, unit, limit in (
        ("cnv_emit_seconds", network.emit_seconds, "s", EMIT_S),
        ("cnv_build_seconds", network.build_seconds, "s", BUILD_S),
        ("cnv_bulk_images_per_second", network.bulk_per_second, "images/s", IMAGES_A_SECOND),
        ("cnv_memory_gib", used, "GiB", MEMORY_GIB),
    ):
        yield Row(name, value, unit, f"the limit of {limit:g} {unit}", value / limit)


def main() -> None:
    parser = argparse.ArgumentParser(description="Networks from torch to checked HLS and RTL.")
    parser.add_argument("--only", nargs="*", choices=NAMES, metavar="NAME", help="; ".join(NAMES))
    names = parser.parse_args().only or [
        name for name in NAMES if name != "MNIST CNN" or os.environ.get(FOLDER_VARIABLE)
    ]
    rows: list[Network | Row] = []
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(HEAD, flush=True)
    for name in names:
        network = verified(name)
        rows += [network, *(cnv_rows(network) if name == CNV else ())]
        _store(rows)
        print(network.line, flush=True)
    if CNV in names:
        rows += reference_rows()
        _store(rows)
    for row in rows:
        if isinstance(row, Row):
            print(row, flush=True)
    wrong = [row for row in rows if isinstance(row, Network) and not row.passed]
    if wrong:
        raise SystemExit("\n".join(f"NOT verified: {network}" for network in wrong))


def _store(rows: list[Network | Row]) -> None:
    """All that is known so far, whole or not at all."""
    replace_file(FILE, json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
