"""What a user can get wrong: one clear sentence, exit code 2, and the output folder as it was."""

import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright import cli
from bitwright.models.graph import load, save
from bitwright.models.zoo import random_mlp

NETWORKS = Path(__file__).parent / "networks" / "small.py"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    save(random_mlp((8, 6, 3), (3, 3), (4, 3)), tmp_path / "graph")
    return tmp_path / "graph"


def content(folder: Path) -> dict[str, str]:
    """Every file of a folder with the digest of what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """The one sentence with which the command line refuses some arguments."""
    monkeypatch.setattr(sys, "argv", ["bitwright", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    sentence = err.strip().splitlines()[-1]
    assert ended.value.code == 2, err
    assert sentence.startswith("bitwright: ")
    assert "Traceback" not in err and out == ""
    return sentence


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("unquantised_layer", "1 (Linear) is not quantised"),
        ("missing_activation_quantiser", "3 (QuantLinear) reads a tensor that is not quantised"),
        ("nan_weights", "nan"),
        ("scale_of_zero", "scale of 0"),
        ("too_many_bits", "17 bits"),
        ("two_outputs", "2 outputs"),
        ("reserved_name", "'reg'"),
        ("name_of_a_path", "../x"),
        ("raises", "no such luck"),
        ("forgotten", "no function 'forgotten'"),
    ],
)
def test_bad_networks(
    factory: str,
    said: str,
    graph: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = content(graph)
    arguments = ["lower", f"{NETWORKS}:{factory}", "--input-shape", "8", "-o", str(graph)]
    assert said in refused(arguments, monkeypatch, capsys)
    assert content(graph) == before
    assert list(graph.parent.iterdir()) == [graph]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--input-shape", "7"], "shape (7,)"),
        (["--input-shape", "eight"], "'eight'"),
        (["--input-shape", "0"], "'0'"),
        ([], "--input-shape"),
        (["--input-shape", "8", "--weights", "missing.pt"], "missing.pt"),
        (["--input-shape", "8", "--weights", str(NETWORKS)], "state_dict"),
        (["--input-shape", "8", "--data", "missing.npz"], "missing.npz"),
        (["--input-shape", "8", "--data", str(NETWORKS)], "numpy.savez"),
        (["--input-shape", "8", "--labels", "one,two"], "2 labels"),
        (["--input-shape", "8", "--depth", "3"], "--depth"),
    ],
)
def test_bad_options_of_lower(
    more: list[str],
    said: str,
    graph: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = content(graph)
    arguments = ["lower", f"{NETWORKS}:good", "-o", str(graph), *more]
    assert said in refused(arguments, monkeypatch, capsys)
    assert content(graph) == before


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.full((4, 8), np.nan), None, "finite"),
        (np.zeros((0, 8)), None, "finite"),
        (np.zeros((4, 7)), None, "8"),
        (np.zeros((4, 8)), np.zeros(3, np.int64), "4 whole numbers"),
        (np.zeros((4, 8)), np.zeros(4), "4 whole numbers"),
        (np.array([["a"] * 8]), None, "finite"),
        (np.array([{}]), None, "numpy.savez"),
    ],
)
def test_bad_data(
    x: np.ndarray,
    y: np.ndarray | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez(tmp_path / "data.npz", x=x, **({} if y is None else {"y": y}))
    arguments = ["lower", f"{NETWORKS}:good", "--input-shape", "8", "--data"]
    arguments += [str(tmp_path / "data.npz"), "-o", str(tmp_path / "graph")]
    assert said in refused(arguments, monkeypatch, capsys)
    assert not (tmp_path / "graph").exists()


def cut(graph: Path) -> None:
    file = graph / "weights.npz"
    file.write_bytes(file.read_bytes()[:-100])


def change(graph: Path) -> None:
    tree = json.loads((graph / "graph.json").read_text())
    tree["nodes"][0]["output"]["name"] = "../x"
    (graph / "graph.json").write_text(json.dumps(tree))


def lose(graph: Path) -> None:
    (graph / "weights.npz").unlink()


def scramble(graph: Path) -> None:
    (graph / "graph.json").write_bytes(b"\xff\xfe not JSON")


@pytest.mark.parametrize("spoil", [cut, change, lose, scramble, shutil.rmtree])
@pytest.mark.parametrize("command", ["estimate", "hls", "rtl", "verify", "synth"])
def test_bad_graph_folders(
    spoil: object,
    command: str,
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "precious.txt").write_text("mine")
    spoil(graph)  # type: ignore[operator]
    arguments = [command, str(graph)]
    arguments += [str(kept)] if command in ("verify", "synth") else []
    arguments += ["-o", str(kept)] if command in ("hls", "rtl", "verify") else []
    assert str(graph) in refused(arguments, monkeypatch, capsys)
    assert content(kept) == {"precious.txt": hashlib.sha256(b"mine").hexdigest()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hls", "GRAPH", "--vectors", "0"], "0 random vectors"),
        (["estimate", "GRAPH", "--clock", "0"], "clock"),
        (
            ["estimate", "GRAPH", "--target", "stratix"],
            "bitwright: --target stratix is not known: choose from xc7, xcup, ecp5, ice40, gowin",
        ),
        (["plan", "GRAPH", "--target-fps", "fast"], "bitwright: --target-fps fast is no number"),
        (["hls", "GRAPH", "--vectors", "1.5"], "bitwright: --vectors 1.5 is no whole number"),
        (["cost-table", "--inputs", "0"], "--inputs 0 must be greater than or equal to 1"),
        (["verify", "GRAPH", "GRAPH"], "bitwright rtl"),
        (["synth", "GRAPH", "GRAPH"], "bitwright rtl"),
        (["run"], "--demo"),
        (["run", "net.onnx"], "bitwright lower net.onnx"),
        (["run", "net.py:make", "--demo"], "--demo"),
        (["fly"], "fly"),
    ],
)
def test_bad_arguments(
    arguments: list[str],
    said: str,
    graph: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(graph) if argument == "GRAPH" else argument for argument in arguments]
    assert said in refused(given, monkeypatch, capsys)


def test_a_design_of_another_graph(
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bitwright", "rtl", str(graph), "-o", str(tmp_path / "rtl")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    capsys.readouterr()
    save(random_mlp((8, 6, 3), (3, 3), (4, 3), seed=1), tmp_path / "other")
    arguments = ["verify", str(tmp_path / "other"), str(tmp_path / "rtl")]
    assert "another graph" in refused(arguments, monkeypatch, capsys)


# ----- Machines that lack something: in a process of their own -----------------------------------


def in_a_process(
    *arguments: object, environment: dict[str, str] | None = None, largest_file: int | None = None
) -> str:
    """As `refused`. largest_file: bytes after which writing fails, as on a full disk."""

    def limit() -> None:
        assert largest_file is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    done = subprocess.run(
        [sys.executable, "-m", "bitwright", *map(str, arguments)],
        env={**os.environ, **(environment or {})},
        preexec_fn=None if largest_file is None else limit,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("bitwright: ")]
    return sentence


@pytest.mark.parametrize("command", ["hls", "verify"])
def test_no_compiler(command: str, graph: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bare = {"PATH": str(tmp_path / "no_programs"), "CXX": ""}
    arguments: list[object] = [command, graph, "-o", out, "--vectors", "10"]
    if command == "verify":
        run(["rtl", graph, "-o", tmp_path / "rtl"])
        arguments.insert(2, tmp_path / "rtl")
    said = in_a_process(*arguments, environment=bare)
    assert "g++" in said and "install" in said


@pytest.mark.parametrize("command", ["hls", "rtl"])
def test_a_disk_that_fills_up_on_the_way(command: str, graph: Path, tmp_path: Path) -> None:
    run([command, graph, "-o", tmp_path / "out", *(["--vectors", "10"] * (command == "hls"))])
    before = content(tmp_path / "out")
    assert before
    said = in_a_process(command, graph, "-o", tmp_path / "out", largest_file=1000)
    assert "room" in said
    assert content(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph", "out"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_lower_on_a_full_or_read_only_disk(
    number: int,
    graph: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = content(graph)

    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(np, "savez_compressed", full)
    arguments = ["lower", f"{NETWORKS}:good", "--input-shape", "8", "-o", str(graph)]
    assert os.strerror(number) in refused(arguments, monkeypatch, capsys)
    assert content(graph) == before
    assert load(graph)


@pytest.mark.parametrize("command", ["hls", "rtl", "verify"])
def test_an_output_folder_that_cannot_be(
    command: str,
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("mine")
    arguments = [command, str(graph), "-o", str(tmp_path / "file" / "out")]
    if command == "verify":
        run(["rtl", graph, "-o", tmp_path / "rtl"])
        arguments.insert(2, str(tmp_path / "rtl"))
    assert "file/out" in refused(arguments, monkeypatch, capsys)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", ["lower", "hls", "rtl", "verify"])
@pytest.mark.parametrize("taken", ["folder", "file"])
def test_a_place_that_holds_something_else(
    taken: str,
    command: str,
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "taken"
    if taken == "folder":
        (place / "sim").mkdir(parents=True)
        (place / "thesis.tex").write_text("mine")
        (place / "sim" / "thesis.tex").write_text("mine")
    else:
        place.write_text("mine")
    before = content(tmp_path)
    arguments = [command, str(graph), "-o", str(place)]
    if command == "lower":
        arguments = ["lower", f"{NETWORKS}:good", "--input-shape", "8", "-o", str(place)]
    if command == "verify":
        run(["rtl", graph, "-o", tmp_path / "rtl"])
        before = content(tmp_path)
        arguments.insert(2, str(tmp_path / "rtl"))
    assert "choose" in refused(arguments, monkeypatch, capsys)
    assert content(tmp_path) == before


def run(arguments: list[object]) -> None:
    command = [sys.executable, "-m", "bitwright", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
