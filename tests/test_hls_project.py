"""The project folder: what hls4ml is asked for, that it keeps it, and what is written where."""

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hls4ml.model.types import IntegerPrecisionType

from bitwright import hls
from bitwright.hls.layer import Layer
from bitwright.hls.mapping import argument_name, layers
from bitwright.hls.project import check_kept, make_model
from bitwright.models.errors import InputError, StorageError, ToolError, UnsupportedError
from bitwright.models.graph import (
    BitPlanes,
    Codebook,
    Dense,
    Graph,
    IntType,
    Lookup,
    Node,
    Op,
    Plain,
    Port,
    Requantize,
    Threshold,
    Tiled,
    Value,
    digest,
    stored_bits,
)


def graph_of(*steps: tuple[Op, Value], source: Value | None = None, name: str = "net") -> Graph:
    """A chain of operations."""
    source = source or Value("x", (2,), IntType(4, signed=True))
    names = [source.name, *(value.name for _, value in steps)]
    nodes = tuple(Node(op, (before,), value) for before, (op, value) in zip(names, steps))  # noqa: B905
    return Graph(
        name, (source,), nodes, (names[-1],), {n: Port(1.0) for n in (names[0], names[-1])}
    )


@pytest.fixture
def graph() -> Graph:
    """Every operation once, small enough to read: x is s4[2]."""
    first = Dense(Plain(np.array([[3, -4, 0], [1, 2, -1]]), 3), np.array([5, 0, -6]))
    scale = Requantize(np.array([3, 1, -2]), np.array([8, 0, -4]), 3, "half_even", narrow=True)
    steps = Threshold(
        np.array([[-2, 0, 3], [0, 1, 1], [-1, 0, 1]]), np.array([0, 3, 0]), np.array([1, -1, 1])
    )
    last = Dense(Plain(np.array([[1, -1], [-1, -1], [1, 1]]), 1), np.array([0, 1]))
    return graph_of(
        (first, Value("fc1", (3,), IntType(7, signed=True))),
        (scale, Value("act1", (3,), IntType(4, signed=True))),
        (steps, Value("act2", (3,), IntType(2, signed=False))),
        (last, Value("out", (2,), IntType(5, signed=True))),
    )


@pytest.fixture
def compressed() -> Graph:
    """Every operation and codec that hls4ml does not have: x is u4[2]."""
    tile = Dense(Tiled(np.array([1, -1, -1]), (2, 6)), np.array([0, 1, 2, 3, 4, -5]))
    book = Dense(
        Codebook(np.arange(12).reshape(6, 2) % 3, np.array([[-6, 0, 4]])), np.array([1, 0])
    )
    return graph_of(
        (BitPlanes((1, 3)), Value("planes", (2,), IntType(2, signed=False))),
        (Lookup(np.array([[0, 1, 5, 6]])), Value("values", (2,), IntType(3, signed=False))),
        (tile, Value("tiled", (6,), IntType(6, signed=True))),
        (book, Value("out", (2,), IntType(10, signed=True))),
        source=Value("x", (2,), IntType(4, signed=False)),
    )


# ---- what hls4ml is asked for --------------------------------------------------------------------


def test_every_part_of_every_layer_has_an_exact_type(graph: Graph) -> None:
    assert {layer.name: layer.types for layer in layers(graph)} == {
        "x_in": {"result": "fixed<4,4,TRN,WRAP,0>"},
        "fc1": {
            "result": "fixed<7,7,TRN,WRAP,0>",
            "weight": "fixed<3,3,TRN,WRAP,0>",
            "bias": "fixed<4,4,TRN,WRAP,0>",
            "accum": "fixed<7,7,TRN,WRAP,0>",
        },
        "act1": {
            "result": "fixed<4,4,RND_CONV,SAT_SYM,0>",
            "multiplier": "int<3>",
            "bias": "int<5>",
            "accum": "int<8>",
        },
        "act2": {
            "result": "ufixed<2,2,TRN,WRAP,0>",
            "thresholds": "int<3>",
            "base": "uint<2>",
            "step": "int<2>",
            "accum": "uint<2>",
        },
        "out": {
            "result": "fixed<5,5,TRN,WRAP,0>",
            "weight": "xnor",
            "bias": "ufixed<1,1,TRN,WRAP,0>",
            "accum": "fixed<4,4,TRN,WRAP,0>",
        },
    }


def test_compressed_layers_have_exact_types_too(compressed: Graph) -> None:
    assert {layer.name: layer.types for layer in layers(compressed)} == {
        "x_in": {"result": "ufixed<4,4,TRN,WRAP,0>"},
        "planes": {"result": "ufixed<2,2,TRN,WRAP,0>", "planes": "uint<2>"},
        "values": {"result": "ufixed<3,3,TRN,WRAP,0>", "table": "uint<3>", "index": "uint<2>"},
        "tiled": {
            "result": "fixed<6,6,TRN,WRAP,0>",
            "tile": "uint<1>",
            "bias": "fixed<4,4,TRN,WRAP,0>",
            "accum": "fixed<5,5,TRN,WRAP,0>",  # -12..6: the biases come after it
        },
        "out": {
            "result": "fixed<10,10,TRN,WRAP,0>",
            "indices": "uint<2>",
            "table": "fixed<4,4,TRN,WRAP,0>",
            "bias": "ufixed<1,1,TRN,WRAP,0>",
            "accum": "fixed<9,9,TRN,WRAP,0>",
        },
    }


@pytest.mark.parametrize(
    ("inputs", "outputs", "length", "rows"),
    [
        (6, 8, 24, 4),  # copies | outputs: whole rows, each computed for two outputs
        (6, 8, 48, 8),  # not compressed
        (6, 4, 6, 1),  # one row for all
        (6, 4, 3, 1),  # many tiles in a row
        (6, 6, 4, 2),  # boundaries inside a row
        (6, 9, 27, 9),  # as many rows as outputs, and fewer weights all the same
        (5, 8, 4, 4),
        (7, 2, 14, 2),
        (3, 5, 15, 5),
    ],
)
def test_a_project_stores_one_tile_and_computes_each_row_once(
    tmp_path: Path, inputs: int, outputs: int, length: int, rows: int
) -> None:
    codec = Tiled(np.resize([1, 1, -1, 1, -1], length), (inputs, outputs))
    graph = graph_of(
        (Dense(codec, np.zeros(outputs, int)), Value("y", (outputs,), IntType(8, signed=True))),
        source=Value("x", (inputs,), S4),
    )
    hls.write(graph, tmp_path / "p")
    weights = tmp_path / "p" / "firmware" / "weights"
    assert sorted(path.name for path in weights.glob("*.txt")) == ["bias2.txt", "tile2.txt"]
    stored = (weights / "tile2.txt").read_text().split(",")
    assert [2 * int(bit) - 1 for bit in stored] == codec.tile.tolist()
    assert len(stored) == stored_bits(codec)
    assert f"tile_t tile2[{length}]" in (weights / "tile2.h").read_text()
    assert "typedef ap_uint<1> y_tile_t;" in (tmp_path / "p/firmware/defines.h").read_text()
    starts = {o * inputs % length for o in range(outputs)}
    assert len(starts) == rows
    assert f"n_rows = {rows};" in (tmp_path / "p/firmware/parameters.h").read_text()
    header = (tmp_path / "p/firmware/nnet_utils/nnet_tiled_dense.h").read_text()
    assert "accum_t sum[CONFIG_T::n_rows];" in header


def test_a_project_stores_small_indices_and_one_table(compressed: Graph, tmp_path: Path) -> None:
    hls.write(compressed, tmp_path / "p")
    weights = tmp_path / "p" / "firmware" / "weights"
    assert len((weights / "indices5.txt").read_text().split(",")) == 12
    assert (weights / "table5.txt").read_text() == "-6, 0, 4"
    assert not list(weights.glob("w*"))


def test_the_argument_never_takes_the_name_of_a_tensor(graph: Graph) -> None:
    assert argument_name(graph) == "x_in"
    renamed = [dataclasses.replace(n, output=dataclasses.replace(n.output, name=f"X_IN{'_in' * i}"))
               for i, n in enumerate(graph.nodes[:1])]  # fmt: skip
    ports = {"x": Port(1.0), "X_IN": Port(1.0)}
    taken = dataclasses.replace(graph, nodes=tuple(renamed), outputs=("X_IN",), ports=ports)
    assert argument_name(taken) == "x_in_in"


S4 = IntType(4, signed=True)


@pytest.mark.parametrize(
    ("op", "shape", "said"),
    [
        (
            Lookup(np.full((1, 16), 1 << 60), -8),
            (2,),
            r"the table of node y reaches 1152921504606846976, .* only up to 2\^53: use fewer bits",
        ),
        (
            Requantize(np.array([1 << 61] * 2), np.zeros(2, int), 62),
            (2,),
            r"node y \(requantize\) in HLS: an integer type of 65 bits is outside 1\.\.64",
        ),
        (
            Requantize(np.ones(2, int), np.array([0, -(1 << 60)]), 62),
            (2,),
            r"the bias of node y reaches 1152921504606846976, .* only up to 2\^53: use fewer bits",
        ),
        (None, (2,), "graph net has no operation: there is nothing to write"),
    ],
)
def test_what_hls4ml_cannot_express_is_refused(
    tmp_path: Path, op: Op | None, shape: tuple[int, ...], said: str
) -> None:
    kind = IntType(64 if isinstance(op, Lookup) else 8, signed=True)
    graph = graph_of(*([(op, Value("y", shape, kind))] if op else []), source=Value("x", shape, S4))
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "bitwright.json").touch()  # an earlier project, which must stay
    with pytest.raises(UnsupportedError, match=said):
        hls.write(graph, tmp_path / "p")
    assert [path.name for path in tmp_path.rglob("*")] == ["p", "bitwright.json"]


# ---- that hls4ml keeps it ------------------------------------------------------------------------


def narrowed(layer: str, part: str) -> Callable[[Any], None]:
    """A change to a model that takes a bit from one type."""

    def change(model: Any) -> None:
        node = model.graph[layer]
        if part == "result":
            node.get_output_variable().type.precision.width -= 1
        elif part in ("accum", "index"):
            node.get_attr(f"{part}_t").precision.width -= 1
        else:
            node.get_weights(part).type.precision.width -= 1

    return change


def made_unary(model: Any) -> None:
    model.graph["out"].get_weights("weight").update_precision(IntegerPrecisionType(1, False))


def changed_weight(model: Any) -> None:
    model.graph["fc1"].get_weights("weight").data_unquantized = np.ones((2, 3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (narrowed("x_in", "result"), "hls4ml made the result of x_in fixed<3,4,TRN,WRAP,0>, not"),
        (narrowed("fc1", "result"), "the result of fc1 .*, not fixed<7,7,TRN,WRAP,0>: install the"),
        (narrowed("fc1", "weight"), "the weight of fc1"),
        (narrowed("fc1", "bias"), "the bias of fc1"),
        (narrowed("fc1", "accum"), "the accum of fc1"),
        (narrowed("act1", "multiplier"), "the multiplier of act1"),
        (narrowed("act1", "accum"), "the accum of act1 int<7>, not int<8>"),
        (narrowed("act2", "thresholds"), "the thresholds of act2"),
        (made_unary, "the weight of out uint<1>, not xnor"),
        (changed_weight, "hls4ml changed the weight of fc1"),
        (lambda model: model.remove_node(model.graph["act1"]),
         r"did not keep the layers act1 \(BitwrightRequantize\)"),
    ],
)  # fmt: skip
def test_what_hls4ml_changed_is_found(
    graph: Graph, tmp_path: Path, change: Callable[[Any], None], said: str
) -> None:
    wanted = layers(graph)
    project = hls.write(graph, tmp_path / "p")
    model = make_model(project, wanted, tmp_path, hls.DEFAULT_PART, 200.0)
    check_kept(model, wanted)
    change(model)
    with pytest.raises(ToolError, match=said):
        check_kept(model, wanted)


@pytest.mark.parametrize(
    ("layer", "part"),
    [(layer, part)
     for layer, parts in {"planes": ("result", "planes"), "values": ("result", "table", "index"),
                          "tiled": ("result", "tile", "bias", "accum"),
                          "out": ("result", "indices", "table", "bias", "accum")}.items()
     for part in parts],
)  # fmt: skip
def test_what_hls4ml_changed_in_a_compressed_layer_is_found(
    compressed: Graph, tmp_path: Path, layer: str, part: str
) -> None:
    wanted = layers(compressed)
    project = hls.write(compressed, tmp_path / "p")
    model = make_model(project, wanted, tmp_path, hls.DEFAULT_PART, 200.0)
    check_kept(model, wanted)
    narrowed(layer, part)(model)
    with pytest.raises(ToolError, match=f"hls4ml made the {part} of {layer} "):
        check_kept(model, wanted)


def test_a_pass_of_hls4ml_that_removes_a_layer_is_found(graph: Graph, tmp_path: Path) -> None:
    """The reason why requantisation is no BatchNormalization: with factor 1 it would vanish."""
    project = hls.write(graph, tmp_path / "p")
    first = layers(graph)[0]
    kind = "fixed<3,3,RND_CONV,SAT,0>"
    saturation = Layer(
        name="act1",
        kind="BatchNormalization",
        inputs=("x_in",),
        attributes={"n_in": 2, "n_filt": -1, "scale_data": np.ones(2), "bias_data": np.zeros(2)},
        constants={},
        types={"result": kind, "scale": "int<2>", "bias": "int<2>"},
    )
    out = dataclasses.replace(layers(graph)[1], name="out", inputs=("act1",))
    wanted = [first, saturation, out]
    model = make_model(project, wanted, tmp_path / "q", hls.DEFAULT_PART, 200.0)
    with pytest.raises(ToolError, match=r"did not keep the layers act1 \(BatchNormalization\)"):
        check_kept(model, wanted)


# ---- what is written -----------------------------------------------------------------------------


@pytest.mark.golden
def test_the_written_cpp(graph: Graph, tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    hls.write(graph, tmp_path / "p")
    firmware = tmp_path / "p" / "firmware"
    golden("hls_top.cpp", (firmware / "net_hls.cpp").read_text())
    golden("hls_defines.h", (firmware / "defines.h").read_text())
    golden("hls_parameters.h", (firmware / "parameters.h").read_text())
    constants = [
        f"{path.name}: {path.read_text()}" for path in sorted(firmware.glob("weights/*.txt"))
    ]
    golden("hls_weights.txt", "\n".join(constants) + "\n")


@pytest.mark.golden
def test_the_written_cpp_of_compressed_layers(
    compressed: Graph, tmp_path: Path, golden: Callable[[str, str], None]
) -> None:
    hls.write(compressed, tmp_path / "p")
    text = (tmp_path / "p" / "firmware" / "parameters.h").read_text()
    golden("hls_parameters_compressed.h", text)


def test_the_project_does_not_depend_on_when_and_where(graph: Graph, tmp_path: Path) -> None:
    def files(name: str) -> dict[str, bytes]:
        hls.write(graph, tmp_path / name)
        folder = tmp_path / name
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    first, second = files("one"), files("another place with a much longer name" * 3)
    assert first == second
    assert {"firmware/nnet_utils/nnet_threshold.h", "project.tcl", "build_lib.sh"} <= set(first)
    assert not any(str(tmp_path).encode() in content for content in first.values())


@pytest.mark.parametrize("backend", hls.BACKENDS)
def test_a_project_is_known_again(graph: Graph, tmp_path: Path, backend: hls.Backend) -> None:
    project = hls.write(graph, tmp_path / "p", backend, part="xczu7ev-ffvc1156-2-e", clock_mhz=250)
    assert hls.load(tmp_path / "p") == project
    assert project.digest == digest(graph)
    assert (project.input, project.output) == (graph.input, graph.output)
    settings = (tmp_path / "p" / "project.tcl").read_text()
    assert 'set part "xczu7ev-ffvc1156-2-e"' in settings
    assert "set clock_period 4.0" in settings
    assert f'set backend "{backend.lower()}"' in settings


@pytest.mark.parametrize("name", ["defines", "parameters", "nnet", "printf", "myproject"])
def test_names_that_would_clash_in_cpp_do_not(graph: Graph, tmp_path: Path, name: str) -> None:
    project = hls.write(dataclasses.replace(graph, name=name), tmp_path / "p")
    assert project.top == f"{name}_hls"
    text = (tmp_path / "p" / "firmware" / f"{name}_hls.cpp").read_text()
    assert f"void {name}_hls(" in text


def test_writing_replaces_the_folder_or_leaves_it(graph: Graph, tmp_path: Path) -> None:
    hls.write(graph, tmp_path / "p")
    (tmp_path / "p" / "firmware" / "weights" / "stale.txt").touch()
    hls.write(graph, tmp_path / "p")
    assert not list(tmp_path.rglob("stale.txt"))
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="choose a folder that can be written"):
        hls.write(graph, tmp_path / "file" / "p")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"backend": "Quartus"}, "HLS back end 'Quartus' is not one of Vitis, Vivado"),
        ({"part": 'x"; exec rm'}, "part 'x\"; exec rm' is not the name of a device"),
        ({"clock_mhz": 0.0}, r"a clock of 0\.0 MHz is outside 1\.\.2000 MHz"),
        ({"clock_mhz": float("nan")}, "a clock of nan MHz is outside"),
    ],
)
def test_bad_arguments_are_refused(
    graph: Graph, tmp_path: Path, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        hls.write(graph, tmp_path / "p", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [None, "", "{}", "[]", '{"format": "bitwright-hls-0"}', "\x00", "swapped", "narrow", "lost"],
)
def test_a_folder_that_holds_no_project_is_refused(
    graph: Graph, tmp_path: Path, content: str | None
) -> None:
    hls.write(graph, tmp_path / "p")
    path = tmp_path / "p" / "bitwright.json"
    tree = json.loads(path.read_text())
    match content:
        case None:
            path.unlink()
        case "swapped":
            path.write_text(json.dumps(tree | {"output": "nothing"}))
        case "narrow":
            tree["tensors"]["x"]["type"] = "s0"
            path.write_text(json.dumps(tree))
        case "lost":
            path.write_text(json.dumps(tree | {"tensors": None}))
        case text:
            path.write_text(text)
    with pytest.raises(
        StorageError, match=r"does not hold an HLS project of bitwright .*: write it"
    ):
        hls.load(tmp_path / "p")


def test_nothing_is_printed_and_hls4ml_is_imported_late(graph: Graph, tmp_path: Path) -> None:
    """In a process of its own, because imports happen once; both back ends, which print most."""
    script = """
import sys
from bitwright import hls
from bitwright.models.graph import load
assert "hls4ml" not in sys.modules
for backend in hls.BACKENDS:
    hls.write(load(sys.argv[1]), sys.argv[2], backend)
assert "hls4ml" in sys.modules
"""
    from bitwright.models.graph import save

    save(graph, tmp_path / "graph")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "graph"), str(tmp_path / "p")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_several_threads_may_write_at_once(graph: Graph, tmp_path: Path) -> None:
    before = sys.stdout
    threads = [
        threading.Thread(target=hls.write, args=(graph, tmp_path / str(i))) for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stdout is before
    assert all(hls.load(tmp_path / str(i)) for i in range(4))
