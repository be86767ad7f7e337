"""The generated C++ computes what the reference computes, for every op, width and rounding."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bitwright import hls
from bitwright.models.errors import InputError, StorageError, ToolError, UnsupportedError
from bitwright.models.graph import (
    BitPlanes,
    Codebook,
    Dense,
    Graph,
    IntArray,
    Interval,
    IntType,
    Lookup,
    Node,
    Op,
    Plain,
    Port,
    Requantize,
    Rounding,
    Threshold,
    Tiled,
    Value,
    evaluate,
    output_interval,
)
from bitwright.models.graph import trace as reference_trace
from bitwright.models.graph.ops import ROUNDINGS


@dataclass
class Forest:
    """A graph that grows: every node reads some earlier tensor, and most lead nowhere.

    One compilation then proves many operations, because `trace` compares every tensor.
    """

    source: Value
    seed: int = 0
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.intervals = {self.source.name: Interval.of_type(self.source)}

    def graph(self, name: str = "forest") -> Graph:
        last = self.nodes[-1].name
        ports = {self.source.name: Port(1.0), last: Port(1.0)}
        return Graph(name, (self.source,), tuple(self.nodes), (last,), ports)

    def add(self, op: Op, source: Value, kind: IntType | None = None, name: str = "") -> Value:
        """The new tensor, of the narrowest type that holds it unless `kind` says otherwise."""
        name = name or f"t{len(self.nodes)}"
        channels = len(op.bias) if isinstance(op, Dense) else source.channels
        shape = (*source.shape[:-1], channels)
        node = Node(op, (source.name,), Value(name, shape, kind or IntType(64, signed=True)))
        interval = output_interval(node, [self.intervals[source.name]])
        made = Value(name, shape, kind or IntType.holding(*interval.bounds))
        self.nodes.append(Node(op, (source.name,), made))
        self.intervals[name] = interval
        return made

    def integers(self, kind: IntType, shape: int | tuple[int, ...]) -> IntArray:
        """Random integers of a type, its two ends more often than chance would have them."""
        drawn = self.rng.integers(kind.min, kind.max, shape, endpoint=True)
        ends = self.rng.choice(np.array([kind.min, kind.max]), shape)
        return np.where(self.rng.random(shape) < 0.1, ends, drawn)

    def dense(self, source: Value, bits: int) -> Value:
        shape = (source.channels, int(self.rng.integers(2, 6)))
        weights = self.integers(IntType(bits, signed=True), shape)
        if bits == 1:
            weights = np.where(weights < 0, -1, 1)
        bias = self.integers(IntType(bits + 2, signed=True), shape[1])
        return self.add(Dense(Plain(weights, bits), bias), source)

    def threshold(self, source: Value, levels: int) -> Value:
        low, high = self.intervals[source.name].bounds
        # Some beyond both ends of what can come, some equal.
        table = self.rng.integers(low - 1, high + 1, (source.channels, levels), endpoint=True)
        base = self.rng.integers(-levels, levels, source.channels, endpoint=True)
        step = self.rng.choice(np.array([-1, 1]), source.channels)
        return self.add(Threshold(np.sort(table, axis=1), base, step), source)

    def requantize(
        self, source: Value, kind: IntType, bits: int, rounding: Rounding, narrow: bool
    ) -> Value:
        """bits: of the multipliers. The result fills its type and now and then saturates."""
        multiplier = self.integers(IntType(bits, signed=True), source.channels)
        shift = max(source.type.width + bits - kind.width - int(self.rng.integers(1, 4)), 0)
        bias = self.integers(IntType(max(shift, 2), signed=True), source.channels)
        return self.add(Requantize(multiplier, bias, shift, rounding, narrow), source, kind)

    def lookup(self, source: Value, made: IntType, *, shared: bool) -> Value:
        rows = 1 if shared else source.channels
        table = self.integers(made, (rows, 1 << source.type.width))
        return self.add(Lookup(table, source.type.min), source)

    def bit_planes(self, source: Value) -> Value:
        chosen = np.flatnonzero(self.rng.random(source.type.width) < 0.6).tolist()
        return self.add(BitPlanes(tuple(chosen or [source.type.width - 1])), source)

    def tiled(self, source: Value, outputs: int, length: int) -> Value:
        tile = self.rng.choice(np.array([-1, 1]), length)
        bias = self.integers(IntType(6, signed=True), outputs)
        return self.add(Dense(Tiled(tile, (source.channels, outputs)), bias), source)

    def codebook(self, source: Value, groups: int, entries: int, kind: IntType) -> Value:
        indices = self.rng.integers(0, entries, (source.channels, 6))
        table = self.integers(kind, (groups, entries))
        bias = self.integers(IntType(kind.width + 2, signed=True), 6)
        return self.add(Dense(Codebook(indices, table), bias), source)


def vectors(value: Value, rows: int) -> IntArray:
    """Random vectors, and every combination of extremes of the first elements."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(value.type.min, value.type.max, (rows, value.size), endpoint=True)
    ends = (value.type.min, value.type.max, max(value.type.min, -1), 0)
    corners = np.array(list(itertools.product(ends, repeat=min(value.size, 5))))
    whole = np.stack([np.resize(corner, value.size) for corner in corners])
    return np.concatenate([drawn, whole]).reshape(-1, *value.shape)


def differences(graph: Graph, project: hls.Project, x: IntArray) -> dict[str, int]:
    """How many integers of each tensor differ between the C++ and the reference."""
    expected, found = reference_trace(graph, x), hls.trace(project, x)
    assert list(found) == list(expected)
    assert all(found[name].shape == expected[name].shape for name in expected)
    return {name: int(np.sum(found[name] != expected[name])) for name in expected}


# ---- every operation, against the reference ------------------------------------------------------


def forest(seed: int, widths: Iterable[int]) -> Graph:
    """Weights and activations of all these widths, every rounding, form and sign."""
    f = Forest(Value("x", (5,), IntType(16, signed=True)), seed)
    how = [(r, n) for r in ROUNDINGS for n in (False, True)]
    for rounding in ROUNDINGS:  # a shift far beyond the numerator, and a bit that is always zero
        far = Requantize(np.zeros(5, np.int64), np.arange(-2, 3), 40, rounding)
        f.add(far, f.source, IntType(3, signed=True))
        zero = Requantize(np.arange(-2, 3), np.zeros(5, np.int64), 3, rounding, narrow=True)
        f.add(zero, f.source, IntType(1, signed=True))
    for width, signed in itertools.product(widths, (False, True)):
        rounding, narrow = how[f.rng.integers(len(how))]
        bits = int(f.rng.choice([2, 3, 8, 17, 32]))
        f.requantize(f.source, IntType(width, signed), bits, rounding, narrow)
    for bits in widths:
        activation = f.nodes[6 + f.rng.integers(2 * len(list(widths)))].output
        made = f.dense(activation, bits)
        if f.rng.random() < 0.5:
            f.threshold(made, int(f.rng.choice([1, 2, 3, 7, 15, 31])))
        else:
            rounding, narrow = how[f.rng.integers(len(how))]
            f.requantize(made, IntType(bits, bool(f.rng.integers(2))), 4, rounding, narrow)
    compress(f, [node.output for node in f.nodes[6 : 6 + 2 * len(list(widths))]])
    return f.graph()


TILES = ((6, 15), (6, 10), (3, 5), (3, 15), (8, 4), (9, 3), (6, 2), (4, 4), (6, 6), (4, 1))
"""Outputs and length of a tile on 5 inputs: whole rows, one row, all of it, and boundaries inside a
row with fewer and with more rows than outputs."""


def compress(f: Forest, activations: list[Value]) -> None:
    """Bit planes, lookups, tiles and codebooks on activations (5 channels) of every kind."""
    for i, source in enumerate(activations):
        if not source.type.signed:
            planes = f.bit_planes(source)
            if planes.type.width <= 6:
                f.lookup(planes, IntType(5, bool(i & 2)), shared=bool(i & 4))
        if source.type.width <= 6:
            f.lookup(source, IntType(1 + i, bool(i & 2)), shared=bool(i & 4))
        if i % 3 == 0:
            groups, entries = ((1, 16), (2, 3), (3, 8), (6, 1))[i % 4]
            f.codebook(source, groups, entries, IntType(1 + (7 * i) % 12, signed=i % 2 > 0))
    small = [value for value in activations if value.type.width <= 5]
    for i, (outputs, length) in enumerate(TILES):
        made = f.tiled(small[i % len(small)], outputs, length)
        if made.channels == 6:  # a tile that shares a factor, but no multiple, with the inputs
            f.tiled(made, 6, (4, 9)[i % 2])


def ties(graph: Graph, x: IntArray) -> dict[Rounding, int]:
    """How often each rounding had to decide a tie."""
    tensors, count = reference_trace(graph, x), dict.fromkeys(ROUNDINGS, 0)
    for node in graph.nodes:
        if isinstance(node.op, Requantize) and node.op.shift > 0:
            numerator = tensors[node.inputs[0]] * node.op.multiplier + node.op.bias
            half = 1 << (node.op.shift - 1)
            count[node.op.rounding] += int(np.sum(numerator % (2 * half) == half))
    return count


@pytest.mark.parametrize(
    ("backend", "seed", "widths"),
    [("Vitis", 0, range(1, 17)), ("Vivado", 1, (1, 2, 5, 16))],
)
def test_every_tensor_equals_the_reference(
    tmp_path: Path, backend: hls.Backend, seed: int, widths: Iterable[int]
) -> None:
    graph = forest(seed, widths)
    x = vectors(graph.input, 4000)
    found = differences(graph, hls.write(graph, tmp_path / "forest", backend), x)
    assert not any(found.values()), [str(graph.values[n]) for n, count in found.items() if count]
    assert min(ties(graph, x).values()) > 0


def test_the_forest_has_every_case() -> None:
    graph = forest(0, range(1, 17))
    cases = set()
    for node in graph.nodes:
        match node.op:
            case Dense():
                kind = graph.values[node.inputs[0]].type
                codec = node.op.weights
                cases.add((codec.width if isinstance(codec, Plain) else type(codec), kind.signed))
            case Threshold():
                cases |= {(node.kind, int(step)) for step in node.op.step}
            case Requantize():
                cases.add((node.op.rounding, node.op.narrow, node.output.type.signed))
            case Lookup():
                cases.add((node.kind, node.op.reads, len(node.op.table) > 1))
            case BitPlanes():
                # Only the selected bits travel, and of those only what can be set.
                assert not node.output.type.signed
                assert node.output.type.width <= len(node.op.planes)
                cases.add((node.kind, len(node.op.planes)))
    codecs = (Tiled, Codebook)
    assert cases >= set(itertools.product(codecs, (False, True)))
    kinds = [IntType(width, signed) for width in range(1, 7) for signed in (False, True)]
    assert {kind for what, kind, *_ in cases if what == "lookup"} == set(kinds)
    assert {("bitplanes", 1), ("bitplanes", 2), ("bitplanes", 3)} <= cases
    assert {bits for bits, *_ in cases if isinstance(bits, int)} == set(range(1, 17))
    assert {("threshold", 1), ("threshold", -1)} <= cases
    assert cases >= set(itertools.product(ROUNDINGS, (False, True), (False, True)))


def test_wide_tables_and_planes_and_tensors_of_two_axes(tmp_path: Path) -> None:
    f = Forest(Value("x", (2, 3), IntType(40, signed=False)))
    planes = f.add(BitPlanes((0, 31, 32, 39)), f.source)
    f.lookup(planes, IntType(9, signed=True), shared=False)
    half = Requantize(np.ones(3, np.int64), np.full(3, -(1 << 39)), 24, "floor")
    small = f.add(half, f.source, IntType(16, signed=True))
    f.lookup(small, IntType(20, signed=True), shared=True)
    graph = f.graph()
    found = differences(graph, hls.write(graph, tmp_path / "p"), vectors(graph.input, 2000))
    assert set(found.values()) == {0}


def test_outputs_beyond_a_double_and_tensors_of_two_axes(tmp_path: Path) -> None:
    f = Forest(Value("x", (2, 3), IntType(31, signed=True)))
    big = np.array([(1 << 29) - 3, -(1 << 29) + 1, 12_345_678_901 >> 3])
    small = f.add(
        Threshold(np.array([[0, 5], [1, 1], [-9, 9]]), *np.array([[0, 2, 0], [1, -1, 1]])), f.source
    )
    assert small.shape == (2, 3)
    f.add(Requantize(big, np.array([1, -(1 << 52), 7]), 0, "floor"), f.source, IntType(62, True))
    graph = f.graph()
    project = hls.write(graph, tmp_path / "p")
    x = vectors(graph.input, 500)
    y = evaluate(graph, x)
    assert np.abs(y).max() > 1 << 58
    assert np.array_equal(hls.simulate(project, x), y)
    with pytest.raises(UnsupportedError, match=r"t1:s62\[2,3\] is wider than the 53 bits"):
        hls.trace(project, x)


# ---- a check that cannot fail proves nothing -----------------------------------------------------


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, hls.Project]:
    """Independent branches, so that one compilation shows several mistakes apart."""
    f = Forest(Value("x", (6,), IntType(6, signed=True)), seed=3)
    for name in ("flipped", "cramped", "kept"):
        weights = f.integers(IntType(4, signed=True), (6, 4))
        f.add(Dense(Plain(weights, 4), np.arange(4)), f.source, name=name)
    for name in ("tie", "cut"):
        same = np.ones(6, np.int64), np.zeros(6, np.int64), 2, "half_even", True
        f.add(Requantize(*same), f.source, IntType(4, signed=True), name=name)
    table = Threshold(np.tile([-3, 0, 7], (6, 1)), np.zeros(6, np.int64), np.ones(6, np.int64))
    f.add(table, f.source, name="late")
    low = f.add(Requantize(*same), f.source, IntType(3, signed=False), name="low")
    f.add(BitPlanes((0, 2)), low, name="plane")
    f.add(Lookup(3 * np.arange(64)[None], -32), f.source, name="entry")
    for name in ("sign", "rows"):
        f.add(
            Dense(Tiled(np.array([1, 1, -1, 1, -1, -1, 1, 1, -1]), (6, 6)), np.arange(6)),
            f.source,
            name=name,
        )
    book = Codebook(np.arange(24).reshape(6, 4) % 5, np.array([[-8, -3, 0, 1, 6]] * 2))
    for name in ("index", "word"):
        f.add(Dense(book, np.arange(4)), f.source, name=name)
    f.add(table, f.source, name="out")
    graph = f.graph("branches")
    return graph, hls.write(graph, tmp_path_factory.mktemp("hls") / "a b'c", part="xc7z020clg400-1")


def edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count == 1, f"{pattern!r} occurs {count} times in {path}"
    path.write_text(text)


def edit_both(path: Path, pattern: str, replacement: str) -> None:
    """Change a constant where the simulation reads it and where a vendor's tool does."""
    edit(path.with_suffix(".txt"), pattern, replacement)
    in_braces = pattern.replace("^", r"(?<=\{)").replace("$", r"(?=\})")
    edit(path.with_suffix(".h"), in_braces, replacement)


def test_each_small_mistake_in_the_cpp_is_found(
    branches: tuple[Graph, hls.Project], tmp_path: Path
) -> None:
    graph, _ = branches
    project = hls.write(graph, tmp_path / "p")
    weights, types = tmp_path / "p/firmware/weights", tmp_path / "p/firmware/defines.h"
    first = int((weights / "w2.txt").read_text().split(",")[0])
    edit_both(weights / "w2", rf"^{first},", f"{first ^ 1},")
    accumulator = graph.values["cramped"].type.width - 2
    edit(
        types,
        r"ap_fixed<\d+,\d+> cramped_accum_t",
        f"ap_fixed<{accumulator},{accumulator}> cramped_accum_t",
    )
    edit(types, r"AP_RND_CONV,AP_SAT_SYM,0> layer5_t", "AP_RND,AP_SAT_SYM,0> layer5_t")
    edit(types, r"AP_RND_CONV,AP_SAT_SYM,0> layer6_t", "AP_RND_CONV,AP_SAT,0> layer6_t")
    edit_both(weights / "thresholds7", r"^-3,", "-2,")
    sizes = tmp_path / "p/firmware/parameters.h"
    edit(sizes, "n_planes = 2", "n_planes = 1")
    edit_both(weights / "table10", ", 93, 96,", ", 93, 97,")
    edit_both(weights / "tile11", "1, 1, 0, 1, 0", "1, 1, 0, 0, 0")
    edit(sizes, r"(config12 [^}]* n_rows) = 3", r"\1 = 2")
    edit_both(weights / "indices13", "1, 2, 3, 4, 0, 1, 2, 3$", "1, 2, 3, 4, 0, 1, 2, 2")
    edit_both(weights / "table14", "6$", "7")
    found = differences(graph, project, vectors(graph.input, 2000))
    right = {name for name, count in found.items() if count == 0}
    assert right == {"x", "kept", "low", "out"}


def test_a_weight_file_that_disagrees_with_its_header_is_refused(
    branches: tuple[Graph, hls.Project], tmp_path: Path
) -> None:
    project = hls.write(branches[0], tmp_path / "p")
    edit(tmp_path / "p/firmware/weights/b2.txt", r"^0,", "1,")
    with pytest.raises(
        StorageError, match=r"b2\.txt and .*b2\.h disagree: write the project again"
    ):
        hls.simulate(project, vectors(branches[0].input, 1))


def test_hls4ml_itself_can_build_and_call_the_project(
    branches: tuple[Graph, hls.Project],
) -> None:
    graph, project = branches
    subprocess.run(["bash", "build_lib.sh"], cwd=project.folder, check=True)
    (library,) = project.folder.glob("firmware/*.so")
    x = vectors(graph.input, 20)
    call = """
import ctypes, json, sys
top = getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2] + "_double")
for row in json.load(sys.stdin):
    y = (ctypes.c_double * int(sys.argv[3]))()
    top((ctypes.c_double * len(row))(*row), y)
    print(json.dumps(list(y)))
"""
    answer = subprocess.run(
        [sys.executable, "-c", call, str(library), project.top, str(graph.output.size)],
        input=json.dumps(x.tolist()), capture_output=True, text=True, check=True,
    )  # fmt: skip
    y = np.array([json.loads(line) for line in answer.stdout.splitlines()])
    assert np.array_equal(y, evaluate(graph, x))


# ---- bad input and broken tools ------------------------------------------------------------------


def test_bad_vectors_are_refused_before_anything_is_compiled(
    branches: tuple[Graph, hls.Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    _, project = branches
    with pytest.raises(InputError, match=r"input x has shape \(1, 5\)"):
        hls.simulate(project, np.zeros((1, 5), int))
    with pytest.raises(InputError, match=r"input x holds 0\.\.32, outside s6"):
        hls.simulate(project, np.array([[0, 0, 0, 0, 0, 32]]))
    with pytest.raises(InputError, match="not integers"):
        hls.trace(project, np.zeros((1, 6)))
    with pytest.raises(ToolError, match=r"g\+\+ is not on the PATH: install a C\+\+ compiler"):
        hls.simulate(project, np.zeros((1, 6), int))


def compiler(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a g++ on the PATH that is this shell script. Its output file is "$out"."""
    path = folder / "bin" / "g++"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\nfor out; do :; done\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("for i in $(seq 50); do echo line $i; done; exit 3",
         r"g\+\+ on .* failed with exit code 3; the last .*:\nline 39\n(.*\n)+line 50$"),
        ("for i in $(seq 50); do echo a.h:$i:1: error: line $i; done; exit 1",
         r"exit code 1; its first error:\na.h:1:1: error: line 1\n(.*\n)+.*line 12$"),
        ("sleep 60", r"g\+\+ on .* took longer than 2 s and was stopped: allow it more time"),
        ("printf '#!/bin/sh\\necho assertion >&2\\nkill -ABRT $$\\n' > $out; chmod +x $out",
         r"the simulation of .* was stopped by signal 6 \(Aborted\); .*:\nassertion$"),
        ("printf '#!/bin/sh\\n: > $2\\n' > $out; chmod +x $out",
         r"answered 3 vectors with 0 integers, not 6 each: write the project again"),
    ],
)  # fmt: skip
def test_a_tool_that_fails_is_quoted(
    branches: tuple[Graph, hls.Project],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    said: str,
) -> None:
    compiler(tmp_path, script, monkeypatch)
    with pytest.raises(ToolError, match=said):
        hls.simulate(branches[1], np.zeros((3, 6), int), timeout_s=2)


def test_a_real_compiler_error_is_quoted(
    branches: tuple[Graph, hls.Project], tmp_path: Path
) -> None:
    project = hls.write(branches[0], tmp_path / "p")
    edit(tmp_path / "p/firmware/defines.h", "typedef ap_fixed<6,6> input_t;", "")
    with pytest.raises(ToolError, match=r"exit code 1; its first error:\n.*h:\d+:\d+: error: "):
        hls.simulate(project, np.zeros((1, 6), int))


def test_no_vectors_give_no_answers(
    branches: tuple[Graph, hls.Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(tmp_path, "printf '#!/bin/sh\\n: > $2\\n' > $out; chmod +x $out", monkeypatch)
    assert hls.simulate(branches[1], np.zeros((0, 6), int)).shape == (0, 6)
