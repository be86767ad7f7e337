"""What sub-bit weights and minifloats save: LUTs by Yosys, beside plain layers in the same run."""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.row import FOLDER
from bitwright.cost_model import measure
from bitwright.models.graph import (
    Codec,
    Dense,
    Graph,
    IntArray,
    Interval,
    IntType,
    Node,
    Plain,
    Plan,
    Port,
    Target,
    Tiled,
    Unrolled,
    Value,
    decode,
    output_interval,
    stored_bits,
)
from bitwright.models.graph.codebooks import best_scale, minifloat_table, nearest
from bitwright.rtl_tb import emit

TARGET: Target = "xc7"
SHAPE = (64, 32)
LONG_SHAPE = (256, 128)
LONG_FILE = Path("docs/results/subbit_long.json")
LONG_GROUP = 16
"""Yosys maps 16 popcounts of 256 bits in seconds, and had not done 32 after 18 minutes."""
LONG_LIMIT_S = 6 * 3600.0
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
        measured = measure(list(files.values()), tops, TARGET, timeout_s=LONG_LIMIT_S)
    return {name: cost.lut for name, cost in measured.nodes.items()}


def grouped(graph: Graph, outputs: int) -> list[Graph]:
    """A dense layer as several of so many distinct outputs each, replicas of a tile with theirs."""
    node = graph.nodes[0]
    assert isinstance(node.op, Dense)
    codec = node.op.weights
    parts: list[Codec]
    if isinstance(codec, Tiled):
        inputs = codec.shape[0]
        rows = codec.tile.reshape(-1, inputs)
        chunks = [rows[i : i + outputs] for i in range(0, len(rows), outputs)]
        parts = [Tiled(chunk.ravel(), (inputs, len(chunk) * codec.copies)) for chunk in chunks]
    else:
        columns = decode(codec)
        starts = range(0, columns.shape[1], outputs)
        parts = [Plain(columns[:, i : i + outputs], 1) for i in starts]
    kind = graph.input.type
    return [dense_graph(f"{graph.name}_{i}", part, kind) for i, part in enumerate(parts)]


def luts_in_groups(graphs: Sequence[Graph], outputs: int) -> dict[str, int]:
    """LUTs of each graph's only layer, summed over groups of its outputs, one after the other.

    Smallest first; what an earlier run finished is not done again.
    """
    found: dict[str, int] = {}
    for graph in reversed(graphs):
        start = time.perf_counter()
        parts = grouped(graph, outputs)
        counts = [luts([part])[part.name] for part in parts]
        found[graph.name] = sum(counts)
        seconds = time.perf_counter() - start
        print(
            f"{graph.name}: {sum(counts):,} LUT in {len(counts)} parts, {seconds:,.0f} s",
            flush=True,
        )
    return found


def tiled_rows(
    shape: tuple[int, int] = SHAPE, count: Callable[[Sequence[Graph]], dict[str, int]] = luts
) -> list[dict[str, object]]:
    """For each compression the worse LUT ratio of both activation widths, and the stored bits."""
    rng = np.random.default_rng(0)
    inputs, outputs = shape
    codecs: dict[int, Codec] = {1: Plain(rng.choice([-1, 1], shape), 1)}
    codecs |= {p: Tiled(rng.choice([-1, 1], inputs * outputs // p), shape) for p in COPIES}
    graphs = {
        (p, k): dense_graph(f"p{p}_{k}", c, k) for p, c in codecs.items() for k in ACTIVATIONS
    }
    found = count(list(graphs.values()))
    rows: list[dict[str, object]] = []
    for p in COPIES:
        ratios = {str(k): found[graphs[p, k].name] / found[graphs[1, k].name] for k in ACTIVATIONS}
        worse = max(ratios, key=lambda k: ratios[k])
        rows.append(
            {
                "name": f"tiled_p{p}_lut_ratio",
                "value": found[f"p{p}_{worse}"],
                "unit": f"LUT ({TARGET}, dot products of {inputs} x {worse} -> {outputs})",
                "against": f"plain binary layer, {found[f'p1_{worse}']} LUT",
                "ratio": ratios[worse],
                "ratios": ratios,
                "luts": {str(k): found[graphs[p, k].name] for k in ACTIVATIONS},
                "plain_luts": {str(k): found[graphs[1, k].name] for k in ACTIVATIONS},
                "stored_bits": stored_bits(codecs[p]),
            }
        )
    return rows


def format_rows() -> list[dict[str, object]]:
    """LUTs of a 16 x u4 -> 16 layer with the same real weights as integers and as minifloats."""
    real = np.random.default_rng(1).normal(0.0, 1.0, (16, 16))
    graphs: dict[str, Graph] = {}
    noise = {}
    for bits, (exponent, mantissa) in FORMATS.items():
        integers = np.arange(-(1 << (bits - 1)) + 1, 1 << (bits - 1))
        minifloats = minifloat_table(exponent, mantissa)
        for name, table in {f"int{bits}": integers, f"minifloat{bits}": minifloats}.items():
            scale = best_scale(real, table)
            codec = nearest(real, padded(table), scale)
            error = real - decode(codec) * scale
            noise[name] = 10 * np.log10(float((real**2).mean() / (error**2).mean()))
            graphs[name] = dense_graph(name, codec, IntType(4, False))
    found = luts(list(graphs.values()))
    return [
        {
            "name": f"minifloat{bits}_luts",
            "value": found[f"minifloat{bits}"],
            "unit": f"LUT ({TARGET}, 16 x u4 -> 16), E{exponent}M{mantissa}",
            "against": f"{bits}-bit integers, {found[f'int{bits}']} LUT",
            "ratio": found[f"minifloat{bits}"] / found[f"int{bits}"],
            "signal_to_noise_db": {
                "minifloat": round(noise[f"minifloat{bits}"], 2),
                "integer": round(noise[f"int{bits}"], 2),
            },
        }
        for bits, (exponent, mantissa) in FORMATS.items()
    ]


def padded(table: IntArray) -> IntArray:
    """A table with its last entry repeated up to a power of two, as indices need it."""
    entries = 1 << (len(table) - 1).bit_length()
    return np.concatenate([table, np.repeat(table[-1:], entries - len(table))])


def long_table(rows: Sequence[dict[str, object]]) -> str:
    """The long layer's rows as Markdown, one line for each compression and activation."""
    weights = LONG_SHAPE[0] * LONG_SHAPE[1]
    lines = ["| p | activations | LUT | plain binary | ratio | 1.1/p | stored bits |",
             "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for p, row in zip(COPIES, rows, strict=True):
        tiled, plain = row["luts"], row["plain_luts"]
        assert isinstance(tiled, dict) and isinstance(plain, dict)
        lines += [
            f"| {p} | {kind} | {tiled[kind]:,} | {plain[kind]:,} | {tiled[kind] / plain[kind]:.3f} "
            f"| {1.1 / p:.3f} | {row['stored_bits']:,} of {weights:,} |"
            for kind in tiled
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    shape = " -> ".join(map(str, LONG_SHAPE))
    parser.add_argument(
        "--long",
        action="store_true",
        help=f"a {shape} layer instead, into {LONG_FILE}; goes on where it was stopped",
    )
    parser.add_argument(
        "--group",
        type=int,
        default=LONG_GROUP,
        help="distinct outputs of the long layer to synthesise together (default %(default)s)",
    )
    told = parser.parse_args()
    if told.long:
        rows = tiled_rows(LONG_SHAPE, lambda graphs: luts_in_groups(graphs, told.group))
        rows = [{**row, "outputs_synthesised_together": told.group} for row in rows]
        file = LONG_FILE
    else:
        rows, file = tiled_rows() + format_rows(), FOLDER / "subbit.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows, indent=1) + "\n")
    if told.long:
        print(long_table(rows))
    for row in rows:
        against = f"{row['ratio']:.3f} x {row['against']}"
        print(f"{row['name']:24} {row['value']:6} {row['unit']}, {against}")


if __name__ == "__main__":
    main()
