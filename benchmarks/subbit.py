"""What sub-bit weights and minifloats save: LUTs counted by Yosys, plain beside tiled in one run."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.row import Row, write
from bitwright.cost_model import measure
from bitwright.models.graph import (
    Codec,
    Dense,
    Graph,
    Interval,
    IntType,
    Node,
    Plain,
    Plan,
    Port,
    Tiled,
    Unrolled,
    Value,
    decode,
    output_interval,
    stored_bits,
)
from bitwright.models.graph.codebooks import best_scale, minifloat_table, nearest
from bitwright.rtl_tb import emit

TARGET = "xc7"
INPUTS, OUTPUTS = 64, 32
COPIES = (4, 8)
ACTIVATIONS = (IntType(1, False), IntType(4, False))
FORMATS = {3: (2, 0), 4: (2, 1), 5: (2, 2), 6: (3, 2), 7: (3, 3), 8: (4, 3)}
"""Exponent and mantissa bits of the minifloat of each width."""


def dense_graph(name: str, codec: Codec, kind: IntType) -> Graph:
    """A dense layer alone, its output as narrow as its range."""
    inputs, outputs = decode(codec).shape
    x = Value("x", (inputs,), kind)
    op = Dense(codec, np.zeros(outputs, np.int64))
    node = Node(op, ("x",), Value("y", (outputs,), IntType(64, True)))
    reach = output_interval(node, [Interval.of_type(x)])
    node = replace(node, output=Value("y", (outputs,), IntType.holding(*reach.bounds)))
    return Graph(name, (x,), (node,), ("y",), {"x": Port(1.0), "y": Port(1.0)})


def luts(graphs: Sequence[Graph]) -> dict[str, int]:
    """LUTs of each graph's only layer, synthesised side by side."""
    files: dict[str, Path] = {}
    tops = {}
    with tempfile.TemporaryDirectory() as name:
        for graph in graphs:
            plan = Plan({"y": Unrolled(1)}, TARGET)
            design = emit(graph, plan, Path(name) / graph.name)
            files |= {file.name: file for file in design.files}
            tops[graph.name] = design.modules["y"]
        measured = measure(list(files.values()), tops, TARGET)
    return {name: cost.lut for name, cost in measured.nodes.items()}


def tiled_rows() -> list[dict[str, object]]:
    """For each compression the worse LUT ratio of the two activation widths, and the stored bits."""
    rng = np.random.default_rng(0)
    shape = (INPUTS, OUTPUTS)
    codecs: dict[int, Codec] = {1: Plain(rng.choice([-1, 1], shape), 1)}
    codecs |= {p: Tiled(rng.choice([-1, 1], INPUTS * OUTPUTS // p), shape) for p in COPIES}
    graphs = {(p, k): dense_graph(f"p{p}_{k}", c, k) for p, c in codecs.items() for k in ACTIVATIONS}
    found = luts(list(graphs.values()))
    rows: list[dict[str, object]] = []
    for p in COPIES:
        ratios = {
            str(k): found[graphs[p, k].name] / found[graphs[1, k].name] for k in ACTIVATIONS
        }
        worse = max(ratios, key=lambda k: ratios[k])
        rows.append(
            {
                "name": f"tiled_p{p}_lut_ratio",
                "value": found[f"p{p}_{worse}"],
                "unit": f"LUT ({TARGET}, dot products of {INPUTS} x {worse} -> {OUTPUTS})",
                "against": f"plain binary layer, {found[f'p1_{worse}']} LUT",
                "ratio": ratios[worse],
                "ratios": ratios,
                "stored_bits": stored_bits(codecs[p]),
            }
        )
    return rows
