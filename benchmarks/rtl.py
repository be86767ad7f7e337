"""From graph to verified RTL for 16-64-32-32-5: emission, Verilator build, 100,000 vectors."""

import contextlib
import io
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.peer import Peer
from benchmarks.reference import network
from benchmarks.row import Row, write
from bitwright.cost_model import make_plan
from bitwright.models.graph import Graph, evaluate
from bitwright.rtl_tb import emit
from bitwright.rtl_tb.bulk import build

VECTORS = 100_000
BULK_LIMIT_S = 3.0
WHOLE_LIMIT_S = 60.0


def peer_emits(graph: Graph, folder: Path) -> float:
    """Seconds in which the adder-graph library traces the network and writes its own Verilog."""
    from alkaid.codegen import RTLModel

    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        RTLModel(Peer(graph).program, folder, "peer", latency_cutoff=5).write()
    return time.perf_counter() - start


def main() -> None:
    graph = network()
    plan = make_plan(graph, "xc7", 200.0)
    kind = graph.input.type
    rng = np.random.default_rng(0)
    x = rng.integers(kind.min, kind.max + 1, (VECTORS, *graph.input.shape))
    expected = evaluate(graph, x)
    with tempfile.TemporaryDirectory() as name:
        peer = peer_emits(graph, Path(name) / "peer")
        emit(graph, plan, Path(name) / "warm")  # the solver's import is not emission
        start = time.perf_counter()
        design = emit(graph, plan, Path(name) / "rtl")
        emission = time.perf_counter() - start
        simulator = build(design, Path(name) / "sim")
        built = time.perf_counter()
        result = simulator.verify(x, expected, paused=0)
        end = time.perf_counter()
    if not result.passed:
        raise SystemExit(f"the design is wrong: {'; '.join(result.faults)}")
    bulk, whole = end - built, end - start
    write(
        "rtl",
        [
            Row("emission_seconds", emission, "s", f"alkaid, {peer:.2f} s", emission / peer),
            Row("rtl_bulk_100k_seconds", bulk, "s", "the limit of 3 s", bulk / BULK_LIMIT_S),
            Row(
                "graph_to_verified_rtl_seconds",
                whole,
                "s",
                "the limit of 60 s",
                whole / WHOLE_LIMIT_S,
            ),
        ],
    )
