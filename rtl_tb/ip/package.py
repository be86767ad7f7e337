"""An IP folder: the design with all that an engineer expects beside it, written whole or not."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np

from bitwright.models.errors import InputError
from bitwright.models.graph import (
    Conv2d,
    Dense,
    Graph,
    IntArray,
    IntType,
    Plan,
    digest,
    evaluate,
    plan_to_json,
)
from bitwright.models.graph.any_weights import bias_limit
from bitwright.models.graph.codecs import Plain
from bitwright.models.graph.reference import check_batch
from bitwright.models.graph.storage import replaced_folder
from bitwright.rtl_tb.bench import BENCH, write_beats, write_vectors
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.emit import emit
from bitwright.rtl_tb.ip.interface import (
    CLOCK,
    LICENCE,
    RESET,
    ip_name,
    is_redundant,
    ports,
    registers,
)
from bitwright.rtl_tb.ip.ipxact import component
from bitwright.rtl_tb.ip.readme import About, readme
from bitwright.rtl_tb.ip.software import c_header, memories, python_driver
from bitwright.rtl_tb.ip.vendors import (
    clock_constraints,
    clock_preference,
    fusesoc_core,
    is_for_trellis,
    is_for_vivado,
    vivado_script,
)
from bitwright.rtl_tb.ip.wrapper import REGISTERS, wrapper
from bitwright.rtl_tb.loading import load_words
from bitwright.rtl_tb.vectors import beat_bytes

MARKER = "ip.json"
_HERE = "bitwright.rtl_tb.ip"


@dataclass(frozen=True, eq=False, slots=True)
class Ip:
    """An IP folder that was written. files: relative to it."""

    folder: Path
    name: str
    design: Design
    digest: str
    vectors: int
    files: tuple[str, ...]


def write_ip(
    graph: Graph, plan: Plan, folder: str | os.PathLike[str], x: IntArray, about: About
) -> Ip:
    """Write an IP folder, replacing one that is there; the same input gives the same bytes.

    x: integers, shape (batch, *input shape), which become the golden vectors with what the
    reference makes of them.

    Raises:
        InputError: no vectors, or vectors of another shape or range.
        GraphError, UnsupportedError: as `emit`.
        StorageError: the folder holds something else, or cannot be written.
    """
    inputs = check_batch(graph.input, x)
    if len(inputs) == 0:
        raise InputError("an IP without golden vectors: give at least one")
    identity = digest(graph)
    target = Path(folder)
    with replaced_folder(target, MARKER) as fresh:
        design = emit(graph, plan, fresh / "rtl")
        if about.verified is not None and about.verified.design != design.digest():
            raise InputError(
                f"what was verified is another design ({about.verified.design[:12]}, not "
                f"{design.digest()[:12]}): did you forget --plan? Or verify the one of this graph "
                "and plan"
            )
        name = ip_name(design)
        library = resources.files("bitwright.rtl_tb") / "lib" / f"{REGISTERS}.sv"
        _write(fresh, f"rtl/lib/{REGISTERS}.sv", library.read_text())
        _write(fresh, "LICENSE", (resources.files(_HERE) / "LICENSE").read_text())
        _write(fresh, f"rtl/{name}.v", wrapper(design, identity))
        rtl = [file.relative_to(fresh).as_posix() for file in design.files]
        rtl = [f"rtl/lib/{REGISTERS}.sv", *rtl, f"rtl/{name}.v"]

        told = _golden(fresh, graph, plan, design, inputs, identity)
        sources = [path.removeprefix("rtl/") for path in rtl]
        _bench(fresh, design, sources)
        _write(fresh, f"tb/tb_{name}.sv", _plain_bench(design, identity, len(inputs)))
        for copied in (*fresh.glob("rtl/lib/*.sv"), *fresh.glob("tb/test_*.py")):
            comment = "//" if copied.suffix == ".sv" else "#"
            told_by = f"{comment} SPDX-License-Identifier: {LICENCE}\n"
            copied.write_text(told_by + copied.read_text())

        software = memories(graph, plan) if design.load_beats else ()
        _write(fresh, f"sw/{name}.h", c_header(design, identity, software))
        _write(fresh, f"sw/{name}.py", python_driver(design, identity, software))
        clock = clock_constraints(design, plan.clock_mhz)
        _write(fresh, f"constraints/{name}.sdc", clock)
        constraints = [(f"constraints/{name}.sdc", "SDC")]
        if is_for_trellis(design):
            constraints.append((f"constraints/{name}.lpf", "user"))
            _write(fresh, constraints[-1][0], clock_preference(design, plan.clock_mhz))

        vectors = ["vectors/stimulus.hex", "vectors/expected.hex"]
        short = f"{design.top}, {design.latency} cycles, graph {identity[:12]}"
        _write(fresh, f"{name}.core", fusesoc_core(design, about.version, rtl, vectors))
        if is_for_vivado(design):
            _write(fresh, f"constraints/{name}_ooc.xdc", clock)
            _write(fresh, "package_ip.tcl", vivado_script(design, about.version, rtl, short))
        facts = _facts(graph, plan, design, identity)
        kinds = {"sv": "systemVerilogSource", "v": "verilogSource-2001"}
        sets = {
            "rtl": [(path, kinds[path.rpartition(".")[2]]) for path in rtl],
            "constraints": constraints,
            "software": [(f"sw/{name}.h", "cSource"), (f"sw/{name}.py", "user")],
            "documentation": [("README.md", "user"), ("LICENSE", "user")],
        }
        _write(fresh, "README.md", readme(graph, plan, design, identity, told, about))
        described = component(design, identity, about.version, facts, sets)
        _write(fresh, "component.xml", described)
        files = sorted(p.relative_to(fresh).as_posix() for p in fresh.rglob("*") if p.is_file())
        _write(fresh, MARKER, _manifest(fresh, name, about.version, facts, plan, files))
    moved = tuple(target / file.relative_to(fresh) for file in design.files)
    design = replace(design, folder=target / "rtl", files=moved)
    return Ip(target, name, design, identity, len(inputs), (*files, MARKER))


def _facts(graph: Graph, plan: Plan, design: Design, identity: str) -> dict[str, str | int | float]:
    return {
        "graph": identity,
        "network": design.top,
        "input": str(graph.input),
        "output": str(graph.output),
        "input_scale": graph.ports[graph.input.name].scale,
        "output_scale": graph.ports[graph.output.name].scale,
        "input_beats": design.input_beats,
        "output_beats": design.output_beats,
        "load_beats": design.load_beats,
        "latency_cycles": design.latency,
        "interval_cycles": design.interval,
        "target": plan.target,
        "clock_mhz": plan.clock_mhz,
    }


def _manifest(
    fresh: Path,
    name: str,
    version: str,
    facts: Mapping[str, str | int | float],
    plan: Plan,
    files: list[str],
) -> str:
    sums = {file: hashlib.sha256((fresh / file).read_bytes()).hexdigest() for file in files}
    tree = {"name": name, "version": version, **facts, "plan": plan_to_json(plan), "sha256": sums}
    return json.dumps(tree, indent=1) + "\n"


def _bench(fresh: Path, design: Design, sources: list[str]) -> None:
    name = ip_name(design)
    (fresh / "tb").mkdir()
    shutil.copyfile(BENCH, fresh / "tb" / "test_stream.py")
    registers_bench = (resources.files(_HERE) / "cocotb_registers.py").read_text()
    _write(fresh, "tb/test_registers.py", registers_bench)
    makefile = (resources.files(_HERE) / "bench.mk").read_text()
    listed = " \\\n\t" + " \\\n\t".join(sources)
    _write(fresh, "tb/Makefile", makefile.replace("@TOP@", name).replace("@SOURCES@", listed))
    public = [f'public_flat_rw -module "{name}" -var "{pins}"'
              for pins in (CLOCK, RESET, "s_axis_*", "m_axis_*", "s_axi_*")]  # fmt: skip
    _write(fresh, "tb/ports.vlt", "\n".join(["`verilator_config", *public]) + "\n")


def _plain_bench(design: Design, identity: str, tensors: int) -> str:
    text = (resources.files(_HERE) / "bench.sv").read_text()
    for key, value in {
        "TOP": ip_name(design),
        "IN_WIDTH": 8 * beat_bytes(design.input_beat),
        "IN_BEATS": tensors * design.input_beats,
        "OUT_WIDTH": 8 * beat_bytes(design.output_beat),
        "OUT_BEATS": tensors * design.output_beats,
        "OUT_PER_TENSOR": design.output_beats,
        "FRAMED": int(design.framed),
        "PATIENCE": 1000 + 64 * (design.latency + design.interval),
        "DIGEST": identity,
        "FAULT": ",\n    .fault()" if is_redundant(design) else "",
    }.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def _golden(
    fresh: Path, graph: Graph, plan: Plan, design: Design, x: IntArray, identity: str
) -> list[str]:
    """Write the golden vectors; returns what they are, in sentences."""
    place = fresh / "vectors"
    place.mkdir()
    idle = [port.name for port in ports(design) if port.bus == "s_axi" and port.direction == "in"]
    write_vectors(place, design, x, evaluate(graph, x), clock=CLOCK, reset=RESET, idle=idle)
    constant = {one.offset: one.value for one in registers(design, identity)
                if one.value is not None}  # fmt: skip
    known = {"load_beats": design.load_beats, "constant": constant}
    _write(place, "registers.json", json.dumps(known, indent=1) + "\n")
    told = [
        f"`stimulus.hex` and `expected.hex`: {len(x):,} tensors and what the integer reference "
        "makes of them",
        "`bench.json` and `registers.json`: names, cycles and constants that the bench expects",
    ]
    if design.load_beats:
        other = with_other_weights(graph, plan)
        for name, words in (("load", load_words(other, plan, graph)),
                            ("restore", load_words(graph, plan))):  # fmt: skip
            lines = [f"// the words of a load, for {len(words)} writes"]
            lines += [f"{word:08x}" for word in words]
            _write(place, f"{name}.hex", "\n".join(lines) + "\n")
        write_beats(place / "loaded.hex", evaluate(other, x), design.output_beat)
        told += [
            "`load.hex` and `loaded.hex`: a load of random weights, and what the reference makes "
            "of the same inputs with them; `restore.hex`: a load of the graph's own weights"
        ]
    return told


def with_other_weights(graph: Graph, plan: Plan, seed: int = 0) -> Graph:
    """The graph with random weights and biases in whatever is loadable."""
    rng = np.random.default_rng(seed)
    nodes = []
    for node in graph.nodes:
        op = node.op
        if node.name in plan.loadable:
            assert isinstance(op, Dense | Conv2d) and isinstance(op.weights, Plain)
            shape, width = op.weights.values.shape, op.weights.width
            kind = IntType(width, True)
            values = (
                rng.choice([-1, 1], shape)
                if width == 1
                else rng.integers(kind.min, kind.max, shape, endpoint=True)
            )
            limit = bias_limit(op, graph.values[node.inputs[0]].type)
            bias = rng.integers(-limit, limit, op.bias.shape, endpoint=True)
            op = replace(op, weights=Plain(values, width), bias=bias)
        nodes.append(replace(node, op=op))
    return replace(graph, nodes=tuple(nodes))


def _write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
