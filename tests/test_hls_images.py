"""Operations on images in the generated C++, as arrays and as streams, against the reference."""

import copy
import dataclasses
import importlib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from bitwright import hls
from bitwright.cli import app
from bitwright.hls.mapping import layers
from bitwright.hls.project import check_kept, make_model
from bitwright.models.errors import InputError, StorageError, ToolError, UnsupportedError
from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Builder,
    Codebook,
    Codec,
    Concat,
    Conv2d,
    Dense,
    Graph,
    IntArray,
    IntType,
    Lookup,
    MaxPool,
    Op,
    Plain,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    Tiled,
    Value,
    Window,
    save,
)
from bitwright.models.graph import trace as reference_trace
from bitwright.models.zoo import random_cnn

S4, U2 = IntType(4, signed=True), IntType(2, signed=False)
WIDE, WIDEST = IntType(14, signed=True), IntType(22, signed=True)
AROUND = (1, 1, 1, 1)

CONVOLUTIONS: tuple[tuple[str, int, int, Window], ...] = (
    # codec, groups, outputs, window; on images of 6 x 5 x 4
    ("plain", 1, 4, Window((3, 3), padding=AROUND)),
    ("binary", 1, 4, Window((3, 2), (2, 1), (0, 1, 2, 0))),
    ("plain", 1, 4, Window((2, 3), (3, 2))),
    ("binary", 1, 4, Window((1, 1))),
    ("codebook", 1, 4, Window((1, 1), (2, 2))),
    ("plain", 1, 4, Window((1, 3), padding=(0, 1, 0, 1))),
    ("plain", 1, 4, Window((1, 3), (2, 1))),
    ("plain", 2, 4, Window((3, 3), (2, 2), AROUND)),
    ("binary", 4, 4, Window((3, 3), padding=AROUND)),
    ("codebook", 4, 8, Window((2, 2))),
    ("tiled", 1, 6, Window((2, 2))),
    ("tiled", 2, 6, Window((2, 3), (1, 1), (1, 0, 0, 2))),
)

POOLS: tuple[tuple[type[MaxPool] | type[SumPool], bool, Window], ...] = (
    # operation, signed input, window
    (MaxPool, False, Window((2, 2), (2, 2))),
    (MaxPool, True, Window((4, 3), (4, 3))),
    (MaxPool, False, Window((3, 3), (2, 2), AROUND)),
    (MaxPool, True, Window((3, 2), (1, 2), (1, 0, 1, 1))),
    (MaxPool, True, Window((1, 2), (2, 3))),
    (MaxPool, True, Window((6, 5), (6, 5))),
    (SumPool, True, Window((3, 3), (1, 2), (2, 1, 0, 2))),
    (SumPool, False, Window((6, 5))),
)


class Landscape:
    """A graph with every operation on images, all of which reach the output.

    A stream must be read, and not too often: hubs are made as they are needed. wide: one type for
    many tensors, because g++ needs long for each type of stream; else each is as narrow as can be.
    """

    def __init__(self, seed: int, wide: IntType | None) -> None:
        self.wide = wide
        self.dice = np.random.default_rng(seed)
        self.b = Builder("landscape")
        self.x = self.b.input("x", (6, 5, 4), S4)
        self.hubs: dict[bool, Value] = {}
        self.uses: Counter[str] = Counter()
        self.count = 0
        self.leaves: dict[tuple[int, ...], Value] = {}
        self.ends: list[Value] = []

    def add(
        self, op: Op, *sources: Value, kind: IntType | None = None, shape: tuple[int, ...] = ()
    ) -> Value:
        self.count += 1
        name = f"{type(op).__name__.lower()}{self.count}"
        self.uses.update(source.name for source in sources)
        return self.b.add(name, op, *sources, kind=kind, shape=shape or None)

    def integers(self, low: int, high: int, *shape: int) -> IntArray:
        return self.dice.integers(low, high, shape, endpoint=True)

    def hub(self, *, signed: bool) -> Value:
        """An image of 6 x 5 x 4."""
        found = self.hubs.get(signed)
        if found is None or self.uses[found.name] > 4:
            before = found or self.x
            low = self.integers(-3, 3, 4)
            scale = Requantize(self.integers(2, 5, 4), low, 2 if signed else 3, "half_up")
            found = self.hubs[signed] = self.add(scale, before, kind=S4 if signed else U2)
        return found

    def codec(self, name: str, inputs: int, outputs: int) -> Codec:
        match name:
            case "plain":
                return Plain(self.integers(-4, 3, inputs, outputs), 3)
            case "binary":
                return Plain(self.dice.choice([-1, 1], (inputs, outputs)), 1)
            case "codebook":
                table = np.array([[-6, 0, 1, 5]])
                return Codebook(self.integers(0, 3, inputs, outputs), table)
            case "tiled":  # boundaries inside a filter, and equal filters
                sizes = range(1, inputs * outputs // 2 + 1)
                length = max(n for n in sizes if inputs * outputs % n == 0 and n % inputs)
                return Tiled(self.dice.choice([-1, 1], length), (inputs, outputs))
        raise AssertionError(name)

    def dense(self, source: Value, codec: str, outputs: int) -> Value:
        weights = self.codec(codec, source.channels, outputs)
        return self.add(
            Dense(weights, self.integers(-9, 9, outputs)), source, kind=self.wide and WIDEST
        )

    def flat(self, source: Value) -> Value:
        return self.add(Reshape(), source, shape=(source.size,))

    def leaf(self, op: Op, source: Value) -> None:
        """What only has to reach the output: added to other images of its size."""
        made = self.add(op, source, kind=self.wide)
        other = self.leaves.pop(made.shape, None)
        self.leaves[made.shape] = (
            self.add(Add((1, 1)), other, made, kind=self.wide) if other else made
        )

    def join(self) -> None:
        """Let all leaves reach the output."""
        for i, image in enumerate(self.leaves.values()):
            self.end(image, ("plain", "codebook", "tiled")[i % 3])

    def end(self, source: Value, codec: str = "plain") -> None:
        """Read it as a vector and let it reach the output."""
        vector = source if len(source.shape) == 1 else self.flat(source)
        self.ends.append(self.dense(vector, codec, 2))


def landscape(seed: int, io: hls.IoType, every: int = 1) -> Graph:
    """every: which of the windows to have."""
    f = Landscape(seed, WIDE if io == "io_stream" else None)
    for i, (codec, groups, outputs, window) in enumerate(CONVOLUTIONS[::every]):
        weights = f.codec(codec, 4 // groups * window.taps, outputs)
        conv = Conv2d(weights, f.integers(-9, 9, outputs), window, groups)
        f.leaf(conv, f.hub(signed=i % 2 == 0))
    for op, signed, window in POOLS[::every]:
        f.leaf(op(window), f.hub(signed=signed))
    f.join()

    a, b = f.hub(signed=True), f.hub(signed=False)
    steps = Threshold(
        np.sort(f.integers(-6, 9, 4, 3), axis=1), f.integers(-2, 2, 4), np.array([1, -1, 1, -1])
    )
    coarse = f.add(steps, a)
    planes = f.add(BitPlanes((1,)), b)
    tables = [f.integers(-8, 7, rows, 16) for rows in (1, 4)]
    shared, each = (f.add(Lookup(table, -8), f.hub(signed=True)) for table in tables)
    same = f.add(Add((1, 1)), coarse, planes)
    twice = f.add(Add((1, 1)), same, same)
    scaled = f.add(Add((3, -2, 1, 1)), twice, shared, each, b)
    wide = f.add(Concat(), scaled, planes, coarse)
    f.end(f.add(ArgMax(), wide))

    uneven = f.add(Reshape(), wide, shape=(72, 5))
    rows = [f.dense(uneven, codec, 4) for codec in ("plain", "binary", "codebook", "tiled")]
    joined = f.add(Concat(), *rows[:2])
    vector = f.flat(joined)  # read twice, so that it is packed anew
    f.end(vector)
    f.end(f.add(Reshape(), vector, shape=(2, 288)))
    f.end(f.add(Reshape(), f.add(Add((1, -1)), *rows[2:]), shape=(6, 12, 4)))

    total = f.add(Concat(), *f.ends)
    return f.b.graph(f.add(Concat(), total, f.add(ArgMax(), total)))


def images(value: Value, count: int) -> IntArray:
    """Random images, and images of one value, where channels are equal."""
    dice = np.random.default_rng(7)
    drawn = dice.integers(value.type.min, value.type.max, (count, *value.shape), endpoint=True)
    ends = np.arange(value.type.min, value.type.max + 1)
    return np.concatenate([drawn, np.broadcast_to(ends[:, None, None, None], (16, *value.shape))])


def differences(graph: Graph, project: hls.Project, x: IntArray) -> dict[str, int]:
    """How many integers of each tensor differ between the C++ and the reference."""
    expected, found = reference_trace(graph, x), hls.trace(project, x)
    assert list(found) == list(expected)
    assert all(found[name].shape == expected[name].shape for name in expected)
    return {name: int(np.sum(found[name] != expected[name])) for name in expected}


# ---- every operation, against the reference ------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "io", "seed"),
    [("Vitis", "io_parallel", 0), ("Vitis", "io_stream", 1), ("Vivado", "io_stream", 2)],
)
def test_every_tensor_equals_the_reference(
    tmp_path: Path, backend: hls.Backend, io: hls.IoType, seed: int
) -> None:
    # Both back ends share our own C++, so a third of the windows is enough for the older one.
    graph = landscape(seed, io, every=1 if backend == "Vitis" else 3)
    project = hls.write(graph, tmp_path / "p", backend, io=io)
    found = differences(graph, project, images(graph.input, 300))
    assert not any(found.values()), [str(graph.values[n]) for n, count in found.items() if count]


@pytest.mark.parametrize("io", hls.IO_TYPES)
def test_the_landscape_has_every_case(io: hls.IoType) -> None:
    graph = landscape(0, io)
    assert {type(node.op) for node in graph.nodes} == set(get_args(Op))
    kinds = Counter(layer.kind for layer in layers(graph, io))
    theirs = {"Conv2D", "MaxPooling2D", "Merge", "Concatenate", "Dense"}
    ours = {"WindowConv", "MaxPool", "SumPool", "ScaledAdd", "Reshape", "Argmax"}
    assert theirs | {f"Bitwright{kind}" for kind in ours} <= set(kinds)
    assert kinds["Conv2D"] == (6 if io == "io_stream" else 7)
    assert ("BitwrightFlatten" in kinds) == (io == "io_stream")
    tensors = reference_trace(graph, images(graph.input, 300))
    (decision, *_) = [node for node in graph.nodes if isinstance(node.op, ArgMax)]
    scores = tensors[decision.inputs[0]]
    assert np.any(np.sum(scores == scores.max(axis=-1, keepdims=True), axis=-1) > 1)


def test_large_images_are_not_spelled_out_in_cpp() -> None:
    for size, kinds in ((10, ["Conv2D", "Conv2D"]), (40, ["BitwrightWindowConv", "Conv2D"])):
        b = Builder("net")
        x = b.input("x", (size, size, 1), S4)
        graph = b.graph(
            b.add("y", Conv2d(Plain(np.ones((9, 2), int), 2), np.zeros(2, int), SAME), x)
        )
        assert [layers(graph, io)[-1].kind for io in hls.IO_TYPES] == kinds


# ---- a check that cannot fail proves nothing -----------------------------------------------------


def branches() -> Graph:
    """Independent branches, so that one compilation shows several mistakes apart."""
    dice = np.random.default_rng(5)
    b = Builder("branches")
    x = b.input("x", (4, 4, 2), S4)
    hub = b.add("hub", Requantize(np.array([1, 1]), np.array([0, 0]), 0), x, kind=S4)
    tile, images = dice.choice([-1, 1], 12), []
    for name in ("flipped", "cramped"):
        matrix = dice.integers(-4, 4, (18, 2))
        images.append(b.add(name, Conv2d(Plain(matrix, 3), np.array([3, -2]), SAME), x))
    images.append(
        b.add("tiled_conv", Conv2d(Tiled(tile, (8, 6)), np.arange(6), Window((2, 2))), hub)
    )
    images.append(b.add("moved", MaxPool(Window((3, 3), (2, 2), (1, 0, 1, 0))), x))
    images.append(b.add("shifted", SumPool(Window((2, 2), padding=(1, 0, 0, 1))), x))
    images.append(b.add("scaled", Add((2, -1)), hub, hub))
    images.append(b.add("first", ArgMax(), hub))
    images.append(b.add("kept", MaxPool(Window((2, 2), (2, 2))), x))
    flat = [b.add(f"{image.name}_flat", Reshape(), image, shape=(image.size,)) for image in images]
    return b.graph(b.add("out", Concat(), *flat))


SAME = Window((3, 3), padding=AROUND)


def edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count == 1, f"{pattern!r} occurs {count} times in {path}"
    path.write_text(text)


def edit_weights(folder: Path, name: str, change: Callable[[int], int]) -> None:
    """Change the first constant where the simulation reads it and where a vendor's tool does."""
    path = folder / "firmware" / "weights" / name
    first = int(path.with_suffix(".txt").read_text().split(",")[0])
    edit(path.with_suffix(".txt"), rf"^{first}\b", str(change(first)))
    edit(path.with_suffix(".h"), rf"\{{{first}\b", f"{{{change(first)}")


def config_of(folder: Path, name: str) -> str:
    """The index that hls4ml gave to a layer."""
    text = (folder / "firmware" / "parameters.h").read_text()
    _, after = re.split(rf"^// {name}\n", text, flags=re.MULTILINE)
    found = re.search(r"^struct config(\d+) ", after, re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("io", hls.IO_TYPES)
def test_each_small_mistake_in_the_cpp_is_found(tmp_path: Path, io: hls.IoType) -> None:
    graph, folder = branches(), tmp_path / "p"
    project = hls.write(graph, folder, io=io)
    index = {name: config_of(folder, name) for name in graph.values if name in MISTAKEN}
    sizes = folder / "firmware" / "parameters.h"

    def resize(name: str, size: str, value: int) -> None:
        edit(sizes, rf"(config{index[name]} :[^}}]* {size}) = \d+", rf"\1 = {value}")

    edit_weights(folder, f"w{index['flipped']}", lambda weight: weight ^ 1)
    width = graph.values["cramped"].type.width - 2
    edit(
        folder / "firmware" / "defines.h",
        r"ap_fixed<\d+,\d+> cramped_accum_t",
        f"ap_fixed<{width},{width}> cramped_accum_t",
    )
    resize("tiled_conv", "n_sums", 2)
    resize("moved", "pad_top", 0)
    resize("moved", "pad_bottom", 1)
    resize("shifted", "pad_left", 1)
    resize("shifted", "pad_right", 0)
    edit_weights(folder, f"factors{index['scaled']}", lambda factor: factor + 1)
    edit(folder / "firmware/nnet_utils/nnet_argmax.h", r"\] > largest", "] >= largest")
    found = differences(graph, project, images(graph.input, 200))
    assert {name for name, count in found.items() if count} == {
        "out",
        *MISTAKEN,
        *(f"{name}_flat" for name in MISTAKEN),
    }


MISTAKEN = ("flipped", "cramped", "tiled_conv", "moved", "shifted", "scaled", "first")


def test_a_stream_that_loses_its_place_is_found(tmp_path: Path) -> None:
    b = Builder("net")
    same = Requantize(np.array([1]), np.array([0]), 0)
    half = b.add("half", same, b.input("x", (2, 2, 1), S4), kind=S4)
    graph = b.graph(b.add("y", same, half, kind=S4))
    project = hls.write(graph, tmp_path / "p", io="io_stream")
    sizes = tmp_path / "p" / "firmware" / "parameters.h"
    x = images(graph.input, 1)
    edit(sizes, r"(config2 [^}]* n_in) = 4", r"\1 = 5")
    with pytest.raises(ToolError, match=r"lost its place in a stream; .*\n.*read while empty"):
        hls.simulate(project, x)
    edit(sizes, r"(config3 [^}]* n_in) = 4", r"\1 = 3")
    with pytest.raises(ToolError, match="the output stream ended after 3 of 4 elements"):
        hls.simulate(project, x)


# ---- that hls4ml keeps what was asked for --------------------------------------------------------


def residual() -> Graph:
    """A padded convolution, added to what it read, and a dense layer on the image."""
    b = Builder("residual")
    x = b.input("x", (2, 2, 1), S4)
    conv = Conv2d(Plain(np.arange(-4, 5)[:, None], 4), np.array([1]), SAME)
    total = b.add("total", Add((1, 1)), x, b.add("conv", conv, x))
    flat = b.add("flat", Reshape(), total, shape=(4,))
    return b.graph(
        b.add("y", Dense(Plain(np.array([[1], [-2], [3], [0]]), 3), np.array([0])), flat)
    )


@pytest.mark.golden
def test_the_written_stream(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    hls.write(residual(), tmp_path / "p", io="io_stream")
    golden("hls_stream.cpp", (tmp_path / "p" / "firmware" / "residual_hls.cpp").read_text())


def copy_narrowed(layer: str) -> Callable[[Any], None]:
    """A change to a model that takes a bit from what a pass of hls4ml put in."""

    def change(model: Any) -> None:
        variable = next(iter(model.graph[layer].get_variables()))
        variable.type = copy.deepcopy(variable.type)
        variable.type.precision.width -= 1

    return change


def crossed(model: Any) -> None:
    model.graph["total"].inputs.reverse()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (copy_narrowed("clone_x_in"), r"made layer\d+_cpy1 \(Clone\) .*<3,.*, not .*<4,"),
        (copy_narrowed("zp2d_conv"), r"\(ZeroPadding2D\) .*<3,.*, not .*<4,"),
        (crossed, "hls4ml made total read conv, x_in, not x_in, conv: install the version"),
    ],
)
def test_what_hls4ml_changed_in_a_streamed_model_is_found(
    tmp_path: Path, change: Callable[[Any], None], said: str
) -> None:
    graph = residual()
    wanted = layers(graph, "io_stream")
    project = hls.write(graph, tmp_path / "p", io="io_stream")
    model = make_model(project, wanted, tmp_path, hls.DEFAULT_PART, 200.0)
    check_kept(model, wanted)
    change(model)
    with pytest.raises(ToolError, match=said):
        check_kept(model, wanted)


def test_streams_that_hls4ml_cannot_make_are_refused(tmp_path: Path) -> None:
    b = Builder("net")
    x = b.input("x", (2, 2, 1), S4)
    dead = b.graph(b.add("y", MaxPool(Window((2, 2))), x), b.add("lost", Add((1, 2)), x, x))
    dead = dataclasses.replace(dead, outputs=("y",), ports={n: dead.ports[n] for n in ("x", "y")})
    with pytest.raises(UnsupportedError, match=r"nothing reads tensor lost, .*: take it out of"):
        hls.write(dead, tmp_path / "p", io="io_stream")
    b = Builder("net")
    x = b.input("x", (2,), S4)
    busy = b.graph(b.add("y", Add((1,) * 8), *[x] * 8))
    with pytest.raises(UnsupportedError, match=r"tensor x is read 8 times, .* at most 7 times"):
        hls.write(busy, tmp_path / "p", io="io_stream")
    b = Builder("net")
    x = b.input("x", (1, 2, 1, 2), S4)
    deep = b.graph(b.add("y", Concat(), x, x))
    with pytest.raises(UnsupportedError, match=r"concatenates tensors of 4 axes, .* at most 3"):
        hls.write(deep, tmp_path / "p")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("shape", "io"), [((32, 32, 4), "io_parallel"), ((33, 32, 4), "io_stream")]
)
def test_large_images_are_streamed(shape: tuple[int, int, int], io: str) -> None:
    """At most 4,096 elements are an array; 32 x 32 x 4 are just as many."""
    graph = random_cnn(shape, (4,), weight_bits=2, activation_bits=2)
    assert hls.usual_io(graph) == io


def test_what_streams_cannot_carry_is_not_streamed() -> None:
    b = Builder("net")
    x = b.input("x", (64, 65, 1), IntType(2, signed=True))
    pool = MaxPool(Window((2, 2)))
    dead = b.graph(b.add("y", pool, x), b.add("lost", pool, x))
    assert hls.usual_io(dead) == "io_stream"
    dead = dataclasses.replace(dead, outputs=("y",), ports={n: dead.ports[n] for n in ("x", "y")})
    assert hls.usual_io(dead) == "io_parallel"


def test_the_interface_is_known_again_and_checked(tmp_path: Path) -> None:
    for io in hls.IO_TYPES:
        project = hls.write(residual(), tmp_path / io, io=io)
        assert project.io == io
        assert hls.load(tmp_path / io) == project
    with pytest.raises(InputError, match="HLS interface 'io_serial' is not one of io_parallel"):
        hls.write(residual(), tmp_path / "p", io="io_serial")  # type: ignore[arg-type]
    file = tmp_path / "io_stream" / "bitwright.json"
    file.write_text(file.read_text().replace('"io_stream"', '"io_serial"'))
    with pytest.raises(StorageError, match="does not hold an HLS project of bitwright"):
        hls.load(tmp_path / "io_stream")


def test_the_command_offers_the_same_interfaces(tmp_path: Path) -> None:
    assert importlib.import_module("bitwright.cli.hls").IoType.__args__ == hls.IO_TYPES
    save(residual(), tmp_path / "graph")
    words = ["hls", str(tmp_path / "graph"), "--io", "io_stream", "--vectors", "50", "--json"]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "p")])
    assert done.exit_code == 0, done.output
    seen = json.loads(done.stdout)["engines"]["hls"]
    assert (seen["vectors"], seen["mismatches"]) == (50, 0)
    assert hls.load(tmp_path / "p").io == "io_stream"
